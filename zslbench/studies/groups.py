"""Runs that differ in nothing but their seed, with what a rule reads off them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from zslbench.metrics import Int, Outcome, ScoreSummary
from zslbench.records import (
    Choice,
    IncrementalRecord,
    IncrementalSpec,
    RuleName,
    RuleResult,
    RunRecord,
    RunSpec,
    disagreement,
)
from zslbench.stats import POPULATIONS, Difference, Population, holm
from zslbench.store import Stored, artifacts

SUBMITTED: RuleName = "submitted"
EXTERNAL = "external:"  # begins the method of what was submitted
BY = "by"  # in a record's environment: the lab that ran it, where that is known
NAME = re.compile(r"\w[\w.+ -]{0,39}")  # what a table can show of a name that a user gives
M = TypeVar("M")
R = TypeVar("R", RunRecord, IncrementalRecord)


class OneEachSeed(Generic[R]):
    """Stored runs that differ in nothing but their seed; `label` is what a suite calls them."""

    runs: tuple[Any, ...]
    label: str

    @cached_property
    def records(self) -> list[R]:
        """The records, in the order of their seeds."""
        return [run.record for run in self.runs]

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds, in order."""
        return tuple(record.spec.seed for record in self.records)

    @property
    def title(self) -> str:
        """What a suite calls it, or the method, with what differs from its defaults."""
        return called(self.records[0].spec, self.label)


@dataclass(frozen=True)
class SeedGroup(OneEachSeed[RunRecord]):
    """The runs of one method, config and data, read by one rule: one for each seed.

    Attributes:
        label: What a suite calls it; may be empty.
    """

    rule: RuleName
    runs: tuple[Stored, ...]
    label: str = ""

    @cached_property
    def results(self) -> list[RuleResult]:
        """What the rule read off each."""
        return [record.rules[self.rule] for record in self.records]

    @cached_property
    def summaries(self) -> list[ScoreSummary]:
        """The score summaries the rule read."""
        pairs = zip(self.runs, self.results, strict=True)
        return [artifacts.read_summary(run.folder, result.epoch) for run, result in pairs]

    @cached_property
    def test(self) -> tuple[Int, int]:
        """`[m]` true classes of the test items, and the number of seen classes."""
        return artifacts.read_test(self.runs[0].folder)

    @property
    def data(self) -> tuple[str, str]:
        """The dataset's name and the digest of its test labels, which tells no pictures apart."""
        first = self.records[0]
        return first.spec.dataset, first.test_digest

    @cached_property
    def photos(self) -> NDArray[np.uint64]:
        """Digests of the test photos, if these are known."""
        return artifacts.read_photos(self.runs[0].folder)

    @property
    def test_images(self) -> tuple[int, int]:
        """Numbers of test items, of seen and of unseen classes."""
        labels, seen = self.test
        of_seen = int((labels < seen).sum())
        return of_seen, len(labels) - of_seen

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes, seen first."""
        return artifacts.read_class_names(self.runs[0].folder)

    @cached_property
    def outcomes(self) -> list[Outcome]:
        """The summaries met with their labels."""
        return [
            Outcome.of(summary, *self.test, result.space, result.average)
            for summary, result in zip(self.summaries, self.results, strict=True)
        ]

    @cached_property
    def h_without(self) -> dict[str, list[float]]:
        """H of each seed at what would be chosen without a tuning world, by the world's name.

        Only its spread may be shown: to choose among these would be to choose on test. Empty for
        rules that read no choice, for a choice made in one world or more than once, and for runs of
        older versions.
        """
        if self.rule not in ("validation", "last") or self.choices > 1:
            return {}
        found = {}
        for other in self.records[0].choice.alternatives:
            last = self.rule == "last"
            gamma = other.last_gamma if last else other.gamma
            epochs = [result.epoch if last else other.epoch for result in self.results]
            found[other.without] = [
                self._outcome(number, epoch).scores(gamma).h for number, epoch in enumerate(epochs)
            ]
        return found

    @cached_property
    def choices(self) -> int:
        """How many choices there are: one, unless several labs made it, on other machines."""
        different: list[Choice] = []
        for record in self.records:
            choice = record.choice  # most runs of one key hold one object
            if all(choice is not other and disagreement(choice, other) for other in different):
                different.append(choice)
        return len(different)

    @property
    def labs(self) -> dict[str, list[float]]:
        """H of each seed, by the lab that ran it; empty where not all say so."""
        found: dict[str, list[float]] = {}
        for record in self.records:
            found.setdefault(record.environment.get(BY, ""), []).append(record.h(self.rule))
        return {} if "" in found else found

    def _outcome(self, number: int, epoch: int) -> Outcome:
        """Return a run's outcome on logits at an epoch; at the rule's own it is there already."""
        if epoch == self.results[number].epoch:
            return self.outcomes[number]
        return Outcome.of(artifacts.read_summary(self.runs[number].folder, epoch), *self.test)

    @property
    def deterministic(self) -> bool:
        """Whether its method has no use for seeds."""
        return self.records[0].deterministic

    @property
    def h(self) -> list[float]:
        """H of each seed."""
        return [record.h(self.rule) for record in self.records]

    @property
    def gammas(self) -> list[float]:
        """One per seed."""
        return [result.gamma for result in self.results]


def title_of(method: str, settings: Mapping[str, Any], tuned: int = 0) -> str:
    """Return a method's name with what differs from its defaults; or that it was tuned."""
    if tuned:
        return f"{method} (tuned)"
    pairs = ", ".join(f"{key}={value}" for key, value in settings.items())
    return f"{method} ({pairs})" if pairs else method


def called(spec: RunSpec | IncrementalSpec, label: str = "") -> str:
    """Return what a run's row is called: what a suite says, or its method, as `title_of` has it."""
    return label or title_of(spec.method, spec.settings, getattr(spec, "tuned", 0))


def adjust(found: Sequence[dict[M, dict[Population, Difference]]]) -> None:
    """Adjust the p values of all comparisons made of each metric and population (Holm)."""
    for metric in found[0] if found else ():
        for population in POPULATIONS:
            raw = [each[metric][population] for each in found]
            for each, one, p in zip(found, raw, holm([one.p for one in raw]), strict=True):
                each[metric][population] = replace(one, p=p)


def group_runs(
    stored: Sequence[Stored], rules: Sequence[RuleName], labels: Mapping[str, str]
) -> list[SeedGroup]:
    """Put together the runs that differ in nothing but their seed.

    Args:
        stored: The runs.
        rules: Which to read; submissions have one of their own.
        labels: Choice key -> label.
    """
    found: dict[tuple[str, RuleName], dict[int, Stored]] = {}
    for run in stored:
        for rule in dict.fromkeys((*rules, SUBMITTED)):
            if rule in run.record.rules:
                seeds = found.setdefault((run.record.spec.choice_key, rule), {})
                seeds.setdefault(run.record.spec.seed, run)
    return [
        SeedGroup(rule, tuple(runs[seed] for seed in sorted(runs)), labels.get(key, ""))
        for (key, rule), runs in found.items()
    ]
