"""Outcomes of a run on labelled images, and the exact seen-unseen curve over gamma.

Everything is computed from score summaries, so that every gamma costs one sort and no second pass
over `[n, C]` scores. Throughout: classes are numbered seen first, then unseen; on a tie the seen
class wins; accuracies are in percent, AUSUC is in [0, 1].
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from zslbench.metrics.accuracy import Average, Bool, Float, Int, Space, harmonic_mean
from zslbench.metrics.summary import ScoreSummary
from zslbench.records import Scores


@dataclass(frozen=True)
class Outcome:
    """A score summary met with its labels: all that metrics and intervals need.

    Attributes:
        labels: `[n]` true classes.
        seen: Number of seen classes.
        seen_hit: `[n]` whether the best seen class is the true one.
        unseen_hit: `[n]` whether the best unseen class is the true one.
        margin: `[n]` the gamma at which each image's answer turns from seen to unseen.
        average: Per-class means, or per-image means as some published code has them.
    """

    labels: Int
    seen: int
    seen_hit: Bool
    unseen_hit: Bool
    margin: Float
    average: Average = "class"

    @classmethod
    def of(
        cls,
        summary: ScoreSummary,
        labels: Int,
        seen: int,
        space: Space = "logit",
        average: Average = "class",
    ) -> "Outcome":
        """Meet a summary with its labels; margins in units of the scale (logits) or as they are."""
        margin = summary.margin(space) / (summary.scale if space == "logit" else 1.0)
        seen_hit, unseen_hit = summary.seen_class == labels, summary.unseen_class == labels
        return cls(labels, seen, seen_hit, unseen_hit, margin, average)

    @cached_property
    def classes(self) -> tuple[Int, Int, Int]:
        """The `[c]` classes that have images, `[n]` each image's place among them, their sizes."""
        return _classes(self.labels.astype(np.int64, copy=False).tobytes())

    @cached_property
    def weights(self) -> Float:
        """`[n]` each image's weight in its side's accuracy; they sum to 1 on either side."""
        return self._shares[0]

    @property
    def class_shares(self) -> Float:
        """`[c]` each class's weight in its side's accuracy: those of its images together."""
        return self._shares[1]

    @cached_property
    def _shares(self) -> tuple[Float, Float]:
        return _shares(self.labels.astype(np.int64, copy=False).tobytes(), self.seen, self.average)

    @cached_property
    def order(self) -> Int:
        """`[r]` the images that either side gets right, in the order of their margins."""
        right = np.flatnonzero(self.seen_hit | self.unseen_hit)
        return right[np.argsort(self.margin[right], kind="stable")]

    @cached_property
    def curve(self) -> "SeenUnseenCurve":
        """The exact curve over gamma."""
        return SeenUnseenCurve.of(self)

    @cached_property
    def curve_placements(self) -> Float:
        """`[n]` share of the other side's right answers beyond a right one's margin; ties half.

        AUSUC is their weighted mean over either side: a Mann-Whitney statistic.
        """
        step = np.searchsorted(self.curve.steps, self.margin[self.order])
        u, s = ((side[1:] + side[:-1]) / 200 for side in (self.curve.u, self.curve.s))
        placed = np.zeros(len(self.labels))
        placed[self.order] = np.where(self.seen_hit[self.order], u[step], s[step])
        return placed

    @cached_property
    def t1(self) -> float:
        """Per-class top-1 of unseen images among unseen classes, in percent."""
        return min(100 * float(self.weights[self.unseen_hit].sum()), 100.0)

    def scores(self, gamma: float) -> Scores:
        """Return T1, U, S, H and AUSUC, with U, S, H at one gamma."""
        u, s = (float(value) for value in self.curve.at(gamma))
        return Scores(t1=self.t1, u=u, s=s, h=harmonic_mean(u, s), ausuc=self.curve.area)


@lru_cache(maxsize=8)  # all runs on a dataset have the same test items
def _classes(labels: bytes) -> tuple[Int, Int, Int]:
    """Return classes that have images, each image's place among them, and their sizes."""
    numbers = np.frombuffer(labels, np.int64)
    counts = np.bincount(numbers)
    classes = np.flatnonzero(counts)
    places = np.cumsum(counts > 0) - 1
    return classes, places[numbers], counts[classes]


@lru_cache(maxsize=8)
def _shares(labels: bytes, seen: int, average: Average) -> tuple[Float, Float]:
    """Return the weight of each image in its side's accuracy, and that of each class."""
    classes, places, counts = _classes(labels)
    is_seen = classes < seen
    if average == "image":
        weights = 1 / np.where(is_seen, counts[is_seen].sum(), counts[~is_seen].sum())
    else:
        weights = 1 / (counts * np.where(is_seen, is_seen.sum(), (~is_seen).sum()))
    of_images: Float = weights[places]
    return of_images, np.bincount(places, weights=of_images).astype(np.float64)


@dataclass(frozen=True)
class SeenUnseenCurve:
    """U and S as exact step functions of gamma (Chao et al., ECCV 2016, made exact).

    An image's answer is its best seen class while gamma <= margin, and its best unseen class above.
    So U and S change only at margins of images that one side gets right.

    Attributes:
        steps: `[k]` increasing gammas at which the curve changes.
        u: `[k + 1]` percent; `u[j]` holds on `(steps[j-1], steps[j]]`.
        s: `[k + 1]` percent.
    """

    steps: Float
    u: Float
    s: Float

    @classmethod
    def of(cls, outcome: Outcome) -> "SeenUnseenCurve":
        """Build the curve from one sort of the critical gammas."""
        margin = outcome.margin[outcome.order]
        weight = 100 * outcome.weights[outcome.order]
        gained = np.cumsum(np.where(outcome.unseen_hit[outcome.order], weight, 0.0))
        lost = np.cumsum(np.where(outcome.seen_hit[outcome.order], weight, 0.0))
        last_of_tie = np.append(np.flatnonzero(np.diff(margin)), len(margin) - 1)[: len(margin)]
        all_seen = lost[-1] if len(lost) else 0.0
        u = np.concatenate(([0.0], gained[last_of_tie]))
        s = np.concatenate(([all_seen], all_seen - lost[last_of_tie]))
        return cls(margin[last_of_tie], np.minimum(u, 100.0), np.clip(s, 0.0, 100.0))

    @cached_property
    def area(self) -> float:
        """AUSUC in [0, 1]: S over U by trapezoids, so that a tie counts half to either side."""
        return min(float(np.sum(np.diff(self.u) * (self.s[1:] + self.s[:-1]))) / 2e4, 1.0)

    @property
    def h(self) -> Float:
        """`[k + 1]` harmonic means along the curve, in percent."""
        total = self.u + self.s
        return np.divide(2 * self.u * self.s, total, out=np.zeros_like(total), where=total > 0)

    def at(self, gamma: float | Float) -> tuple[Float, Float]:
        """Return U and S where `gamma` is subtracted from the seen scores, in percent."""
        index = np.searchsorted(self.steps, gamma, side="left")
        return np.asarray(self.u[index]), np.asarray(self.s[index])

    def best(self) -> tuple[float, float]:
        """Return the best H over all gamma and a gamma in the middle of its plateau."""
        index = int(np.argmax(self.h))
        return float(self.h[index]), plateau_middle(self.steps, index, index)


def plateau_middle(steps: Float, first: int, last: int) -> float:
    """Return the middle of a curve's intervals first..last; an open end counts as one unit long."""
    if not len(steps):
        return 0.0
    low = steps[first - 1] if first > 0 else steps[0] - 1.0
    high = steps[last] if last < len(steps) else steps[-1] + 1.0
    middle = float((low + high) / 2)
    return middle if middle > low else float(high)
