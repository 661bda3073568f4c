"""Intervals, paired differences, permutation tests and what else makes numbers comparable."""

from zslbench.stats.choice_spread import choice_spread, with_choice
from zslbench.stats.intervals import (
    METRICS,
    POPULATIONS,
    Difference,
    Interval,
    Metric,
    Population,
    Reading,
    difference,
    holm,
    intervals,
    over_seeds,
    paired,
    placements,
    share_interval,
)
