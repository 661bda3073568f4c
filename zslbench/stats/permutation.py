"""The permutation control: is T1 more than a lucky labelling? Pure numpy."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from zslbench.metrics import Int, ScoreSummary
from zslbench.seeding import generator


@dataclass(frozen=True)
class Control:
    """T1 under permuted class identities: is the accuracy more than a lucky labelling?

    Attributes:
        p: (1 + b) / (1 + n), b permutations having reached the observed T1.
        percentile_95: The 95th percentile of T1 under permutation, in percent.
        permutations: n.
    """

    p: float
    percentile_95: float
    permutations: int


def permutation_control(
    summaries: Sequence[ScoreSummary], labels: Int, seen: int, permutations: int = 200
) -> Control:
    """Return how T1 (mean over seeds) fares when the unseen classes' identities are permuted.

    The predictions stay, the names of the unseen classes are shuffled: 200 draws of the T1 that a
    labelling without meaning would have reached (Ojala and Garriga, JMLR 2010, p as (1+b)/(1+n)).
    """
    unseen = labels >= seen
    truth = labels[unseen] - seen
    answers = np.stack([summary.unseen_class[unseen] - seen for summary in summaries])
    classes = int(max(truth.max(), answers.max())) + 1
    pairs = np.bincount((truth * classes + answers).ravel(), minlength=classes**2)
    confusion = pairs.reshape(classes, classes)
    tested = np.flatnonzero(confusion.any(axis=1))
    confusion = confusion[tested] / confusion[tested].sum(axis=1, keepdims=True)
    draws = _permutations(classes, permutations)
    permuted = 100 * confusion[np.arange(len(tested)), draws[:, tested]].mean(axis=1)
    observed = 100 * confusion[np.arange(len(tested)), tested].mean()
    reached = int(np.sum(permuted >= observed - 1e-9))
    return Control(
        p=(1 + reached) / (1 + permutations),
        percentile_95=float(np.percentile(permuted, 95)),
        permutations=permutations,
    )


@cache
def _permutations(classes: int, count: int) -> Int:
    """Return permutations `[count, classes]`, the same for all runs."""
    rng = generator(0, "permutation control")
    return np.array([rng.permutation(classes) for _ in range(count)])
