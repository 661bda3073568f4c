"""What is stored: the specification of a run, the choice made for it, its result, its failure.

A record's key is the SHA-256 of the canonical JSON of everything that may change its numbers.
Git commit, device, environment and threads are tags, not part of the key: whoever changes numbers
bumps `PROTOCOL_VERSION` or the method's `version`.
"""

import hashlib
import json
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal, Self
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field, model_validator

PROTOCOL_VERSION = 1
SCHEMA_VERSION = 1

RuleName = Literal["validation", "last", "published", "submitted"]
Exposure = Literal["1k", "21k", "web", "plumage", "none", "unknown"]


def canonical_json(value: Any) -> str:
    """Return JSON with sorted keys, no blanks and no NaN: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(value: Any) -> str:
    """Return the SHA-256, in hex, of the canonical JSON of `value`."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def now() -> str:
    """Return the present time, UTC, to the second, as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class Record(BaseModel):
    """An immutable record that refuses fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")

    kind: ClassVar[str]


class Backbone(Record):
    """The pretrained network under a method, or the feature file that stands for it.

    Attributes:
        name: A timm name, or `features:NAME` for features read from `NAME.mat`.
        weights_digest: SHA-256 of the weights or of the features.
        exposure: What the pretraining saw. The Proposed Splits keep unseen classes out of
            ImageNet-1k and promise nothing about more.
    """

    name: str
    weights_digest: str
    exposure: Exposure = "unknown"


class WordVectors(Record):
    """The word vectors of the attribute names: their digest, and in words where they come from."""

    digest: str
    description: str


class RunSpec(Record):
    """Method x config x dataset x backbone x seed: everything that may change a run's numbers.

    Attributes:
        config: The method's config with all defaults filled in.
        settings: What of it differs from the defaults: for display, no part of the key.
        dataset: The dataset's name; `data_digest` is what identifies it.
        words: The attribute word vectors, where the method is handed them.
        tuning_worlds: How many tuning worlds the choice averages over; none for a submission.
        rules: The rules read off the run; `published` needs every epoch scored on test images,
            `submitted` is what comes with scores that someone else has made.
        tuned: Of how many trials the config is the winner; 0: it is as its user or its method has
            it. The two never share a table.
    """

    kind: ClassVar[str] = "run"

    method: str
    method_version: int
    config: dict[str, Any]
    settings: dict[str, Any] = Field(default_factory=dict)
    dataset: str
    data_digest: str
    backbone: Backbone
    words: WordVectors | None = None
    seed: int = Field(ge=0)
    precision: str
    tuning_worlds: int = Field(default=3, ge=0)
    rules: tuple[RuleName, ...] = ("validation", "last")
    tuned: int = Field(default=0, ge=0)
    protocol_version: int = PROTOCOL_VERSION

    @model_validator(mode="after")
    def _is_tuned_or_submitted(self) -> Self:
        if (self.tuning_worlds == 0) != (self.rules == ("submitted",)):
            raise ValueError("tuning_worlds is 0 for a submission, and for nothing else")
        return self

    def _identity(self) -> dict[str, Any]:
        identity = self.model_dump(mode="json", exclude={"dataset", "settings"})
        identity["backbone"].pop("exposure")
        identity["words"] = self.words and self.words.digest
        if not self.tuned:
            del identity["tuned"]
        return identity

    @property
    def key(self) -> str:
        """The key of the run."""
        return digest(self._identity())

    @property
    def choice_key(self) -> str:
        """The key of the choice, which all seeds and rules of one config share."""
        identity = self._identity()
        return digest({k: v for k, v in identity.items() if k not in ("seed", "rules")})


class Scores(Record):
    """T1, U, S, H in percent; AUSUC in [0, 1]."""

    t1: float
    u: float
    s: float
    h: float
    ausuc: float


class TuningWorld(Record):
    """How the chosen epoch and gamma did in one tuning world; `plain` is gamma = 0."""

    name: str
    train_classes: int
    validation_classes: int
    scores: Scores
    plain: Scores


class Candidate(Record):
    """One epoch of one candidate config, averaged over the tuning worlds; h is at gamma = 0."""

    config: dict[str, Any]
    epoch: int
    ausuc: float
    t1: float
    h: float


class Choice(Record):
    """Config, epoch and gamma picked in the tuning worlds; made once, used by all seeds.

    Attributes:
        config: The config with every value filled in.
        epoch: The epoch with the best mean AUSUC (1-based).
        t1_epoch: The epoch of the same config with the best mean T1.
        gamma: Best mean H at `epoch`, in standard deviations of class-centred scores.
        last_gamma: The same, at the last epoch.
        gain: Mean gain in H of the best gamma over gamma = 0, in points.
        gain_error: The gain's standard error over the worlds; None for one world.
        candidates: Every epoch of every candidate config, in the order tried.
    """

    kind: ClassVar[str] = "choice"

    key: str
    method: str
    dataset: str
    config: dict[str, Any]
    epoch: int
    t1_epoch: int
    gamma: float
    last_gamma: float
    gain: float
    gain_error: float | None
    worlds: tuple[TuningWorld, ...]
    candidates: tuple[Candidate, ...]
    seconds: float
    created: str = Field(default_factory=now)


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
            `zslbench.localisation`. Empty where the parts are not known, or it has no view.
        opening: The id of the ledger's entry for this run's look at the test labels.
        test_digest: What the ledger counts by: the test items with their sealed labels.
        transductive: Whether the method was handed the unseen classes' attributes in training.
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


class Sweep(Record):
    """A search for hyper-parameters: what its trials have in common.

    Attributes:
        name: The study's name.
        about: All that must not change between the trials of one study.
    """

    kind: ClassVar[str] = "sweep"

    key: str
    name: str
    method: str
    dataset: str
    about: dict[str, Any]
    created: str = Field(default_factory=now)


class Trial(Record):
    """A point of a sweep, tried in tuning worlds; no trial sees the final world.

    Attributes:
        sweep: The key of the sweep.
        number: From 0, which is the method's defaults; a trial that was interrupted and started
            again is one trial.
        look: 1 for the search, 2 for another look at its best in worlds with other class splits.
        params: The point.
        spec: The run that the point stands for.
        value: Mean H over the worlds at the chosen epoch and gamma; of a pruned trial, what it had
            when it was ended; None for a failed one.
        steps: Epochs over all worlds and candidate configs, as far as it came.
        curve: What pruning compares, step by step: the sum over the worlds so far of the best H
            found in each, over the number of all worlds.
        choice: What was chosen, of a complete trial.
        error: What a failed one raised.
    """

    kind: ClassVar[str] = "trial"

    key: str
    sweep: str
    number: int
    look: Literal[1, 2] = 1
    state: Literal["complete", "pruned", "failed"]
    params: dict[str, Any]
    spec: RunSpec
    value: float | None
    steps: int
    curve: list[float] = Field(default_factory=list)
    choice: Choice | None = None
    error: str = ""
    seconds: float
    created: str = Field(default_factory=now)


class Measurement(Record):
    """One method in one tuning world, by one version of the code: what regression tests compare.

    Attributes:
        seed: Numbers the tuning world, and seeds the fit.
        repeat: Other than 0: fitted in the same world from other random numbers.
        code: The digest of all code and weights that measured it.
        environment: Its `commit` is that of the code measured, `dirty` whether it was altered.
        environment_digest: Of what numbers may depend on besides the code.
    """

    kind: ClassVar[str] = "measurement"

    key: str
    method: str
    method_version: int
    dataset: str
    settings: dict[str, Any]
    choice_key: str
    data_digest: str
    protocol_version: int
    measure_version: int
    seed: int
    repeat: int
    scores: Scores
    epoch: int
    gamma: float
    code: str
    environment: dict[str, str]
    environment_digest: str
    seconds: float
    created: str = Field(default_factory=now)


class Failure(Record):
    """A run that raised: recorded, so that a study can go on and the reader can see why."""

    kind: ClassVar[str] = "failure"

    key: str
    spec: RunSpec
    error: str
    traceback: str
    created: str = Field(default_factory=now)
