"""Paired differences of every method against one, on the same images and seeds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from zslbench.errors import ZslbenchError, unknown
from zslbench.records import RuleName
from zslbench.stats import (
    METRICS,
    POPULATIONS,
    Difference,
    Metric,
    Population,
    Reading,
    paired,
)
from zslbench.studies.groups import SUBMITTED, SeedGroup, adjust


@dataclass(frozen=True)
class PairedRow:
    """One method minus the reference, on one dataset, by one rule.

    Attributes:
        seeds: Those that both were run with.
        differences: Each metric's, over both populations; p is adjusted (Holm) for all the
            comparisons made of that metric and population.
    """

    dataset: str
    method: str
    reference: str
    rule: RuleName
    seeds: tuple[int, ...]
    differences: dict[Metric, dict[Population, Difference]]


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
    return PairedRow(
        group.records[0].spec.dataset,
        group.title,
        other.title,
        group.rule,
        seeds,
        {m: {p: paired(ours, theirs, m, p) for p in POPULATIONS} for m in METRICS},
    )


def _readings(group: SeedGroup, seeds: Sequence[int]) -> list[Reading]:
    readings = dict(zip(group.seeds, zip(group.outcomes, group.gammas, strict=True), strict=True))
    if group.deterministic:
        return [next(iter(readings.values()))] * len(seeds)
    return [readings[seed] for seed in seeds]
