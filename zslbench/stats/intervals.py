"""Intervals and paired differences. Pure numpy and scipy.

Every metric of a run is, to first order, a weighted mean over test images of a *placement*: whether
the image is right (T1, U, S), that times the metric's gradient (H), or for AUSUC the share of the
other side that lies on the right side of the image's margin (AUSUC is a Mann-Whitney statistic, so
these are DeLong's placement values). Variances of placements within and between classes are what
resampling images within classes, or classes, converges to, without its Monte Carlo noise; n - 1 in
place of n makes them unbiased for small samples. Placements of the same images are averaged over
seeds first, which is resampling with the same draw for all seeds; the variance of the seeds' own
values comes beside it. `tests/stats/test_coverage.py` simulates what these intervals cover.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from zslbench.metrics import Bool, Float, Int, Outcome

Metric = Literal["t1", "u", "s", "h", "ausuc"]
Population = Literal["these_classes", "new_classes"]
METRICS: tuple[Metric, ...] = ("t1", "u", "s", "h", "ausuc")
POPULATIONS: tuple[Population, ...] = ("these_classes", "new_classes")
LEVEL = 0.95

# Of variances `[M]`, one of each metric, each with its degrees of freedom.
Parts = list[tuple[Float, Float | float]]
Reading = tuple[Outcome, float]  # a run's outcome with the gamma it is read at


@dataclass(frozen=True)
class Interval:
    """A mean over seeds with its 95 % interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """A paired difference, mean over seeds, with its 95 % interval and two-sided p value."""

    mean: float
    low: float
    high: float
    p: float


def placements(outcome: Outcome, gamma: float, metrics: Sequence[Metric]) -> Float:
    """Return the placements `[M, n]` of metrics, each in its own unit."""
    answered_seen = outcome.margin >= gamma
    s = np.where(answered_seen & outcome.seen_hit, 100.0, 0.0)
    u = np.where(~answered_seen & outcome.unseen_hit, 100.0, 0.0)

    def of(metric: Metric) -> Float:
        if metric == "ausuc":
            return outcome.curve_placements
        if metric == "t1":
            return np.where(outcome.unseen_hit, 100.0, 0.0)
        if metric != "h":
            return s if metric == "s" else u
        scores = outcome.scores(gamma)
        total = scores.u + scores.s or 1.0
        return 2 * (scores.u / total) ** 2 * s + 2 * (scores.s / total) ** 2 * u

    return np.array([of(metric) for metric in metrics])


@dataclass(frozen=True)
class _Units:
    """Placements of M metrics gathered by class, from which either population is resampled.

    Attributes:
        outcome: One that has the images' classes.
        means: `[M, seeds, c]` mean placement of a class's images.
        squares: `[M, c]` their squared distances from it, averaged over seeds first, summed.
    """

    outcome: Outcome
    means: Float
    squares: Float

    @classmethod
    def of(cls, placed: Float, outcome: Outcome) -> "_Units":
        """Gather placements `[M, seeds, n]`."""
        _, members, counts = outcome.classes
        sums = [[np.bincount(members, weights=row) for row in metric] for metric in placed]
        means = np.array(sums) / counts
        distances = placed.mean(axis=1) - means.mean(axis=1)[:, members]
        squares = [np.bincount(members, weights=row) for row in distances**2]
        return cls(outcome, means, np.array(squares, dtype=np.float64))

    def of_images(self) -> Parts:
        """Return parts of the variances over images, each with its degrees of freedom."""
        shares, counts = self.outcome.class_shares, self.outcome.classes[2]
        return [
            _within(shares[side], self.squares[:, side], counts[side], read)
            for side, read in self._sides()
        ]

    def of_classes(self, means: Float) -> Parts:
        """Return parts of the variances over classes of their means `[M, k, c]`, summed over k."""
        shares = self.outcome.class_shares
        return [_between(shares[side], means[:, :, side], read) for side, read in self._sides()]

    def _sides(self) -> Iterator[tuple[slice, Bool]]:
        """Yield where in `c` either side is, and `[M]` whether any of its images is placed there.

        A metric that reads a side not at all has all its images there at 0.
        """
        first_unseen = int(np.searchsorted(self.outcome.classes[0], self.outcome.seen))
        for side in (slice(first_unseen), slice(first_unseen, None)):
            placed = np.any(self.means[..., side], axis=(1, 2))
            yield side, np.logical_or(placed, np.any(self.squares[:, side], axis=1))


def _within(shares: Float, squares: Float, counts: Int, read: Bool) -> tuple[Float, Float | float]:
    """Return the variances of a side's means over images; a class of one has that of its peers."""
    several = counts > 1
    if not several.any():
        return np.where(read, np.inf, 0.0), 1.0
    freedom = np.where(several, counts - 1, several.sum())
    variance = squares / freedom
    if not several.all():
        variance[:, ~several] = variance[:, several].mean(axis=1, keepdims=True)
    parts = shares**2 * variance / counts
    total = parts.sum(axis=1)
    return total, _freedom(total, (parts**2 / freedom).sum(axis=1))


def _between(shares: Float, means: Float, read: Bool) -> tuple[Float, Float | float]:
    """Return the variances of a side's means over classes; one class says nothing of others."""
    n = len(shares)
    if n == 1:
        return np.where(read, np.inf, 0.0), 1.0
    distances = means - (shares * means).sum(axis=2, keepdims=True)
    return n / (n - 1) * (shares**2 * distances**2).sum(axis=(1, 2)), n - 1.0


def intervals(
    outcomes: Sequence[Outcome], gammas: Sequence[float]
) -> dict[Metric, dict[Population, Interval]]:
    """Return every metric's mean over seeds with its 95 % intervals.

    The half-widths for images (or classes) and for seeds, each a t interval's, are added in
    quadrature: pooling their degrees of freedom (Welch and Satterthwaite) covers 87 to 93 % where
    three seeds differ much. The interval is laid on the logit scale, without which it covers 86 %
    where U is near 6 %. Images are taken as drawn one by one: of several photos of one bird the
    interval for these classes knows nothing, and is too narrow.

    Args:
        outcomes: One per seed, over the same images in the same order.
        gammas: One per seed, in the unit of the outcomes' margins.

    Returns:
        By metric and population: `these_classes` holds the classes fixed and lets images and seeds
        vary; `new_classes` lets classes vary as well (a class's mean already carries the noise of
        its images, so images are not resampled a second time).
    """
    readings = list(zip(outcomes, gammas, strict=True))
    scores = [outcome.scores(gamma) for outcome, gamma in readings]
    values = np.array([[getattr(each, metric) for each in scores] for metric in METRICS])
    placed = np.stack([placements(*reading, METRICS) for reading in readings], axis=1)
    units = _Units.of(placed, outcomes[0])
    halves = {p: _together(_sources(values, units, p), LEVEL) for p in POPULATIONS}
    return {
        metric: {p: _interval(row, halves[p][place], outcomes[0], metric, p) for p in POPULATIONS}
        for place, (metric, row) in enumerate(zip(METRICS, values, strict=True))
    }


def share_interval(
    values: Sequence[float], placed: Float, outcome: Outcome, population: Population
) -> Interval:
    """Return the interval of a mean of shares right (percent) over test images of one side.

    Args:
        values: One for each seed.
        placed: `[seeds, n]` their placements.
        outcome: The images' labels; none of them seen, whatever was answered.
        population: As in `intervals`.
    """
    row = np.asarray(values)
    sources = _sources(row[None], _Units.of(placed[None], outcome), population)
    return _interval(row, _together(sources, LEVEL)[0], outcome, "t1", population)


def _interval(
    values: Float, half: float, outcome: Outcome, metric: Metric, population: Population
) -> Interval:
    mean, top = float(np.mean(values)), 1.0 if metric == "ausuc" else 100.0
    # Placements that are all alike may be apart by rounding.
    if half <= 1e-9 * top and (np.isclose(mean, 0.0) or np.isclose(mean, top)):
        mean = round(mean / top) * top
        half = top * _unseen_events(outcome, metric, population)
    low, high = _on_logit_scale(mean / top, half / top)
    return Interval(mean, min(top * low, mean), max(top * high, mean))


def over_seeds(values: Sequence[float]) -> Interval:
    """Return the mean of some seeds' values with its t interval; of one seed, the value alone."""
    mean = float(np.mean(values))
    if len(values) == 1:
        return Interval(mean, mean, mean)
    variance = np.var(values, ddof=1, keepdims=True) / len(values)
    half = float(_half_width([(variance, len(values) - 1.0)], LEVEL)[0])
    return Interval(mean, mean - half, mean + half)


def paired(
    ours: Sequence[Reading], theirs: Sequence[Reading], metric: Metric, population: Population
) -> Difference:
    """Return by how much one method exceeds another on the same images and seeds.

    The placements of the same image are subtracted first, so that what both find easy or hard
    cancels; otherwise as `intervals`, but symmetric, since a difference has no bounds to respect
    near 0. p is the smallest level at which the interval excludes 0.

    Args:
        ours: One for each seed.
        theirs: Of the same seeds in the same order, over the same images.
        metric: Which metric.
        population: As in `intervals`.

    Raises:
        ValueError: If the two were not scored on the same images and seeds.
    """
    if len(ours) != len(theirs) or not np.array_equal(ours[0][0].labels, theirs[0][0].labels):
        raise ValueError("paired differences need the same seeds and the same images")
    values = _values(ours, metric) - _values(theirs, metric)
    placed = _placed(ours, metric) - _placed(theirs, metric)
    return difference(values, placed, ours[0][0], population)


def difference(
    values: Float, placed: Float, outcome: Outcome, population: Population
) -> Difference:
    """Return the interval of a mean that may be of either sign, symmetric, with its p value.

    Args:
        values: `[seeds]`.
        placed: `[seeds, n]` their placements.
        outcome: The images' labels.
        population: As in `intervals`.
    """
    parts = _sources(values[None], _Units.of(placed[None], outcome), population)
    mean, half = float(np.mean(values)), float(_together(parts, LEVEL)[0])
    mean = 0.0 if np.isclose(mean, 0.0) else mean  # sums in another order differ in their last bits
    return Difference(mean, mean - half, mean + half, _p_value(abs(mean), parts))


def _values(readings: Sequence[Reading], metric: Metric) -> Float:
    return np.array([getattr(outcome.scores(gamma), metric) for outcome, gamma in readings])


def _placed(readings: Sequence[Reading], metric: Metric) -> Float:
    """Return placements `[seeds, n]`."""
    return np.concatenate([placements(*reading, (metric,)) for reading in readings])


def _sources(values: Float, units: _Units, population: Population) -> list[Parts]:
    """Return variances of means over seeds `[M, seeds]` by source: images (or classes), and seeds.

    Seeds that differ from class to class move both the classes' means and the seeds' values. New
    classes count that once, off the seeds (analysis of variance of two crossed factors), unless
    there are but two, which can hardly tell the one from the other. These classes count seed by
    image twice: once covers less than 93 % where three seeds differ much.
    """
    n, mean = values.shape[1], units.means.mean(axis=1, keepdims=True)
    drawn = units.of_images() if population == "these_classes" else units.of_classes(mean)
    if n == 1:
        return [drawn]
    of_seeds = np.var(values, axis=1, ddof=1) / n
    if population == "new_classes" and n > 2:
        twice = sum(part for part, _ in units.of_classes(units.means - mean)) / (n * (n - 1))
        held = sum(part for part, _ in drawn)
        of_seeds = np.maximum(0.0, of_seeds - np.minimum(twice, held))
    return [drawn, [(of_seeds, n - 1.0)]]


def _together(sources: Sequence[Parts], level: float) -> Float:
    """Return half-widths `[M]` at a level: those of independent sources in quadrature."""
    together: Float = np.hypot.reduce([_half_width(parts, level) for parts in sources])
    return together


def _half_width(parts: Parts, level: float) -> Float:
    """Return half-widths `[M]` of t intervals, degrees of freedom by Welch and Satterthwaite."""
    from scipy.special import stdtrit

    variance = np.sum([part for part, _ in parts], axis=0)
    known = (variance > 0) & np.isfinite(variance)
    finite = np.where(known, variance, 0.0)
    below = np.sum([np.where(known, part, 0.0) ** 2 / df for part, df in parts], axis=0)
    half = stdtrit(_freedom(finite, below), (1 + level) / 2) * np.sqrt(finite)
    return np.where(known, half, variance)


def _freedom(variance: Float, below: Float) -> Float:
    """Return `variance ** 2 / below`; of no variance, which needs none, 1."""
    return np.divide(variance**2, below, out=np.ones_like(below), where=below > 0)


def _p_value(distance: float, parts: Sequence[Parts]) -> float:
    """Return the level, two-sided, whose interval just reaches 0."""
    from scipy.optimize import brentq

    def half(level: float) -> float:
        return float(_together(parts, level)[0])

    if half(LEVEL) == 0:
        return float(distance == 0)
    least = 1e-12
    if half(1 - least) <= distance:
        return least
    if distance == 0 or not np.isfinite(half(LEVEL)):
        return 1.0
    return float(brentq(lambda p: half(1 - p) - distance, least, 1.0))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values adjusted for their number (Holm, Scand. J. Statist. 6, 1979)."""
    order = np.argsort(p_values)
    steps = np.arange(len(p_values), 0, -1) * np.asarray(p_values)[order]
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(p) for p in adjusted]


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
    from scipy.special import expit, logit

    centre, reach = logit(mean), half / (mean * (1 - mean))
    return float(expit(centre - reach)), float(expit(centre + reach))
