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
from scipy.special import expit, logit, stdtrit

from zslbench.metrics import Float, Int, Outcome, ScoreSummary
from zslbench.seeding import generator

Metric = Literal["t1", "u", "s", "h", "ausuc"]
Population = Literal["these_classes", "new_classes"]
METRICS: tuple[Metric, ...] = ("t1", "u", "s", "h", "ausuc")
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean over seeds with its 95 % interval."""

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
    means: Float = np.bincount(members, weights=placed) / counts
    shares: Float = np.bincount(members, weights=outcome.weights).astype(np.float64)
    squares: Float = np.bincount(members, weights=(placed - means[members]) ** 2).astype(np.float64)
    parts: list[tuple[float, float]] = []
    for side in (classes < outcome.seen, classes >= outcome.seen):
        if not placed[side[members]].any():
            continue
        if population == "these_classes":
            parts += _within(shares[side], squares[side], counts[side])
        else:
            parts += _between(shares[side], means[side])
    return parts


def _within(shares: Float, squares: Float, counts: Int) -> list[tuple[float, float]]:
    """Return the variance of each class's mean; a class of one image has that of its peers."""
    several = counts > 1
    if not several.any():
        return [(np.inf, 1.0)]
    variance = np.divide(squares, counts - 1, out=np.zeros_like(squares), where=several)
    variance[~several] = variance[several].mean()
    freedom = np.where(several, counts - 1, several.sum())
    return list(zip((shares**2 * variance / counts).tolist(), freedom.tolist(), strict=True))


def _between(shares: Float, means: Float) -> list[tuple[float, float]]:
    """Return the variance of a side's mean over classes; one class says nothing of others."""
    n = len(means)
    if n == 1:
        return [(np.inf, 1.0)]
    spread = shares**2 * (means - np.sum(shares * means)) ** 2
    return [(float(n / (n - 1) * spread.sum()), n - 1.0)]


def interval(
    outcomes: Sequence[Outcome], gammas: Sequence[float], metric: Metric, population: Population
) -> Interval:
    """Return a metric's mean over seeds with its 95 % interval.

    The half-widths for images (or classes) and for seeds, each a t interval's, are added in
    quadrature: pooling their degrees of freedom (Welch and Satterthwaite) fell short of 93 %
    coverage where two or three seeds differ much. The interval is laid on the logit scale, without
    which it covers 86 % where U is near 6 %.

    Args:
        outcomes: One per seed, over the same images in the same order.
        gammas: One per seed, in the unit of the outcomes' margins.
        metric: Which metric.
        population: `these_classes` holds the classes fixed and lets images and seeds vary;
            `new_classes` lets classes vary as well (a class's mean already carries the noise of
            its images, so images are not resampled a second time).
    """
    pairs = list(zip(outcomes, gammas, strict=True))
    values = [getattr(outcome.scores(gamma), metric) for outcome, gamma in pairs]
    placed = np.mean([placements(outcome, gamma)[metric] for outcome, gamma in pairs], axis=0)
    half = _half_width(_variance_parts(placed, outcomes[0], population))
    if len(values) > 1:
        over_seeds = float(np.var(values, ddof=1)) / len(values), len(values) - 1.0
        half = float(np.hypot(half, _half_width([over_seeds])))
    mean, top = float(np.mean(values)), 1.0 if metric == "ausuc" else 100.0
    if half == 0 and (np.isclose(mean, 0.0) or np.isclose(mean, top)):
        mean = round(mean / top) * top
        half = top * _unseen_events(outcomes[0], metric, population)
    low, high = _on_logit_scale(mean / top, half / top)
    return Interval(mean, min(top * low, mean), max(top * high, mean))


def _unseen_events(outcome: Outcome, metric: Metric, population: Population) -> float:
    """Return the share that n images (or classes) without exception cannot exclude (exact)."""
    is_seen = outcome.labels < outcome.seen
    sides = {"t1": [~is_seen], "u": [~is_seen], "s": [is_seen]}.get(metric, [is_seen, ~is_seen])
    units = [outcome.labels[side] for side in sides]
    counted = units if population == "these_classes" else [np.unique(unit) for unit in units]
    return float(1 - ((1 - LEVEL) / 2) ** (1 / max(1, min(map(len, counted)))))


def _on_logit_scale(mean: float, half: float) -> tuple[float, float]:
    """Return the ends in [0, 1] of the interval that is symmetric in the logit of the mean."""
    if half == 0:
        return mean, mean
    if not 0 < mean < 1 or not np.isfinite(half):
        return max(0.0, mean - half), min(1.0, mean + half)
    centre, reach = logit(mean), half / (mean * (1 - mean))
    return float(expit(centre - reach)), float(expit(centre + reach))


def _half_width(parts: Sequence[tuple[float, float]]) -> float:
    """Return the half-width of a t interval, degrees of freedom by Welch and Satterthwaite."""
    variance = sum(part for part, _ in parts)
    if not 0 < variance < np.inf:
        return float(variance)
    freedom = variance**2 / sum(part**2 / df for part, df in parts)
    return float(stdtrit(freedom, (1 + LEVEL) / 2) * np.sqrt(variance))


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
    confusion = np.zeros((classes, classes))
    np.add.at(confusion, (np.broadcast_to(truth, answers.shape), answers), 1.0)
    tested = np.unique(truth)
    confusion = confusion[tested] / confusion[tested].sum(axis=1, keepdims=True)
    rng = generator(0, "permutation control")
    draws = np.array([rng.permutation(classes) for _ in range(permutations)])
    permuted = 100 * confusion[np.arange(len(tested)), draws[:, tested]].mean(axis=1)
    observed = 100 * confusion[np.arange(len(tested)), tested].mean()
    reached = int(np.sum(permuted >= observed - 1e-9))
    return Control(
        p=(1 + reached) / (1 + permutations),
        percentile_95=float(np.percentile(permuted, 95)),
        permutations=permutations,
    )
