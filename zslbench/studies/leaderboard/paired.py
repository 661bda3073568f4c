"""Paired differences of every method against one, on the same images and seeds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from zslbench.errors import ZslbenchError, unknown
from zslbench.records import RuleName
from zslbench.stats import (
    METRICS,
    POPULATIONS,
    Difference,
    Interval,
    Metric,
    Population,
    Reading,
    choice_spread,
    paired,
    with_choice,
)
from zslbench.studies.groups import SUBMITTED, SeedGroup, adjust

T = TypeVar("T")


@dataclass(frozen=True)
class PairedRow:
    """One method minus the reference, on one dataset, by one rule.

    Attributes:
        seeds: Those that both were run with.
        differences: Each metric's, over both populations; p is adjusted (Holm) for all the
            comparisons made of that metric and population.
        choice_spread: Standard error of the difference in H over choices, the same tuning world
            left out of both; None where it is not known.
        these_classes_and_choice: That difference with the 95 % interval that includes it.
    """

    dataset: str
    method: str
    reference: str
    rule: RuleName
    seeds: tuple[int, ...]
    differences: dict[Metric, dict[Population, Difference]]
    choice_spread: float | None = None
    these_classes_and_choice: Interval | None = None


def compare(groups: Sequence[SeedGroup], reference: str) -> list[PairedRow]:
    """Return each group minus the reference's on the same data by the same rule.

    Args:
        groups: All.
        reference: A row's title, or a method, of which there is one row on each dataset then.

    Raises:
        ZslbenchError: If no run is the reference's, or several of its configs compete for it.
    """
    references = _references(groups, reference)
    found = []
    for group in groups:
        if all(group is not other for other in references):
            rivals = [other for other in references if _matches(group, other)]
            if len(rivals) > 1:
                dataset = rivals[0].records[0].spec.dataset
                raise ZslbenchError(
                    f"reference {reference}: {len(rivals)} configs of it were run on {dataset}. "
                    "Name the row as the table does, or show one of them: name datasets and "
                    "methods."
                )
            found += [_comparison(replace(group), r) for r in rivals if _common(group, r)]
    adjust([each.differences for each in found])
    return found


def _references(groups: Sequence[SeedGroup], reference: str) -> list[SeedGroup]:
    """Return the groups that a reference names: by their title, else by their method."""
    titles = [group for group in groups if reference in _titles(group)]
    methods = [group for group in groups if group.records[0].spec.method == reference]
    if not titles and not methods:
        known = {name for g in groups for name in (g.title, g.records[0].spec.method)}
        raise unknown("reference among these runs", reference, known)
    return titles or methods


def _titles(group: SeedGroup) -> tuple[str, ...]:
    """Return what a row is called; of a method's tuned rows there is one in a table."""
    spec = group.records[0].spec
    return (group.title, spec.method) if spec.tuned else (group.title,)


def _matches(group: SeedGroup, other: SeedGroup) -> bool:
    """Return whether two groups compare; what was submitted goes with `validation`."""
    rules = {group.rule, other.rule}
    same = other.data == group.data
    alike = other.records[0].spec.tuned == group.records[0].spec.tuned
    return same and alike and (len(rules) == 1 or rules == {SUBMITTED, "validation"})


def _common(group: SeedGroup, other: SeedGroup) -> tuple[int, ...]:
    """Return the seeds of both; a deterministic method has any seed."""
    if group.deterministic:
        return other.seeds
    if other.deterministic:
        return group.seeds
    return tuple(sorted(set(group.seeds) & set(other.seeds)))


def _comparison(group: SeedGroup, other: SeedGroup) -> PairedRow:
    seeds = _common(group, other)
    ours, theirs = _readings(group, seeds), _readings(other, seeds)
    found = {m: {p: paired(ours, theirs, m, p) for p in POPULATIONS} for m in METRICS}
    spread = _spread(group, other, seeds)
    return PairedRow(
        group.records[0].spec.dataset,
        group.title,
        other.title,
        group.rule,
        seeds,
        found,
        spread,
        with_choice(found["h"]["these_classes"], spread),
    )


def _readings(group: SeedGroup, seeds: Sequence[int]) -> list[Reading]:
    return _of_seeds(group, list(zip(group.outcomes, group.gammas, strict=True)), seeds)


def _spread(group: SeedGroup, other: SeedGroup, seeds: Sequence[int]) -> float | None:
    ours, theirs = group.h_without, other.h_without
    if not ours or ours.keys() != theirs.keys():
        return None
    gains = [
        np.subtract(_of_seeds(group, ours[w], seeds), _of_seeds(other, theirs[w], seeds))
        for w in ours
    ]
    return choice_spread(np.transpose(gains))


def _of_seeds(group: SeedGroup, values: Sequence[T], seeds: Sequence[int]) -> list[T]:
    """Return the values of some seeds; a deterministic method has that of its one for any."""
    if group.deterministic:
        return [values[0]] * len(seeds)
    known = dict(zip(group.seeds, values, strict=True))
    return [known[seed] for seed in seeds]
