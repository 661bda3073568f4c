"""The noise of the choice itself: all seeds of a run share one, made in a few tuning worlds.

Its standard error is a jackknife over the tuning worlds: H is read at the epoch and gamma that
would have been chosen without each world in turn. All seeds share the choice, so it is not divided
by their number; a difference of two methods leaves the same world out of both.

A choice among epochs is no smooth statistic. The jackknife overstates its variance, and yet is
small by chance more often than a normal variable's is. With `REACH` the interval covers 97 to 99 %
in simulations where images dominate, and 93 to 96 % where the choice does: on the real features
that it was set by, so that other data may show less (`tests/stats/test_choice_coverage.py`).
"""

import numpy as np

from zslbench.metrics import Float
from zslbench.stats.intervals import Difference, Interval

REACH = 3.0  # standard errors: 1.96 covers 89 % where the choice dominates, t's 4.3 up to 100 %


def choice_spread(h: Float) -> float:
    """Return the standard error over choices of H `[seeds, W]`, or of a difference in H.

    Args:
        h: In percent, at what would be chosen without each of the W tuning worlds.
    """
    means, worlds = h.mean(axis=0), h.shape[1]
    return float(np.sqrt((worlds - 1) * np.var(means)))


def with_choice(found: Interval | Difference, spread: float | None) -> Interval | None:
    """Return the interval of an H, or of a difference in H, that includes the choice, if known.

    Both parts are added in quadrature: on the logit scale for an H between 0 and 100, where its own
    interval is laid.
    """
    if spread is None:
        return None
    if isinstance(found, Difference) or not 0 < found.low <= found.high < 100:
        low, high = (
            float(np.hypot(e - found.mean, REACH * spread)) for e in (found.low, found.high)
        )
        floor = -100.0 if isinstance(found, Difference) else 0.0
        return Interval(found.mean, max(floor, found.mean - low), min(100.0, found.mean + high))
    from scipy.special import expit, logit

    mean, low, high = (value / 100 for value in (found.mean, found.low, found.high))
    reach = np.hypot((logit(high) - logit(low)) / 2, REACH * spread / 100 / (mean * (1 - mean)))
    ends = 100 * expit(logit(mean) + np.array([-reach, reach]))
    return Interval(found.mean, float(ends[0]), float(ends[1]))
