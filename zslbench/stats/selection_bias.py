"""What choosing on test adds to H, split into optimism and regret. Pure numpy.

The test images are cut into two halves, class by class. Epoch, gamma or all are chosen on one half
and read there and on the other, both ways, over several cuts. What the chosen half reads more than
the other is *optimism*: it is owed to noise alone. What the other half reads more than our own
choice does there is *regret*: it is what choosing in the tuning worlds cost. Where each epoch is
one of a final classifier's (`AnyMethod.passes`), its epoch and its generator's are told apart.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from zslbench.metrics import Average, Bool, Float, Int, Outcome, plateau_middle
from zslbench.seeding import generator

Chosen = Literal["classifier epoch", "epoch", "gamma", "all"]
CHOSEN: tuple[Chosen, ...] = ("classifier epoch", "epoch", "gamma", "all")
CUTS = 20


@dataclass(frozen=True)
class Inflation:
    """Points of H; their sum is what choosing on test would have added."""

    optimism: float
    regret: float


def inflation(
    outcomes: Mapping[int, Outcome], epoch: int, gamma: float, passes: int = 1
) -> dict[Chosen, Inflation]:
    """Return what choosing epoch, gamma, or all on test images adds to one run's H.

    Args:
        outcomes: Every epoch's outcome over the same images, margins in the unit of gamma.
        epoch: What the tuning worlds chose.
        gamma: Likewise.
        passes: How many epochs in a row are those of one final classifier. If that is several,
            `classifier epoch` is chosen among these, and `epoch` among equally trained classifiers.
    """
    epochs = list(outcomes)
    parts = [_Parts.of(outcome) for outcome in outcomes.values()]
    rows = np.arange(2 * CUTS)
    other = rows ^ 1  # a half's other half
    gammas = np.stack([part.best() for part in parts])
    fixed = np.stack([part.h(np.full(len(rows), gamma)) for part in parts])
    best, crossed = (
        np.stack([part.h(g) for part, g in zip(parts, chosen_on, strict=True)])
        for chosen_on in (gammas, gammas[:, other])
    )
    found = {}
    for chosen in CHOSEN if passes > 1 else CHOSEN[1:]:
        keeps = chosen in ("classifier epoch", "epoch")  # gamma
        here, there = (fixed, fixed) if keeps else (best, crossed)
        free = np.flatnonzero([_is_free(e, epoch, chosen, passes) for e in epochs])
        picked = free[np.argmax(here[free], axis=0)]
        ours = fixed[epochs.index(epoch), other]
        read = np.stack([here[picked, rows], there[picked, other], ours], axis=1)
        of_itself, of_the_other, of_ours = read.mean(axis=0)
        found[chosen] = Inflation(float(of_itself - of_the_other), float(of_the_other - of_ours))
    return found


def stratified_half(labels: Int, cut: int) -> Bool:
    """Return `[n]`: half of each class's images; of an odd number, the odd one by chance."""
    rng = generator(0, "halves of test", cut)
    half = np.zeros(len(labels), dtype=bool)
    for c in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == c))
        half[members[: (len(members) + int(rng.integers(2))) // 2]] = True
    return half


def _is_free(e: int, epoch: int, chosen: Chosen, passes: int) -> bool:
    """Return whether an epoch may be chosen."""
    if chosen == "classifier epoch":
        return (e - 1) // passes == (epoch - 1) // passes
    if chosen == "epoch":
        return (e - epoch) % passes == 0
    return e == epoch or chosen == "all"


@lru_cache(maxsize=4)  # all runs on a dataset have the same test items
def _weights(labels: bytes, seen: int, average: Average, cuts: int) -> Float:
    """Return `[2 * cuts, n]` each image's weight in each half of each cut; 0 in the other half."""
    classes, nothing = np.frombuffer(labels, np.int64), np.empty(0)
    found = np.zeros((2 * cuts, len(classes)))
    for cut in range(cuts):
        half = stratified_half(classes, cut)
        for row, mask in enumerate((half, ~half), start=2 * cut):
            part = Outcome(classes[mask], seen, nothing > 0, nothing > 0, nothing, average)
            found[row, mask] = part.weights
    return found


@dataclass(frozen=True)
class _Parts:
    """The curves of one epoch on parts of the test images, as `SeenUnseenCurve`, at all its steps.

    Attributes:
        steps: `[k]` increasing gammas.
        u: `[p, k + 1]` percent.
        s: `[p, k + 1]` percent.
        has: `[p, k]` whether a part's own curve changes at a step.
    """

    steps: Float
    u: Float
    s: Float
    has: Bool

    @classmethod
    def of(cls, outcome: Outcome) -> "_Parts":
        """Build the curves of both halves of every cut from one sort."""
        labels = outcome.labels.astype(np.int64, copy=False).tobytes()
        weight = 100 * _weights(labels, outcome.seen, outcome.average, CUTS)[:, outcome.order]
        margin = outcome.margin[outcome.order]
        ends = np.append(np.flatnonzero(np.diff(margin)), len(margin) - 1)[: len(margin)]
        start = np.zeros((len(weight), 1))
        gained, lost = (
            np.hstack([start, np.cumsum(np.where(hit[outcome.order], weight, 0.0), axis=1)])
            for hit in (outcome.unseen_hit, outcome.seen_hit)
        )
        counts = np.hstack([start, np.cumsum(weight > 0, axis=1)])
        at = np.append(0, ends + 1)
        u = np.minimum(gained[:, at], 100.0)
        s = np.clip(lost[:, -1:] - lost[:, at], 0.0, 100.0)
        return cls(margin[ends], u, s, np.diff(counts[:, at], axis=1) > 0)

    def best(self) -> Float:
        """Return `[p]` a gamma in the middle of the plateau with each part's best H."""
        index = np.argmax(_harmonic(self.u, self.s), axis=1)
        places = [int(has[:i].sum()) for has, i in zip(self.has, index, strict=True)]
        middles = (
            plateau_middle(self.steps[has], place, place)
            for has, place in zip(self.has, places, strict=True)
        )
        return np.fromiter(middles, np.float64)

    def h(self, gammas: Float) -> Float:
        """Return `[p]` each part's H at a gamma of its own."""
        at = np.arange(len(self.u)), np.searchsorted(self.steps, gammas, side="left")
        return np.minimum(_harmonic(self.u[at], self.s[at]), 100.0)


def _harmonic(u: Float, s: Float) -> Float:
    total = u + s
    return np.divide(2 * u * s, total, out=np.zeros_like(total), where=total > 0)
