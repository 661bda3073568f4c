"""Rows of a leaderboard from stored runs: one for each method x config x data x rule."""

import typing
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from zslbench.records import PROTOCOL_VERSION, RuleName, RuleResult, RunRecord
from zslbench.report.document import Document, Shown
from zslbench.report.records import flat
from zslbench.stats import Interval, Metric, Population, intervals, over_seeds
from zslbench.stats.permutation import Control, permutation_control
from zslbench.store import Stored
from zslbench.studies.groups import SUBMITTED, SeedGroup, group_runs, title_of
from zslbench.studies.incremental.results import IncrementalDifference, IncrementalRow
from zslbench.studies.leaderboard.evidence import Evidence, evidence_of
from zslbench.studies.leaderboard.paired import PairedRow, compare
from zslbench.studies.leaderboard.selection_bias import Inflated, inflated
from zslbench.studies.leaderboard.standings import Standing, standings

SELECTED_ON_TEST = "selected on test"
TITLE = "Leaderboard"
EXTERNAL = "external: training and selection not vouched for"


@dataclass(frozen=True)
class Row:
    """One line of a leaderboard.

    Attributes:
        label: What a suite calls it; may be empty.
        settings: What differs from the method's defaults.
        chosen: Config, epoch and gamma, as the rule has them (means over seeds).
        intervals: Each metric's mean over seeds with both 95 % intervals.
        t1_best: T1 at the epoch the rule picks for T1.
        control: The permutation control of T1.
        oracle_h: Best H over gamma on test labels: a bound, no result.
        test_images: Numbers of test images, of seen and of unseen classes.
        localisation: How well it looks where the parts are, over seeds; see
            `zslbench.metrics.localisation`.
        openings: How often this method has looked at these test labels, ever.
        marks: What a reader must know before comparing.
        evidence: What stands behind the numbers; no part of `leaderboard.json`.
        tuned: Of how many trials its config is the winner; 0: it was not tuned.
    """

    dataset: str
    method: str
    label: str
    settings: dict[str, Any]
    backbone: str
    exposure: str
    words: str
    descriptions: str
    rule: RuleName
    seeds: tuple[int, ...]
    tuning_worlds: int
    chosen: dict[str, Any]
    intervals: dict[Metric, dict[Population, Interval]]
    t1_best: float
    control: Control
    plain_h: float
    oracle_h: float
    openings: int
    marks: tuple[str, ...]
    commits: tuple[str, ...]
    seconds: float
    test_images: tuple[int, int]
    localisation: dict[str, Interval]
    evidence: Evidence = field(repr=False, compare=False)
    tuned: int = 0

    @property
    def title(self) -> str:
        """What a suite calls it, or the method, with what differs from its defaults."""
        return self.label or self.configured

    @property
    def name(self) -> str:
        """What a suite calls it, or the method."""
        return self.label or self.method

    @property
    def configured(self) -> str:
        """The method, with what differs from its defaults; or that it was tuned."""
        return title_of(self.method, self.settings, self.tuned)

    @property
    def table(self) -> str:
        """What it may be compared in: its dataset; tuned rows keep to themselves."""
        return f"{self.dataset}, tuned with {self.tuned} trials" if self.tuned else self.dataset

    @property
    def selected_on_test(self) -> bool:
        """Whether test labels had a part in choosing epoch or gamma."""
        return SELECTED_ON_TEST in self.marks

    @property
    def external(self) -> bool:
        """Whether its scores were handed in."""
        return self.rule == SUBMITTED

    @property
    def set_apart(self) -> bool:
        """Whether it cannot be compared with rows that the protocol vouches for."""
        return self.selected_on_test or self.external

    def value(self, metric: Metric) -> float:
        """Return a metric's mean over seeds."""
        return self.intervals[metric]["these_classes"].mean


@dataclass(frozen=True)
class Failed:
    """A run that raised instead of giving numbers."""

    dataset: str
    method: str
    seed: int
    error: str


@dataclass(frozen=True)
class Leaderboard(Shown):
    """Rows by dataset, then H, what is set apart last; and what else was asked.

    Attributes:
        comparisons: Paired differences from a reference.
        inflations: Of the methods whose published rule was read too.
        standings: Win rates and mean ranks.
        title: What the table is.
        about: What a reader must know of it as a whole.
        planned: Runs that were asked for; 0 where the table shows what there is.
        missing: How many of them are not in the table.
        failures: Those of the missing runs that were tried.
        sequences: Rows of task sequences.
        incremental_differences: Their paired differences from a reference.
        unreadable: How many of the missing runs are finished and cannot be read back.
        name: Of the files it is written to.
    """

    rows: list[Row]
    comparisons: list[PairedRow] = field(default_factory=list)
    inflations: list[Inflated] = field(default_factory=list)
    standings: list[Standing] = field(default_factory=list)
    title: str = TITLE
    about: str = ""
    planned: int = 0
    missing: int = 0
    failures: list[Failed] = field(default_factory=list)
    sequences: list[IncrementalRow] = field(default_factory=list)
    incremental_differences: list[IncrementalDifference] = field(default_factory=list)
    unreadable: int = field(default=0, repr=False)
    name: str = field(default="leaderboard", repr=False)

    @property
    def failed(self) -> bool:
        """Whether runs that were asked for are missing though the store is within reach."""
        return bool(self.failures) or self.unreadable > 0

    @property
    def is_titled(self) -> bool:
        """Whether the heading tells what the reader does not know: it is a suite, or partial."""
        return self.title != TITLE or self.missing > 0

    @property
    def heading(self) -> str:
        """The title; a partial table says so in it."""
        if not self.missing:
            return self.title
        return f"{self.title} (PARTIAL: {self.missing} of {self.planned} runs are missing)"

    def document(self) -> Document:
        """Return a table for each dataset, and one for each other question that was asked."""
        from zslbench.studies.leaderboard.tables import document_of

        return document_of(self)

    def records(self) -> list[dict[str, Any]]:
        """Return a flat record for each row; those of task sequences where there are no others."""
        return [flat(row) for row in self.rows or self.sequences]

    def to_html(self) -> str:
        """Return the page, with its figures and every row in full."""
        from zslbench.studies.leaderboard.page import as_page

        return as_page(self)


def build_leaderboard(
    stored: Sequence[Stored],
    ledger: Counter[tuple[str, str]],
    rules: Sequence[RuleName] = ("validation",),
    reference: str | None = None,
    labels: Mapping[str, str] = MappingProxyType({}),
) -> Leaderboard:
    """Return a row for each group of runs; differences against `reference` where it is named.

    Args:
        stored: The runs.
        ledger: Openings of test labels, by method and test digest.
        rules: The rules to show.
        reference: A row's title, or a method.
        labels: What rows are called, by the choice key of their runs.

    Raises:
        ZslbenchError: If no run is the reference's.
    """
    # Rows are read off copies: what these have in memory goes with them.
    found = [(_row(replace(g), ledger), g) for g in group_runs(stored, rules, labels)]
    found.sort(key=lambda pair: _order(pair[0]))
    rows, groups = [row for row, _ in found], [group for _, group in found]
    return Leaderboard(
        rows,
        compare(groups, reference) if reference and rows else [],
        inflated(groups) if "published" in rules else [],
        standings(groups),
    )


def _order(row: Row) -> tuple[Any, ...]:
    rule = typing.get_args(RuleName).index(row.rule)
    return row.dataset.casefold(), row.tuned, row.set_apart, -row.value("h"), row.title, rule


def _row(group: SeedGroup, ledger: Counter[tuple[str, str]]) -> Row:
    first, results, outcomes = group.records[0], group.results, group.outcomes
    return Row(
        dataset=first.spec.dataset,
        method=first.spec.method,
        label=group.label,
        settings=first.spec.settings,
        backbone=first.spec.backbone.name,
        exposure=first.spec.backbone.exposure,
        words=first.spec.words.description if first.spec.words else "",
        descriptions=first.spec.descriptions.description if first.spec.descriptions else "",
        rule=group.rule,
        seeds=group.seeds,
        tuning_worlds=first.spec.tuning_worlds,
        chosen=_chosen(first, results),
        intervals=intervals(outcomes, group.gammas),
        t1_best=_mean([result.t1_best for result in results]),
        control=permutation_control(group.summaries, *group.test),
        plain_h=_mean([outcome.scores(0.0).h for outcome in outcomes]),
        oracle_h=_mean([outcome.curve.best()[0] for outcome in outcomes]),
        openings=ledger[first.spec.method, first.test_digest],
        marks=_marks(group.records, results),
        commits=tuple(sorted({record.environment["commit"] for record in group.records})),
        seconds=sum(r.cost.fit_seconds + r.cost.score_seconds for r in group.records),
        test_images=group.test_images,
        localisation={
            name: over_seeds([record.localisation[name] for record in group.records])
            for name in first.localisation
        },
        evidence=evidence_of(group),
        tuned=first.spec.tuned,
    )


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


def _chosen(record: RunRecord, results: Sequence[RuleResult]) -> dict[str, Any]:
    chosen = {k: v for k, v in record.choice.config.items() if record.spec.config[k] is None}
    if record.spec.tuned:
        chosen = {**record.spec.settings, **chosen}
    if max((row.epoch for row in record.choice.candidates), default=1) > 1:
        chosen["epoch"] = _mean([result.epoch for result in results])
    return {**chosen, "gamma": _mean([result.gamma for result in results])}


def _marks(records: Sequence[RunRecord], results: Sequence[RuleResult]) -> tuple[str, ...]:
    first, spec = records[0], records[0].spec
    words = spec.words.description if spec.words else ""
    marks = {
        EXTERNAL: SUBMITTED in first.rules,
        SELECTED_ON_TEST: any(result.selected_on_test for result in results),
        "per-image accuracy": any(result.average == "image" for result in results),
        "gamma on probabilities": any(result.space == "probability" for result in results),
        "fewer than three tuning worlds": 0 < spec.tuning_worlds < 3,
        f"tuned with {spec.tuned} trials": spec.tuned > 0,
        "one seed": len(records) == 1 and not first.deterministic,
        "trains on unseen attributes": first.transductive,
        "pretrained beyond ImageNet-1k": spec.backbone.exposure in ("21k", "web"),
        "random start: little more than chance is to be expected": spec.backbone.exposure == "none",
        f"protocol version {spec.protocol_version}, now {PROTOCOL_VERSION}": (
            spec.protocol_version != PROTOCOL_VERSION
        ),
        "weights from a checkpoint, trained on the tuning worlds' classes": bool(
            spec.config.get("checkpoint")
        ),
        "random word vectors": words.startswith("random"),
        "several commits": len({record.environment["commit"] for record in records}) > 1,
    }
    return tuple(mark for mark, holds in marks.items() if holds)
