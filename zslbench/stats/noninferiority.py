"""Is it worse than before, by more than matters? Non-inferiority of paired differences.

A cell (a method on a dataset, in one metric) has a margin: the largest drop that is accepted.

* PASS: a drop of the margin or more is excluded (one-sided t test of the paired differences, 5 %).
* FAIL: a drop is proven (one-sided t test against no drop, 5 % over all cells by Holm) and it is
  not proven to stay within the margin.
* INCONCLUSIVE: neither; more seeds decide.

A comparison fails if any cell does, hence Holm for FAIL. It passes only if every cell does: an
intersection-union test (Berger, Technometrics 24, 1982), which needs no correction.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, sqrt
from typing import Literal

import numpy as np
from scipy.special import stdtr

from zslbench.metrics import Float
from zslbench.seeding import generator
from zslbench.stats import holm

Verdict = Literal["PASS", "FAIL", "INCONCLUSIVE"]
ALPHA = 0.05
# A margin is at least so many standard deviations of what chance alone moves, up to so many seeds:
# what they can exclude. With more it shrinks as the error of a mean does.
SPREADS, USUAL_SEEDS = 1.5, 10
DRAWS = 2000


@dataclass(frozen=True)
class CellTest:
    """One cell's test.

    Attributes:
        drop: Mean of before minus now over the seeds; negative where it got better.
        p_drop: One-sided, against no drop; adjusted over the comparison's cells.
        p_margin: One-sided, against a drop of the margin.
    """

    drop: float
    margin: float
    p_drop: float
    p_margin: float
    verdict: Verdict


def margin_of(least: float, spread: float, seeds: int = USUAL_SEEDS) -> float:
    """Return the margin of a cell.

    Args:
        least: The smallest drop that matters.
        spread: Standard deviation over seeds of the difference that chance alone makes.
        seeds: Number of them.
    """
    return max(least, SPREADS * spread * min(1.0, sqrt(USUAL_SEEDS / seeds)))


def seeds_for(margin: float, spread: float) -> int:
    """Return how many seeds narrow a cell's margin down to one."""
    return max(USUAL_SEEDS, ceil(USUAL_SEEDS * (SPREADS * spread / margin) ** 2))


def judge(drops: Sequence[Sequence[float]], margins: Sequence[float]) -> list[CellTest]:
    """Judge the cells of a comparison.

    Args:
        drops: For each cell, before minus now of each seed; two seeds or more.
        margins: For each cell, above 0.

    Raises:
        ValueError: With fewer than two seeds.
    """
    if any(len(cell) < 2 for cell in drops):
        raise ValueError("a t test needs two seeds or more")
    values = [np.asarray(cell, dtype=np.float64) for cell in drops]
    against_none = [float(p_exceeds(cell, 0.0)) for cell in values]
    against_margin = [
        float(1 - p_exceeds(cell, margin)) for cell, margin in zip(values, margins, strict=True)
    ]
    return [
        CellTest(float(cell.mean()), margin, p_drop, p_margin, _verdict(p_drop, p_margin))
        for cell, margin, p_drop, p_margin in zip(
            values, margins, holm(against_none), against_margin, strict=True
        )
    ]


def _verdict(p_drop: float, p_margin: float) -> Verdict:
    if p_margin <= ALPHA:
        return "PASS"
    return "FAIL" if p_drop <= ALPHA else "INCONCLUSIVE"


def overall(cells: Sequence[CellTest]) -> Verdict:
    """Return FAIL if any cell fails, PASS if all pass."""
    verdicts = {cell.verdict for cell in cells}
    worst: tuple[Verdict, ...] = ("FAIL", "INCONCLUSIVE")
    return next((verdict for verdict in worst if verdict in verdicts), "PASS")


def p_exceeds(values: Float, bound: float) -> Float:
    """Return the one-sided p of a mean over the last axis not above `bound`; small: it is above.

    Where all seeds differ by the same, chance has no part in it, and p is 0 or 1.
    """
    n = values.shape[-1]
    away = values.mean(axis=-1) - bound
    error = values.std(axis=-1, ddof=1) / n**0.5
    exact = np.where(away > 0, 0.0, 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(error > 1e-9, stdtr(n - 1, -away / error), exact)


def power(
    seeds: int, spread: float, drop: float, least: float = 1.0, cells: int = 1
) -> dict[Verdict, float]:
    """Return how often one cell of several would get each verdict, by simulation.

    Args:
        seeds: Number of them.
        spread: Standard deviation over seeds of the paired difference.
        drop: The true one.
        least: The smallest drop that matters; the margin is that of `margin_of`.
        cells: Of the comparison: the worst case of Holm, in which no other cell drops.
    """
    noise = generator(0, "power", seeds).normal(size=(DRAWS, seeds))
    drawn = drop + spread * noise
    passed = 1 - p_exceeds(drawn, margin_of(least, spread, seeds)) <= ALPHA
    failed = ~passed & (p_exceeds(drawn, 0.0) * cells <= ALPHA)
    return {
        "PASS": float(passed.mean()),
        "FAIL": float(failed.mean()),
        "INCONCLUSIVE": float(1 - passed.mean() - failed.mean()),
    }


def sight(seeds: int, spread: float, least: float, cells: int) -> tuple[float, float]:
    """Return up to which drop a cell PASSes at least half the time, and from which it FAILs 80 %.

    Args:
        seeds: Number of them.
        spread: Standard deviation over seeds of the paired difference.
        least: The smallest drop that matters.
        cells: Of the comparison.
    """

    def smallest(reached: Callable[[dict[Verdict, float]], bool]) -> float:
        low, high = 0.0, 100 * margin_of(least, spread, seeds)
        while high - low > 0.01:
            middle = (low + high) / 2
            found = reached(power(seeds, spread, middle, least, cells))
            low, high = (low, middle) if found else (middle, high)
        return high

    return smallest(lambda rates: rates["PASS"] < 0.5), smallest(lambda rates: rates["FAIL"] >= 0.8)
