"""Metrics as tables name and print them."""

from collections.abc import Mapping

from zslbench.stats import Difference, Interval, Metric, Population

NAMES: dict[Metric, str] = {"t1": "T1", "u": "U", "s": "S", "h": "H", "ausuc": "AUSUC"}


def number(metric: Metric, value: float, sign: str = "") -> str:
    """Return a value at the precision tables have: one decimal, three for AUSUC."""
    return f"{value:{sign}.3f}" if metric == "ausuc" else f"{value:{sign}.1f}"


def p_value(p: float) -> str:
    """Return `= 0.012`, or `< 0.001`: a p value is never 0."""
    return "< 0.001" if p < 0.0005 else f"= {p:.3f}"


def estimate(found: Interval | Difference, metric: Metric = "h", sign: str = "") -> str:
    """Return a mean and its interval, as two lines."""
    mean, low, high = (number(metric, v, sign) for v in (found.mean, found.low, found.high))
    return f"{mean}\n[{low}, {high}]"


def estimates(
    found: Mapping[Population, Interval] | Mapping[Population, Difference], metric: Metric = "h"
) -> str:
    """Return a mean, its intervals for these classes and for new ones, as lines.

    Differences have their sign, and their p values on a last line.
    """
    these, new = found["these_classes"], found["new_classes"]
    sign = "+" if isinstance(these, Difference) else ""
    lines = [estimate(these, metric, sign)]
    lines.append(f"({number(metric, new.low, sign)}, {number(metric, new.high, sign)})")
    if isinstance(these, Difference) and isinstance(new, Difference):
        lines.append(f"p {p_value(these.p)} ({p_value(new.p).removeprefix('= ')})")
    return "\n".join(lines)
