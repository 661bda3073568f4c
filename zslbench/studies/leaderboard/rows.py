"""What a leaderboard holds: its rows, what failed, and what else was asked."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from zslbench.records import Failure, RuleName, Scores
from zslbench.report.table import Table
from zslbench.stats import Interval, Metric, Population
from zslbench.stats.labs import LabSpread
from zslbench.stats.permutation import Control
from zslbench.studies.groups import SUBMITTED, called, title_of
from zslbench.studies.incremental.results import IncrementalDifference, IncrementalRow
from zslbench.studies.leaderboard.evidence import Evidence
from zslbench.studies.leaderboard.paired import PairedRow
from zslbench.studies.leaderboard.selection_bias import Inflated
from zslbench.studies.leaderboard.standings import Standing

SELECTED_ON_TEST = "selected on test"
TITLE = "Leaderboard"
EXTERNAL = "external: training and selection not vouched for"


class Titled:
    """What a line of a leaderboard is called."""

    claimed: ClassVar[bool] = False
    dataset: str
    method: str
    label: str
    settings: dict[str, Any]
    tuned: int

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


@dataclass(frozen=True)
class Row(Titled):
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
        openings: How often this method has read these test labels, ever.
        marks: What a reader must know before comparing.
        evidence: What stands behind the numbers; no part of `leaderboard.json`.
        tuned: Of how many trials its config is the winner; 0: it was not tuned.
        tuning_seeds: Fits in each tuning world.
        choice_spread: Standard error of H over choices; None where it is not known.
        these_classes_and_choice: H with the 95 % interval that includes it.
        labs: H of each lab that ran it, where several did, and how far they lie apart.
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
    tuning_seeds: int = 1
    choice_spread: float | None = None
    these_classes_and_choice: Interval | None = None
    labs: LabSpread | None = None

    @property
    def by_lab(self) -> str:
        """H of each lab and how far they lie apart; empty where not several ran it."""
        if self.labs is None:
            return ""
        means = ", ".join(f"{lab} {mean:.1f}" for lab, mean in self.labs.means.items())
        seeds = "" if self.labs.seeds is None else f", by seeds alone {self.labs.seeds:.2f}"
        return f"H by lab: {means}; spread between labs {self.labs.between:.2f}{seeds}"

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

    @classmethod
    def of(cls, failure: Failure, label: str = "") -> Self:
        """Return what a record says, the run called by a suite's label where it has one."""
        spec = failure.spec
        return cls(spec.dataset, called(spec, label), spec.seed, failure.error)


@dataclass(frozen=True, repr=False)
class Contents:
    """What a leaderboard holds: rows by dataset, then H, what is set apart last; and the rest.

    Attributes:
        comparisons: Paired differences from a reference.
        inflations: Of the methods whose published rule was read too.
        standings: Win rates and mean ranks.
        title: What the table is.
        about: What a reader must know of it as a whole.
        planned: Runs that were asked for; 0 where the table shows what there is.
        missing: How many of them are not in the table.
        failures: Those of the missing runs that were tried.
        incremental: Rows of task sequences.
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
    incremental: list[IncrementalRow] = field(default_factory=list)
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


@dataclass(frozen=True)
class Submitted:
    """Who says to have run the runs of a line, and on which days."""

    by: tuple[str, ...]
    days: tuple[str, ...]


@dataclass(frozen=True)
class Claim(Titled):
    """Runs that differ in their seed alone, of which not every number was recomputed.

    Attributes:
        scores: Means over seeds, as the runs state them.
        marks: As of a row.
        why: What was not recomputed.
        provenance: As of `Evidence`.
    """

    claimed: ClassVar[bool] = True
    set_apart: ClassVar[bool] = True
    dataset: str
    method: str
    settings: dict[str, Any]
    tuned: int
    backbone: str
    exposure: str
    rule: RuleName
    seeds: tuple[int, ...]
    scores: Scores
    openings: int
    marks: tuple[str, ...]
    why: tuple[str, ...]
    provenance: dict[str, dict[str, Any]]
    label: str = ""


@dataclass(frozen=True)
class Public:
    """What the page of a public leaderboard has beside its rows, all of which were verified.

    Attributes:
        submitted: Of each row, then of each claim.
        tables: Who submitted what, and what was left out.
        notes: What verification is worth.
    """

    claims: Sequence[Claim] = ()
    submitted: Sequence[Submitted] = ()
    tables: Sequence[Table] = ()
    notes: Sequence[str] = ()
