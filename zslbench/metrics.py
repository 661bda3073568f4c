"""Accuracies of (generalised) zero-shot learning, and the exact seen-unseen curve. Pure numpy.

Everything is computed from score summaries, so that every gamma costs one sort and no second pass
over `[n, C]` scores. Throughout: classes are numbered seen first, then unseen; on a tie the seen
class wins; accuracies are in percent, AUSUC is in [0, 1].
"""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from zslbench.records import Scores

Float = NDArray[np.float64]
Int = NDArray[np.int64]
Bool = NDArray[np.bool_]

Space = Literal["logit", "probability"]
Average = Literal["class", "image"]


def harmonic_mean(u: float, s: float) -> float:
    """Return H = 2US / (U + S), 0 where both are 0."""
    return min(2 * u * s / (u + s), 100.0) if u + s > 0 else 0.0


def per_class_accuracy(predictions: Int, labels: Int) -> float:
    """Return the mean over the classes in `labels` of the share predicted right, in percent."""
    _, members = np.unique(labels, return_inverse=True)
    hits = np.bincount(members, weights=predictions == labels)
    return float(100 * np.mean(hits / np.bincount(members)))


def score_unit(scores: NDArray[np.floating]) -> float:
    """Return the standard deviation of scores `[n, C]` around each item's mean; never 0."""
    spread = float(np.std(scores - scores.mean(axis=1, keepdims=True)))
    return max(spread, float(np.finfo(np.float32).tiny))


@dataclass(frozen=True)
class ScoreSummary:
    """What is kept of one epoch's scores `[n, C]`: label-free, 20 bytes an image.

    Attributes:
        seen_class: `[n]` the best seen class.
        seen_score: `[n]` its score.
        unseen_class: `[n]` the best unseen class.
        unseen_score: `[n]` its score.
        log_sum_exp: `[n]` log of the summed exponentials over all classes.
        scale: Standard deviation of class-centred scores on training images, the unit of gamma.
    """

    seen_class: NDArray[np.int32]
    seen_score: NDArray[np.float32]
    unseen_class: NDArray[np.int32]
    unseen_score: NDArray[np.float32]
    log_sum_exp: NDArray[np.float32]
    scale: float

    ARRAYS: ClassVar = ("seen_class", "seen_score", "unseen_class", "unseen_score", "log_sum_exp")

    def margin(self, space: Space = "logit") -> Float:
        """Return `[n]` best seen minus best unseen: the gamma at which an image changes sides."""
        seen, unseen = self.seen_score.astype(np.float64), self.unseen_score.astype(np.float64)
        if space == "probability":
            seen, unseen = np.exp(seen - self.log_sum_exp), np.exp(unseen - self.log_sum_exp)
        return seen - unseen

    def predictions(self, gamma: float) -> Int:
        """Return `[n]` the class predicted when gamma is subtracted from the seen scores."""
        seen_wins = self.margin() >= gamma
        return np.where(seen_wins, self.seen_class, self.unseen_class).astype(np.int64)


def summarise(scores: NDArray[np.floating], seen: int, scale: float) -> ScoreSummary:
    """Reduce scores `[n, C]`, whose first `seen` columns are the seen classes, to a summary."""
    scores = np.asarray(scores)
    rows = np.arange(len(scores))
    seen_class = scores[:, :seen].argmax(axis=1)
    unseen_class = seen + scores[:, seen:].argmax(axis=1)
    seen_score, unseen_score = scores[rows, seen_class], scores[rows, unseen_class]
    top = np.maximum(seen_score, unseen_score)
    log_sum_exp = top + np.log(np.exp(scores - top[:, None]).sum(axis=1))
    return ScoreSummary(
        seen_class.astype(np.int32),
        seen_score.astype(np.float32),
        unseen_class.astype(np.int32),
        unseen_score.astype(np.float32),
        log_sum_exp.astype(np.float32),
        float(scale),
    )


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
        unit = summary.scale if space == "logit" else 1.0
        return cls(
            labels,
            seen,
            summary.seen_class == labels,
            summary.unseen_class == labels,
            summary.margin(space) / unit,
            average,
        )

    @cached_property
    def classes(self) -> tuple[Int, Int, Int]:
        """The `[c]` classes that have images, `[n]` each image's place among them, their sizes."""
        counts = np.bincount(self.labels)
        classes = np.flatnonzero(counts)
        places = np.cumsum(counts > 0) - 1
        return classes, places[self.labels], counts[classes]

    @cached_property
    def class_shares(self) -> Float:
        """`[c]` each class's weight in its side's accuracy: those of its images together."""
        shares: Float = np.bincount(self.classes[1], weights=self.weights).astype(np.float64)
        return shares

    @cached_property
    def weights(self) -> Float:
        """`[n]` each image's weight in its side's accuracy; they sum to 1 on either side."""
        is_seen = self.labels < self.seen
        if self.average == "image":
            weights: Float = 1 / np.where(is_seen, is_seen.sum(), (~is_seen).sum())
            return weights
        counts = np.bincount(self.labels)
        seen, unseen = (np.count_nonzero(side) for side in np.split(counts, [self.seen]))
        weights = 1 / (counts[self.labels] * np.where(is_seen, seen, unseen))
        return weights

    @cached_property
    def curve(self) -> "SeenUnseenCurve":
        """The exact curve over gamma."""
        return SeenUnseenCurve.of(self)

    @cached_property
    def curve_placements(self) -> Float:
        """`[n]` share of the other side's right answers beyond a right one's margin; ties half.

        AUSUC is their weighted mean over either side: a Mann-Whitney statistic.
        """
        placed = np.zeros(len(self.labels))
        for mine, other, beyond in (
            (self.seen_hit, self.unseen_hit, False),
            (self.unseen_hit, self.seen_hit, True),
        ):
            order = np.argsort(self.margin[other])
            ladder = np.concatenate(([0.0], np.cumsum(self.weights[other][order])))
            rungs = self.margin[other][order]
            below = ladder[np.searchsorted(rungs, self.margin[mine], side="left")]
            below_or_tied = ladder[np.searchsorted(rungs, self.margin[mine], side="right")]
            half_tied = (below + below_or_tied) / 2
            placed[mine] = ladder[-1] - half_tied if beyond else half_tied
        return placed

    @cached_property
    def t1(self) -> float:
        """Per-class top-1 of unseen images among unseen classes, in percent."""
        return min(100 * float(self.weights[self.unseen_hit].sum()), 100.0)

    def scores(self, gamma: float) -> Scores:
        """Return T1, U, S, H and AUSUC, with U, S, H at one gamma."""
        u, s = (float(value) for value in self.curve.at(gamma))
        return Scores(t1=self.t1, u=u, s=s, h=harmonic_mean(u, s), ausuc=self.curve.area)


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
        right = outcome.seen_hit | outcome.unseen_hit
        order = np.argsort(outcome.margin[right], kind="stable")
        margin = outcome.margin[right][order]
        weight = 100 * outcome.weights[right][order]
        gained = np.cumsum(np.where(outcome.unseen_hit[right][order], weight, 0.0))
        lost = np.cumsum(np.where(outcome.seen_hit[right][order], weight, 0.0))
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
