"""Rows of task sequences from stored runs: accuracies with intervals, and their differences."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np

from zslbench.errors import unknown
from zslbench.metrics import Float, Outcome
from zslbench.metrics.forgetting import (
    INCREMENTAL_METRICS,
    IncrementalMetric,
    TaskPredictions,
    outcome_of,
)
from zslbench.protocol.limits import limits_of_tasks
from zslbench.records import IncrementalRecord
from zslbench.stats import (
    POPULATIONS,
    Difference,
    Interval,
    Population,
    difference,
    share_interval,
)
from zslbench.store import StoredIncremental, artifacts
from zslbench.studies.groups import OneEachSeed, adjust, title_of

KEEPS = "keeps the images of old tasks"


@dataclass(frozen=True)
class IncrementalRow:
    """One line: a method with a config, along one task sequence.

    Attributes:
        protocol: Such as B0-Inc12.
        sizes: Classes of each task.
        intervals: Of each metric, over seeds.
        accuracy: After each task.
        carried: Bytes, after the last task, mean over seeds.
        openings: How often this method has read these test labels, ever.
    """

    dataset: str
    method: str
    label: str
    settings: dict[str, Any]
    backbone: str
    exposure: str
    descriptions: str
    protocol: str
    sizes: tuple[int, ...]
    seeds: tuple[int, ...]
    intervals: dict[IncrementalMetric, dict[Population, Interval]]
    accuracy: tuple[Interval, ...]
    carried: float
    seconds: float
    openings: int
    marks: tuple[str, ...]
    commits: tuple[str, ...]

    @property
    def title(self) -> str:
        """What a suite calls it, or the method with what differs from its defaults."""
        return self.label or title_of(self.method, self.settings)

    @property
    def table(self) -> str:
        """What it may be compared in."""
        return f"{self.dataset}, {self.protocol}"


@dataclass(frozen=True)
class IncrementalDifference:
    """One row minus the reference, along the same sequence."""

    table: str
    method: str
    reference: str
    seeds: tuple[int, ...]
    differences: dict[IncrementalMetric, dict[Population, Difference]]


@dataclass(frozen=True)
class IncrementalGroup(OneEachSeed[IncrementalRecord]):
    """The runs of one method, config, data and sequence: one for each seed."""

    runs: tuple[StoredIncremental, ...]
    label: str = ""

    @cached_property
    def _read(self) -> list[tuple[TaskPredictions, Any]]:
        found = []
        for run in self.runs:
            predicted, labels, order = artifacts.read_answers(run.folder)
            known = np.cumsum(run.record.sizes).tolist()
            found.append((TaskPredictions(predicted, labels, known), order))
        return found

    @cached_property
    def histories(self) -> list[TaskPredictions]:
        """What each predicted, in the order its seed gives the classes."""
        return [history for history, _ in self._read]

    @cached_property
    def outcome(self) -> Outcome:
        """The test images' classes in the dataset's order, the same for every seed."""
        history, order = self._read[0]
        classes = np.unique(order[history.labels], return_inverse=True)[1]
        return outcome_of(classes.astype(np.int64))

    def values(self, metric: IncrementalMetric) -> Float:
        """Return a metric of each seed."""
        return np.array([getattr(history, metric) for history in self.histories])

    def placed(self, metric: IncrementalMetric) -> Float:
        """Return a metric's placements `[seeds, m]`."""
        return np.stack([history.placements(metric) for history in self.histories])

    def only(self, seeds: Sequence[int]) -> "IncrementalGroup":
        """Return the runs of some seeds."""
        return replace(self, runs=tuple(r for r in self.runs if r.record.spec.seed in seeds))


def group_incremental(
    stored: Sequence[StoredIncremental], labels: Mapping[str, str] = MappingProxyType({})
) -> list[IncrementalGroup]:
    """Put together the runs that differ in nothing but their seed; `labels` go by `seeds_key`."""
    found: dict[str, dict[int, StoredIncremental]] = {}
    for run in stored:
        found.setdefault(run.record.spec.seeds_key, {})[run.record.spec.seed] = run
    return [
        IncrementalGroup(tuple(runs[seed] for seed in sorted(runs)), labels.get(key, ""))
        for key, runs in found.items()
    ]


def incremental_rows(
    groups: Sequence[IncrementalGroup], ledger: Counter[tuple[str, str]]
) -> list[IncrementalRow]:
    """Return a row for each group, by dataset and sequence, the best average first."""
    names = _dataset_names(groups)
    rows = [_row(group, ledger, names[_data(group)]) for group in groups]
    return sorted(rows, key=_order)


def by_table(rows: Sequence[IncrementalRow]) -> dict[str, list[IncrementalRow]]:
    """Return the rows of each table, in their order."""
    found: dict[str, list[IncrementalRow]] = {}
    for row in rows:
        found.setdefault(row.table, []).append(row)
    return found


def _order(row: IncrementalRow) -> tuple[str, float, str]:
    return row.table.casefold(), -row.intervals["average"]["these_classes"].mean, row.title


def _dataset_names(groups: Sequence[IncrementalGroup]) -> dict[tuple[str, str], str]:
    """Return what to call each group's data: different ones of one name by their digests too."""
    names = {_data(group): group.records[0].spec.dataset for group in groups}
    shared = Counter(names.values())
    return {
        data: name if shared[name] == 1 else f"{name} (data {data[0][:8]})"
        for data, name in names.items()
    }


def _row(group: IncrementalGroup, ledger: Counter[tuple[str, str]], dataset: str) -> IncrementalRow:
    first = group.records[0]
    spec = first.spec
    return IncrementalRow(
        dataset=dataset,
        method=spec.method,
        label=group.label,
        settings=spec.settings,
        backbone=spec.backbone.title,
        exposure=spec.backbone.exposure,
        descriptions=spec.descriptions.description if spec.descriptions else "",
        protocol=spec.protocol,
        sizes=first.sizes,
        seeds=group.seeds,
        intervals={
            m: {p: _interval(group, m, p) for p in POPULATIONS} for m in INCREMENTAL_METRICS
        },
        accuracy=tuple(_after(group, number) for number in range(len(first.sizes))),
        carried=float(np.mean([record.carried[-1] for record in group.records])),
        seconds=sum(r.cost.fit_seconds + r.cost.score_seconds for r in group.records),
        openings=ledger[spec.method, first.test_digest],
        marks=_marks(group.records),
        commits=tuple(sorted({record.environment["commit"] for record in group.records})),
    )


def _interval(
    group: IncrementalGroup, metric: IncrementalMetric, population: Population
) -> Interval:
    values, placed = group.values(metric), group.placed(metric)
    if metric == "forgetting":  # of either sign
        found = difference(values, placed, group.outcome, population)
        return Interval(found.mean, found.low, found.high)
    return share_interval(values.tolist(), placed, group.outcome, population)


def _after(group: IncrementalGroup, number: int) -> Interval:
    values = [float(history.accuracy[number]) for history in group.histories]
    placed = np.stack([history.after(number) for history in group.histories])
    return share_interval(values, placed, group.outcome, "these_classes")


def _marks(records: Sequence[IncrementalRecord]) -> tuple[str, ...]:
    spec = records[0].spec
    marks = {
        KEEPS: records[0].keeps_images,
        "one seed: one order of the classes": len(records) == 1,
        "pretrained beyond ImageNet-1k": spec.backbone.exposure in ("21k", "web"),
        "backbone fine-tuned on all seen classes": spec.backbone.fine_tuned,
        "random start: little more than chance is to be expected": spec.backbone.exposure == "none",
        "several commits": len({record.environment["commit"] for record in records}) > 1,
    }
    limits = dict.fromkeys(mark for record in records for mark in limits_of_tasks(record))
    return (*(mark for mark, holds in marks.items() if holds), *limits)


def compare_incremental(
    groups: Sequence[IncrementalGroup], reference: str
) -> list[IncrementalDifference]:
    """Return each group minus the reference's along the same sequence, seeds both have.

    Args:
        groups: All.
        reference: A row's title.

    Raises:
        ZslbenchError: If no row is called so.
    """
    references = [group for group in groups if group.title == reference]
    if not references:
        raise unknown("row", reference, {group.title for group in groups}, " to be reference")
    names = _dataset_names(groups)
    found = [
        _difference(group, other, names[_data(group)])
        for group in groups
        for other in references
        if group is not other and _sequence(group) == _sequence(other) and _common(group, other)
    ]
    adjust([each.differences for each in found])
    return found


def _data(group: IncrementalGroup) -> tuple[str, str]:
    first = group.records[0]
    return first.spec.data_digest, first.test_digest


def _sequence(group: IncrementalGroup) -> tuple[str, ...]:
    return *_data(group), group.records[0].spec.protocol


def _common(group: IncrementalGroup, other: IncrementalGroup) -> list[int]:
    return sorted(set(group.seeds) & set(other.seeds))


def _difference(
    group: IncrementalGroup, other: IncrementalGroup, dataset: str
) -> IncrementalDifference:
    seeds = _common(group, other)
    ours, theirs = group.only(seeds), other.only(seeds)
    differences = {
        metric: {
            population: difference(
                ours.values(metric) - theirs.values(metric),
                ours.placed(metric) - theirs.placed(metric),
                ours.outcome,
                population,
            )
            for population in POPULATIONS
        }
        for metric in INCREMENTAL_METRICS
    }
    table = f"{dataset}, {group.records[0].spec.protocol}"
    return IncrementalDifference(table, group.title, other.title, tuple(seeds), differences)
