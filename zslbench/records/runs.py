"""Results of runs, openings of test labels, failures."""

from typing import ClassVar, Literal
from uuid import uuid4

from pydantic import Field

from zslbench.records.base import Record, RuleName
from zslbench.records.choices import Choice, Scores
from zslbench.records.keys import SCHEMA_VERSION, now
from zslbench.records.specs import IncrementalSpec, RunSpec


class RuleResult(Record):
    """What one rule reads off the run.

    Attributes:
        scores: U, S, H at `gamma`; T1 and AUSUC at the same epoch.
        t1_best: T1 at the epoch chosen for T1 by the same rule.
        gamma: In standard deviations of class-centred scores.
        gamma_raw: What was subtracted from the seen classes' scores.
        space: Where gamma acts; AUSUC differs between the two.
        average: Whether accuracies are per-class (the protocol) or per-image means.
        selected_on_test: Whether test labels had a part in the choice. Watermarked everywhere.
    """

    scores: Scores
    epoch: int
    t1_best: float
    t1_epoch: int
    gamma: float
    gamma_raw: float
    space: Literal["logit", "probability"] = "logit"
    average: Literal["class", "image"] = "class"
    selected_on_test: bool = False


class Cost(Record):
    """Wall time in seconds, training images per second, peak memory in MiB."""

    fit_seconds: float
    score_seconds: float
    images_per_second: float
    peak_memory_mib: float


class RunRecord(Record):
    """The result of one run.

    Attributes:
        rules: What each rule reads off the run.
        plain: The scores at gamma = 0, at the chosen epoch.
        oracle_h: The best H over all gamma on test labels at the chosen epoch: a bound, no result.
        losses: Training losses by epoch.
        localisation: How well the method looked where the parts are, at the chosen epoch; see
            `zslbench.metrics.localisation`. Empty where the parts are not known, or it has no view.
        opening: The id of the ledger's entry for this run's look at the test labels.
        test_digest: What the ledger counts by: the test items with their sealed labels.
        transductive: Whether the method was handed the unseen classes' attributes in training.
        passes: How many epochs in a row are those of one final classifier.
    """

    kind: ClassVar[str] = "run"

    key: str
    spec: RunSpec
    choice: Choice
    rules: dict[RuleName, RuleResult]
    plain: Scores
    oracle_h: float
    losses: dict[str, list[float]]
    localisation: dict[str, float] = Field(default_factory=dict)
    opening: str
    test_digest: str
    transductive: bool
    deterministic: bool
    passes: int = 1
    cost: Cost
    environment: dict[str, str]
    created: str = Field(default_factory=now)
    schema_version: int = SCHEMA_VERSION

    def h(self, rule: RuleName = "validation") -> float:
        """Return H by a rule, in percent."""
        return self.rules[rule].scores.h


class IncrementalRecord(Record):
    """The result of one run along a task sequence; all accuracies are per-class means, in percent.

    Attributes:
        sizes: Classes of each task.
        accuracy: After each task, over all classes learnt so far.
        tasks: After each task, of each task learnt so far.
        average: Mean of `accuracy`.
        last: The last of `accuracy`.
        forgetting: Mean, over all tasks but the last, of the best accuracy before the end minus the
            accuracy at the end (Chaudhry et al., ECCV 2018).
        carried: Bytes of all that the method took from each task to the next.
        keeps_images: Whether it was handed the images of old tasks again.
        losses: Of every epoch of every task, by name.
        opening: The id of the ledger's entry for this run's look at the test labels.
        test_digest: What the ledger counts by.
    """

    kind: ClassVar[str] = "sequence"

    key: str
    spec: IncrementalSpec
    sizes: tuple[int, ...]
    accuracy: tuple[float, ...]
    tasks: tuple[tuple[float, ...], ...]
    average: float
    last: float
    forgetting: float
    carried: tuple[int, ...]
    keeps_images: bool
    losses: dict[str, list[float]]
    opening: str
    test_digest: str
    cost: Cost
    environment: dict[str, str]
    created: str = Field(default_factory=now)
    schema_version: int = SCHEMA_VERSION


class Opening(Record):
    """One opening of a final world's test labels: an entry of the ledger, written beforehand."""

    kind: ClassVar[str] = "opening"

    key: str = Field(default_factory=lambda: uuid4().hex)
    run_key: str
    method: str
    dataset: str
    test_digest: str
    created: str = Field(default_factory=now)


class Failure(Record):
    """A run that raised: recorded, so that a study can go on and the reader can see why."""

    kind: ClassVar[str] = "failure"

    key: str
    spec: RunSpec | IncrementalSpec
    error: str
    traceback: str
    created: str = Field(default_factory=now)
