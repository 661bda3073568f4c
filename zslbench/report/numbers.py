"""Metrics as tables name and print them."""

from zslbench.stats import Metric

NAMES: dict[Metric, str] = {"t1": "T1", "u": "U", "s": "S", "h": "H", "ausuc": "AUSUC"}


def number(metric: Metric, value: float, sign: str = "") -> str:
    """Return a value at the precision tables have: one decimal, three for AUSUC."""
    return f"{value:{sign}.3f}" if metric == "ausuc" else f"{value:{sign}.1f}"
