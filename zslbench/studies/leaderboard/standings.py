"""How methods stand over independent datasets and seeds: win rates and mean ranks by H."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from zslbench.records import RuleName
from zslbench.stats.ranking import Float, mean_ranks, win_rates
from zslbench.store.artifacts import shared
from zslbench.studies.groups import SUBMITTED, SeedGroup

TestSet = tuple[str, str]  # as `Group.data`

NAMED = 30
FEWEST = 5  # datasets with a mean rank: on fewer it says more of them than of the methods


@dataclass(frozen=True)
class Standing:
    """One method against the others, by one rule.

    Attributes:
        datasets: How many it was run on.
        mean_rank: Over datasets, by mean H, among the methods that were run on all of them; None
            on fewer than `FEWEST` datasets, or where it was not run on all.
        win_rate: Mean of `wins`.
        wins: By opponent, the percentage of dataset x seed pairs on which its H is the higher;
            empty where more than `NAMED` methods compete.
    """

    method: str
    rule: RuleName
    datasets: int
    mean_rank: float | None
    win_rate: float
    wins: dict[str, float]


def standings(groups: Sequence[SeedGroup]) -> list[Standing]:
    """Return the standings by each rule, the best first; none where one pair is all there is.

    Of datasets that share test photos only the largest takes part. Tuned methods have standings of
    their own. What was selected on test or submitted has no part in any, nor has a method that
    stands in several rows of one dataset (with other backbones, words or worlds).
    """
    compared: dict[tuple[int, RuleName], list[SeedGroup]] = {}
    for group in groups:
        if group.rule != SUBMITTED and not any(r.selected_on_test for r in group.results):
            alike = group.records[0].spec.tuned, group.rule
            compared.setdefault(alike, []).append(group)
    return [each for (_, rule), rivals in compared.items() for each in _by_rule(rule, rivals)]


def _by_rule(rule: RuleName, groups: Sequence[SeedGroup]) -> list[Standing]:
    known = _competitors(groups)
    tests = _independent([group for members in known.values() for group in members.values()])
    rows = {n: {test: m[test] for test in tests if test in m} for n, m in known.items()}
    blocks = [(test, seed) for test in tests for seed in _seeds(test, rows)]
    if len(rows) < 2 or len(blocks) < 2:
        return []
    names = list(rows)
    rates = 100 * win_rates(_table([[_h(rows[n], *block) for block in blocks] for n in names]))
    ranks = mean_ranks(_table([[_mean_h(rows[n], test) for test in tests] for n in names]))
    found = []
    for name, ours, rank in zip(names, rates, ranks, strict=True):
        met = ~np.isnan(ours)
        if met.any():
            ranked = None if len(tests) < FEWEST or np.isnan(rank) else float(rank)
            wins = {names[n]: float(ours[n]) for n in np.flatnonzero(met) if len(names) <= NAMED}
            mean = float(ours[met].mean())
            found.append(Standing(name, rule, len(rows[name]), ranked, mean, wins))
    return sorted(found, key=lambda standing: (-standing.win_rate, standing.method))


def _independent(groups: Sequence[SeedGroup]) -> list[TestSet]:
    """Return the test sets of which no two share a photo, the larger before the smaller."""
    first = {group.data: group for group in reversed(groups)}
    kept: dict[TestSet, SeedGroup] = {}
    for test, group in sorted(first.items(), key=lambda item: (-sum(item[1].test_images), item[0])):
        if not any(shared(group.photos, other.photos) for other in kept.values()):
            kept[test] = group
    return list(kept)


def _competitors(groups: Sequence[SeedGroup]) -> dict[str, dict[TestSet, SeedGroup]]:
    """Return each method's groups by what they were tested on, but of none that has two there."""
    rows: dict[str, dict[TestSet, SeedGroup]] = {}
    twice = set()
    for group in sorted(groups, key=lambda group: group.title):
        members = rows.setdefault(group.title, {})
        if members.setdefault(group.data, group) is not group:
            twice.add(group.title)
    return {name: members for name, members in rows.items() if name not in twice}


def _seeds(test: TestSet, rows: dict[str, dict[TestSet, SeedGroup]]) -> list[int]:
    """Return the seeds that anyone has on a dataset; one where all methods are deterministic."""
    here = [members[test] for members in rows.values() if test in members]
    seeds = {seed for group in here if not group.deterministic for seed in group.seeds}
    return sorted(seeds) or [0]


def _h(members: dict[TestSet, SeedGroup], test: TestSet, seed: int) -> float:
    """Return H; a deterministic method has any seed."""
    if test not in members:
        return np.nan
    group = members[test]
    if group.deterministic:
        return group.h[0]
    return dict(zip(group.seeds, group.h, strict=True)).get(seed, np.nan)


def _mean_h(members: dict[TestSet, SeedGroup], test: TestSet) -> float:
    return float(np.mean(members[test].h)) if test in members else np.nan


def _table(rows: list[list[float]]) -> Float:
    return np.asarray(rows, dtype=np.float64)
