"""What choosing on test adds to H, split into optimism and regret. Pure numpy.

The test images are cut into two halves, class by class. Epoch, gamma or all are chosen on one half
and read there and on the other, both ways, over several cuts. What the chosen half reads more than
the other is *optimism*: it is owed to noise alone. What the other half reads more than our own
choice does there is *regret*: it is what choosing in the tuning worlds cost. Where each epoch is
one of a final classifier's (`AnyMethod.passes`), its epoch and its generator's are told apart.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
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
        for here, there in (halves, halves[::-1]):
            for chosen, triples in read.items():
                e, g = _choose(here, epoch, gamma, chosen, passes)
                ours = there[epoch].scores(gamma).h
                triples.append((here[e].scores(g).h, there[e].scores(g).h, ours))
    found = {}
    for chosen, triples in read.items():
        of_itself, of_the_other, ours = np.mean(triples, axis=0)
        found[chosen] = Inflation(float(of_itself - of_the_other), float(of_the_other - ours))
    return found


def stratified_half(labels: Int, cut: int) -> Bool:
    """Return `[n]`: half of each class's images; of an odd number, the odd one by chance."""
    rng = generator(0, "halves of test", cut)
    half = np.zeros(len(labels), dtype=bool)
    for c in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == c))
        half[members[: (len(members) + int(rng.integers(2))) // 2]] = True
    return half


def _choose(
    here: Mapping[int, Outcome], epoch: int, gamma: float, chosen: Chosen, passes: int
) -> tuple[int, float]:
    """Return the best epoch and gamma on some images, of those that are free to choose."""
    free: dict[Chosen, Callable[[int], bool]] = {
        "classifier epoch": lambda e: (e - 1) // passes == (epoch - 1) // passes,
        "epoch": lambda e: (e - epoch) % passes == 0,
        "gamma": lambda e: e == epoch,
        "all": lambda _: True,
    }
    fixed = chosen in ("classifier epoch", "epoch")
    options = [(e, gamma if fixed else here[e].curve.best()[1]) for e in here if free[chosen](e)]
    return max(options, key=lambda option: here[option[0]].scores(option[1]).h)


def _part(outcome: Outcome, mask: Bool) -> Outcome:
    by_image = ("labels", "seen_hit", "unseen_hit", "margin")
    return replace(outcome, **{name: getattr(outcome, name)[mask] for name in by_image})
