"""What choosing on test adds to H, split into optimism and regret. Pure numpy.

The test images are cut into two halves, class by class. Epoch, gamma or all are chosen on one half
and read there and on the other, both ways, over several cuts. What the chosen half reads more than
the other is *optimism*: it is owed to noise alone. What the other half reads more than our own
choice does there is *regret*: it is what choosing in the tuning worlds cost. Where each epoch is
one of a final classifier's (`AnyMethod.passes`), its epoch and its generator's are told apart.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np

from zslbench.metrics import Bool, Int, Outcome
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
    labels = outcomes[epoch].labels
    read: dict[Chosen, list[tuple[float, float, float]]]
    read = {chosen: [] for chosen in (CHOSEN if passes > 1 else CHOSEN[1:])}
    for cut in range(CUTS):
        half = stratified_half(labels, cut)
        halves = [{e: _part(o, mask) for e, o in outcomes.items()} for mask in (half, ~half)]
        ours = [{e: (o.h(gamma), gamma) for e, o in part.items()} for part in halves]
        best = [{e: _best(o) for e, o in part.items()} for part in halves]
        for here, there in ((0, 1), (1, 0)):
            for chosen, triples in read.items():
                options = ours[here] if chosen in ("classifier epoch", "epoch") else best[here]
                e = _choose(options, epoch, chosen, passes)
                h, g = options[e]
                triples.append((h, halves[there][e].h(g), ours[there][epoch][0]))
    found = {}
    for chosen, triples in read.items():
        of_itself, of_the_other, ours = np.mean(triples, axis=0)
        found[chosen] = Inflation(float(of_itself - of_the_other), float(of_the_other - ours))
    return found


def stratified_half(labels: Int, cut: int) -> Bool:
    """Return `[n]`: half of each class's images; of an odd number, the odd one by chance."""
    return _half(labels.astype(np.int64, copy=False).tobytes(), cut)


@lru_cache(maxsize=2 * CUTS)  # all runs on a dataset have the same test items
def _half(items: bytes, cut: int) -> Bool:
    labels: Int = np.frombuffer(items, np.int64)
    rng = generator(0, "halves of test", cut)
    half = np.zeros(len(labels), dtype=bool)
    for c in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == c))
        half[members[: (len(members) + int(rng.integers(2))) // 2]] = True
    return half


def _best(outcome: Outcome) -> tuple[float, float]:
    """Return the best H over gamma, as read at the gamma that is returned with it."""
    gamma = outcome.curve.best()[1]
    return outcome.h(gamma), gamma


def _choose(
    options: Mapping[int, tuple[float, float]], epoch: int, chosen: Chosen, passes: int
) -> int:
    """Return the epoch with the best H of those that are free to choose.

    Args:
        options: H and gamma of each.
        epoch: What the tuning worlds chose.
        chosen: What is chosen.
        passes: As of `inflation`.
    """
    free: dict[Chosen, Callable[[int], bool]] = {
        "classifier epoch": lambda e: (e - 1) // passes == (epoch - 1) // passes,
        "epoch": lambda e: (e - epoch) % passes == 0,
        "gamma": lambda e: e == epoch,
        "all": lambda _: True,
    }
    return max(filter(free[chosen], options), key=lambda e: options[e][0])


def _part(outcome: Outcome, mask: Bool) -> Outcome:
    by_image = ("labels", "seen_hit", "unseen_hit", "margin")
    return replace(outcome, **{name: getattr(outcome, name)[mask] for name in by_image})
