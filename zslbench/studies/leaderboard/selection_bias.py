"""Inflation of every method: what choosing on test would have added, off the same runs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from zslbench.records import RuleName
from zslbench.stats import Interval, over_seeds
from zslbench.stats.selection_bias import CHOSEN, Chosen, inflation
from zslbench.studies.groups import SeedGroup


@dataclass(frozen=True)
class Inflated:
    """A method's H by each rule, and the inflation in points, means over seeds.

    Attributes:
        h: H by rule.
        spread: Standard deviation over seeds of H by the validation rule; None for one
            seed of a method that has use for several.
        optimism: By what is chosen on test.
        regret: Likewise.
    """

    dataset: str
    method: str
    h: dict[str, Interval]
    spread: float | None
    optimism: dict[Chosen, Interval]
    regret: dict[Chosen, Interval]


def inflated(groups: Sequence[SeedGroup]) -> list[Inflated]:
    """Return the inflation of the groups whose runs scored every epoch on test images."""
    return [
        _inflated(group)
        for group in groups
        if group.rule == "validation" and all("published" in r.rules for r in group.records)
    ]


def _inflated(group: SeedGroup) -> Inflated:
    found = [
        inflation(outcomes, record.choice.epoch, record.choice.gamma, record.passes)
        for outcomes, record in zip(group.trajectories, group.records, strict=True)
    ]
    rules: tuple[RuleName, ...] = ("validation", "last", "published")
    return Inflated(
        group.records[0].spec.dataset,
        group.title,
        {rule: over_seeds([record.h(rule) for record in group.records]) for rule in rules},
        _spread(group.h, deterministic=group.deterministic),
        {c: over_seeds([one[c].optimism for one in found]) for c in found[0]},
        {c: over_seeds([one[c].regret for one in found]) for c in found[0]},
    )


def _spread(values: Sequence[float], *, deterministic: bool) -> float | None:
    if len(values) == 1:
        return 0.0 if deterministic else None
    return float(np.std(values, ddof=1))


def chosen_in(rows: Sequence[Inflated]) -> list[Chosen]:
    """Return what there was to choose in any of the rows."""
    return [chosen for chosen in CHOSEN if any(chosen in row.optimism for row in rows)]
