"""Rows of a leaderboard from stored runs: one for each method x config x data x rule."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from zslbench import artifacts
from zslbench.metrics import Outcome
from zslbench.records import PROTOCOL_VERSION, RuleName, RuleResult, RunRecord
from zslbench.stats import (
    METRICS,
    Control,
    Interval,
    Metric,
    Population,
    interval,
    permutation_control,
)
from zslbench.tracking import Stored

POPULATIONS: tuple[Population, ...] = ("these_classes", "new_classes")


@dataclass(frozen=True)
class Row:
    """One line of a leaderboard.

    Attributes:
        settings: What differs from the method's defaults.
        chosen: Config, epoch and gamma, as the rule has them (means over seeds).
        intervals: Each metric's mean over seeds with both 95 % intervals.
        t1_best: T1 at the epoch the rule picks for T1.
        control: The permutation control of T1.
        oracle_h: Best H over gamma on test labels: a bound, no result.
        openings: How often this method has looked at these test labels, ever.
        marks: What a reader must know before comparing.
    """

    dataset: str
    method: str
    settings: dict[str, Any]
    backbone: str
    exposure: str
    words: str
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

    def value(self, metric: Metric) -> float:
        """Return a metric's mean over seeds."""
        return self.intervals[metric]["these_classes"].mean

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


def build_rows(
    stored: Sequence[Stored],
    ledger: Counter[tuple[str, str]],
    rules: Sequence[RuleName] = ("validation",),
) -> list[Row]:
    """Group runs into rows: by dataset, then H; what was selected on test comes last."""
    groups: dict[tuple[str, RuleName], dict[int, Stored]] = {}
    for run in stored:
        for rule in rules:
            if rule in run.record.rules:
                seeds = groups.setdefault((run.record.spec.choice_key, rule), {})
                seeds.setdefault(run.record.spec.seed, run)
    rows = [_row([runs[seed] for seed in sorted(runs)], rule, ledger)
            for (_, rule), runs in groups.items()]  # fmt: skip
    return sorted(rows, key=_order)


def _order(row: Row) -> tuple[Any, ...]:
    return row.dataset.casefold(), "selected on test" in row.marks, -row.value("h"), row.method


def _row(runs: Sequence[Stored], rule: RuleName, ledger: Counter[tuple[str, str]]) -> Row:
    records = [run.record for run in runs]
    first = records[0]
    results = [record.rules[rule] for record in records]
    summaries = [artifacts.read_summaries(run.folder) for run in runs]
    labels, seen = artifacts.read_test(runs[0].folder)
    outcomes = [
        Outcome.of(by_epoch[result.epoch], labels, seen, result.space, result.average)
        for by_epoch, result in zip(summaries, results, strict=True)
    ]
    gammas = [result.gamma for result in results]
    read = [s[r.epoch] for s, r in zip(summaries, results, strict=True)]
    return Row(
        dataset=first.spec.dataset,
        method=first.spec.method,
        settings=first.spec.settings,
        backbone=first.spec.backbone.name,
        exposure=first.spec.backbone.exposure,
        words=first.spec.words.description if first.spec.words else "",
        rule=rule,
        seeds=tuple(record.spec.seed for record in records),
        tuning_worlds=first.spec.tuning_worlds,
        chosen=_chosen(first, results),
        intervals={
            metric: {p: interval(outcomes, gammas, metric, p) for p in POPULATIONS}
            for metric in METRICS
        },
        t1_best=_mean([result.t1_best for result in results]),
        control=permutation_control(read, labels, seen),
        plain_h=_mean([outcome.scores(0.0).h for outcome in outcomes]),
        oracle_h=_mean([outcome.curve.best()[0] for outcome in outcomes]),
        openings=ledger[first.spec.method, first.test_digest],
        marks=_marks(records, results),
        commits=tuple(sorted({record.environment["commit"] for record in records})),
        seconds=sum(r.cost.fit_seconds + r.cost.score_seconds for r in records),
    )


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


def _chosen(record: RunRecord, results: Sequence[RuleResult]) -> dict[str, Any]:
    chosen = {k: v for k, v in record.choice.config.items() if record.spec.config[k] is None}
    if max(row.epoch for row in record.choice.candidates) > 1:
        chosen["epoch"] = _mean([result.epoch for result in results])
    return {**chosen, "gamma": _mean([result.gamma for result in results])}


def _marks(records: Sequence[RunRecord], results: Sequence[RuleResult]) -> tuple[str, ...]:
    first, spec = records[0], records[0].spec
    words = spec.words.description if spec.words else ""
    marks = {
        "selected on test": any(result.selected_on_test for result in results),
        "per-image accuracy": any(result.average == "image" for result in results),
        "gamma on probabilities": any(result.space == "probability" for result in results),
        "fewer than three tuning worlds": spec.tuning_worlds < 3,
        "one seed": len(records) == 1 and not first.deterministic,
        "trains on unseen attributes": first.transductive,
        "pretrained beyond ImageNet-1k": spec.backbone.exposure in ("21k", "web"),
        "random start": spec.backbone.exposure == "none",
        f"protocol version {spec.protocol_version}, now {PROTOCOL_VERSION}": (
            spec.protocol_version != PROTOCOL_VERSION
        ),
        "random word vectors": words.startswith("random"),
        "several commits": len({record.environment["commit"] for record in records}) > 1,
    }
    return tuple(mark for mark, holds in marks.items() if holds)
