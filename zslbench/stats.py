"""Intervals and the permutation control. Pure numpy and scipy.

Every metric of a run is, to first order, a weighted mean over test images of a *placement*: whether
the image is right (T1, U, S), that times the metric's gradient (H), or for AUSUC the share of the
other side that lies on the right side of the image's margin (AUSUC is a Mann-Whitney statistic, so
these are DeLong's placement values). Variances of placements within and between classes are what
resampling images within classes, or classes, converges to, without its Monte Carlo noise; n - 1 in
place of n makes them unbiased for small samples. Placements of the same images are averaged over
seeds first, which is resampling with the same draw for all seeds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.stats import t as student_t

from zslbench.metrics import Float, Int, Outcome, ScoreSummary
from zslbench.seeding import generator

Metric = Literal["t1", "u", "s", "h", "ausuc"]
Population = Literal["these_classes", "new_classes"]
METRICS: tuple[Metric, ...] = ("t1", "u", "s", "h", "ausuc")
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean over seeds with its 95 % interval, clipped to what the metric can be."""

    mean: float
    low: float
    high: float


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


def placements(outcome: Outcome, gamma: float) -> dict[Metric, Float]:
    """Return, for each metric, `[n]` placements in the metric's own unit."""
    is_seen = outcome.labels < outcome.seen
    answered_seen = outcome.margin >= gamma
    u_hit: Float = 100.0 * (outcome.unseen_hit & ~answered_seen).astype(np.float64)
    s_hit: Float = 100.0 * (outcome.seen_hit & answered_seen).astype(np.float64)
    scores = outcome.scores(gamma)
    total = scores.u + scores.s
    du, ds = (2 * scores.s**2 / total**2, 2 * scores.u**2 / total**2) if total > 0 else (0.0, 0.0)
    return {
        "t1": 100.0 * outcome.unseen_hit.astype(np.float64),
        "u": u_hit,
        "s": s_hit,
        "h": np.where(is_seen, ds * s_hit, du * u_hit),
        "ausuc": _curve_placements(outcome),
    }


def _curve_placements(outcome: Outcome) -> Float:
    """Share of the other side's right answers beyond each right answer's margin; ties half."""
    placed = np.zeros(len(outcome.labels))
    for mine, other, beyond in (
        (outcome.seen_hit, outcome.unseen_hit, False),
        (outcome.unseen_hit, outcome.seen_hit, True),
    ):
        order = np.argsort(outcome.margin[other])
        ladder = np.concatenate(([0.0], np.cumsum(outcome.weights[other][order])))
        rungs = outcome.margin[other][order]
        below = ladder[np.searchsorted(rungs, outcome.margin[mine], side="left")]
        below_or_tied = ladder[np.searchsorted(rungs, outcome.margin[mine], side="right")]
        half_tied = (below + below_or_tied) / 2
        placed[mine] = ladder[-1] - half_tied if beyond else half_tied
    return placed


def _variance_parts(
    placed: Float, outcome: Outcome, population: Population
) -> list[tuple[float, float]]:
    """Return independent parts of the variance of a metric, each with its degrees of freedom."""
    classes, members = np.unique(outcome.labels, return_inverse=True)
    counts = np.bincount(members)
    means = np.bincount(members, weights=placed) / counts
    shares = np.bincount(members, weights=outcome.weights)
    if population == "these_classes":
        squares = np.bincount(members, weights=(placed - means[members]) ** 2)
        several = counts > 1
        spread = squares[several] / (counts[several] - 1) / counts[several]
        parts = shares[several] ** 2 * spread
        return list(zip(parts.tolist(), (counts[several] - 1).tolist(), strict=True))
    parts_by_side = []
    for side in (classes < outcome.seen, classes >= outcome.seen):
        n, share, mean = side.sum(), shares[side], means[side]
        if n > 1:
            spread = share**2 * (mean - np.sum(share * mean)) ** 2
            parts_by_side.append((float(n / (n - 1) * spread.sum()), float(n - 1)))
    return parts_by_side


def interval(
    outcomes: Sequence[Outcome], gammas: Sequence[float], metric: Metric, population: Population
) -> Interval:
    """Return a metric's mean over seeds with its 95 % interval.

    Args:
        outcomes: One per seed, over the same images in the same order.
        gammas: One per seed, in the unit of the outcomes' margins.
        metric: Which metric.
        population: `these_classes` holds the classes fixed and lets images and seeds vary;
            `new_classes` lets classes vary as well (a class's mean already carries the noise of
            its images, so images are not resampled a second time).
    """
    values = [getattr(o.scores(g), metric) for o, g in zip(outcomes, gammas, strict=True)]
    placed = np.mean(
        [placements(o, g)[metric] for o, g in zip(outcomes, gammas, strict=True)], axis=0
    )
    parts = _variance_parts(placed, outcomes[0], population)
    if len(values) > 1:
        parts.append((float(np.var(values, ddof=1)) / len(values), len(values) - 1.0))
    mean, top = float(np.mean(values)), 1.0 if metric == "ausuc" else 100.0
    half = _half_width(parts)
    return Interval(mean, max(0.0, mean - half), min(top, mean + half))


def _half_width(parts: Sequence[tuple[float, float]]) -> float:
    """Return the half-width of a t interval, degrees of freedom by Welch and Satterthwaite."""
    variance = sum(part for part, _ in parts)
    if variance <= 0:
        return 0.0
    freedom = variance**2 / sum(part**2 / df for part, df in parts)
    return float(student_t.ppf((1 + LEVEL) / 2, freedom) * np.sqrt(variance))


def permutation_control(
    summaries: Sequence[ScoreSummary], labels: Int, seen: int, permutations: int = 200
) -> Control:
    """Return how T1 (mean over seeds) fares when the unseen classes' identities are permuted.

    The predictions stay, the names of the unseen classes are shuffled: 200 draws of the T1 that a
    labelling without meaning would have reached (Ojala and Garriga, JMLR 2010, p as (1+b)/(1+n)).
    """
    unseen = labels >= seen
    truth = labels[unseen] - seen
    classes = int(truth.max()) + 1
    confusion = np.zeros((classes, classes))
    for summary in summaries:
        np.add.at(confusion, (truth, summary.unseen_class[unseen] - seen), 1.0)
    confusion /= confusion.sum(axis=1, keepdims=True)
    rng = generator(0, "permutation control")
    draws = np.array([rng.permutation(classes) for _ in range(permutations)])
    permuted = 100 * confusion[np.arange(classes), draws].mean(axis=1)
    reached = int(np.sum(permuted >= 100 * np.diag(confusion).mean() - 1e-9))
    return Control(
        p=(1 + reached) / (1 + permutations),
        percentile_95=float(np.percentile(permuted, 95)),
        permutations=permutations,
    )
