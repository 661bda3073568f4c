"""Rows of a leaderboard from stored runs: one for each method x config x data x rule."""

import typing
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from zslbench.data.exposure import class_vectors_saw
from zslbench.errors import ZslbenchError
from zslbench.method.registry import load_method, method_modules
from zslbench.protocol import RULES
from zslbench.protocol.limits import limits_of
from zslbench.records import PROTOCOL_VERSION, RuleName, RuleResult, RunRecord, Scores
from zslbench.report.curves import MeanCurve
from zslbench.report.records import flat
from zslbench.report.shown import Shown
from zslbench.report.table import Document
from zslbench.stats import (
    METRICS,
    Interval,
    Metric,
    Population,
    choice_spread,
    intervals,
    over_seeds,
    with_choice,
)
from zslbench.stats.labs import lab_spread
from zslbench.stats.permutation import permutation_control
from zslbench.store import Stored
from zslbench.studies.groups import SUBMITTED, SeedGroup, group_runs
from zslbench.studies.leaderboard.evidence import evidence_of
from zslbench.studies.leaderboard.paired import compare
from zslbench.studies.leaderboard.plan.tune import tuning_space
from zslbench.studies.leaderboard.rows import EXTERNAL, SELECTED_ON_TEST, Contents, Row
from zslbench.studies.leaderboard.selection_bias import inflated
from zslbench.studies.leaderboard.standings import standings
from zslbench.studies.leaderboard.tables import brief, document_of
from zslbench.studies.sweep.space import places


@dataclass(frozen=True, repr=False)
class Leaderboard(Contents, Shown):
    """Rows by dataset, then H, what is set apart last; and what else was asked."""

    def document(self) -> Document:
        """Return a table for each dataset, and one for each other question that was asked."""
        return document_of(self)

    def brief(self) -> Document:
        """Return the same for a terminal, with one line for each row."""
        return brief(self)

    def records(self) -> list[dict[str, Any]]:
        """Return a flat record for each row; those of task sequences where there are no others."""
        return [flat(row) for row in self.rows or self.incremental]

    def to_html(self) -> str:
        """Return the page, with its figures and every row in full."""
        from zslbench.studies.leaderboard.page import as_page

        return as_page(self)


@dataclass(frozen=True, repr=False)
class Result(Leaderboard):
    """A method on a dataset: a row for each rule asked for; its numbers are those of the first."""

    @property
    def row(self) -> Row:
        """All that is known of the method.

        Raises:
            ZslbenchError: If none of its runs is finished, with the reason.
        """
        if not self.rows:
            why = self.failures[0].error if self.failures else "they cannot be read back now"
            raise ZslbenchError(f"None of the runs has numbers: {why}.")
        return min(self.rows, key=lambda row: list(RULES).index(row.rule))

    @property
    def scores(self) -> Scores:
        """T1, U, S, H in percent and AUSUC in [0, 1], means over seeds."""
        return Scores(**{metric: self.row.value(metric) for metric in METRICS})

    @property
    def intervals(self) -> dict[Metric, dict[Population, Interval]]:
        """Of each metric both 95 % intervals: these classes fixed, and new classes as well."""
        return self.row.intervals

    @property
    def curve(self) -> MeanCurve:
        """U, S and H over gamma, means over seeds."""
        return self.row.evidence.curve


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
    laid = intervals(outcomes, group.gammas)
    spread = choice_spread(np.transpose([*group.h_without.values()])) if group.h_without else None
    return Row(
        dataset=first.spec.dataset,
        method=first.spec.method,
        label=group.label,
        settings=first.spec.settings,
        backbone=first.spec.backbone.title,
        exposure=first.spec.backbone.exposure,
        words=first.spec.words.description if first.spec.words else "",
        descriptions=first.spec.descriptions.description if first.spec.descriptions else "",
        rule=group.rule,
        seeds=group.seeds,
        tuning_worlds=first.spec.tuning_worlds,
        chosen=_chosen(first, results),
        intervals=laid,
        t1_best=_mean([result.t1_best for result in results]),
        control=permutation_control(group.summaries, *group.test),
        plain_h=_mean([outcome.scores(0.0).h for outcome in outcomes]),
        oracle_h=_mean([outcome.curve.best()[0] for outcome in outcomes]),
        openings=ledger[first.spec.method, first.test_digest],
        marks=marks_of(group),
        commits=tuple(sorted({record.environment["commit"] for record in group.records})),
        seconds=sum(r.cost.fit_seconds + r.cost.score_seconds for r in group.records),
        test_images=group.test_images,
        localisation={
            name: over_seeds([record.localisation[name] for record in group.records])
            for name in first.localisation
            if all(name in record.localisation for record in group.records)
        },
        evidence=evidence_of(group),
        tuned=first.spec.tuned,
        tuning_seeds=first.spec.tuning_seeds,
        choice_spread=spread,
        these_classes_and_choice=with_choice(laid["h"]["these_classes"], spread),
        labs=lab_spread(group.labs),
    )


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


def _chosen(record: RunRecord, results: Sequence[RuleResult]) -> dict[str, Any]:
    chosen = {k: v for k, v in record.choice.config.items() if record.spec.config[k] is None}
    if record.spec.tuned:
        chosen = {**record.spec.settings, **chosen}
    if record.choice.epochs > 1:
        chosen["epoch"] = _mean([result.epoch for result in results])
    return {**chosen, "gamma": _mean([result.gamma for result in results])}


def marks_of(group: SeedGroup) -> tuple[str, ...]:
    """Return what a reader must know of some runs before comparing."""
    records, results = group.records, group.results
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
        "pretraining may know validation classes": any(
            world.pretrained for world in first.choice.worlds
        ),
        class_vectors_saw(spec.dataset): bool(class_vectors_saw(spec.dataset)),
        "random start: little more than chance is to be expected": spec.backbone.exposure == "none",
        f"protocol version {spec.protocol_version}, now {PROTOCOL_VERSION}": (
            spec.protocol_version != PROTOCOL_VERSION
        ),
        "weights from a checkpoint, trained on the tuning worlds' classes": bool(
            spec.config.get("checkpoint")
        ),
        "random word vectors": words.startswith("random"),
        "shuffled word vectors": words.startswith("shuffled"),
        "chosen by each lab for itself": group.choices > 1,
        "several commits": len({record.environment["commit"] for record in records}) > 1,
    }
    return (*(mark for mark, holds in marks.items() if holds), *_limits(records))


def _limits(records: Sequence[RunRecord]) -> tuple[str, ...]:
    """Return the limits that any seed has met, in what was searched too where a row is tuned."""
    first, config, lies = records[0], None, {}
    if first.spec.tuned and first.spec.method in method_modules():
        cls = load_method(first.spec.method)
        config, lies = cls.Config, places(tuning_space(cls), first.spec.config)
    apart = [record for record in records if record is first or record.losses]  # of one choice
    return tuple(dict.fromkeys(mark for r in apart for mark in limits_of(r, config, lies)))
