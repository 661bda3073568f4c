"""How far labs that ran the same method lie apart, beside what their seeds explain."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class LabSpread:
    """A metric over labs.

    Attributes:
        means: Of each lab, over its seeds.
        between: Standard deviation of the labs' means.
        seeds: What it would be if labs differed in their seeds alone: the root of the mean of each
            lab's squared standard error, from the pooled variance of seeds; None where no lab has
            two.
    """

    means: dict[str, float]
    between: float
    seeds: float | None


def lab_spread(values: Mapping[str, Sequence[float]]) -> LabSpread | None:
    """Return the spread of a metric between labs; None for fewer than two.

    Args:
        values: Lab -> the metric of each of its seeds.
    """
    if len(values) < 2:
        return None
    means = {lab: float(np.mean(own)) for lab, own in values.items()}
    squares = sum(float(np.var(own)) * len(own) for own in values.values())
    freedom = sum(len(own) - 1 for own in values.values())
    share = float(np.mean([1 / len(own) for own in values.values()]))
    seeds = (squares / freedom * share) ** 0.5 if freedom else None
    return LabSpread(means, float(np.std(list(means.values()), ddof=1)), seeds)
