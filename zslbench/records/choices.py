"""What is chosen in the tuning worlds, and what it was chosen from."""

from typing import Any, ClassVar

from pydantic import Field

from zslbench.records.base import Record
from zslbench.records.keys import now


class Scores(Record):
    """T1, U, S, H in percent; AUSUC in [0, 1]."""

    t1: float
    u: float
    s: float
    h: float
    ausuc: float


class TuningWorld(Record):
    """How the chosen epoch and gamma did in one tuning world; `plain` is gamma = 0.

    Attributes:
        pretrained: Validation classes that the backbone's pretraining knows, by their names.
    """

    name: str
    train_classes: int
    validation_classes: int
    pretrained: tuple[str, ...] = ()
    scores: Scores
    plain: Scores


class Candidate(Record):
    """One epoch of one candidate config, averaged over the tuning worlds; h is at gamma = 0."""

    config: dict[str, Any]
    epoch: int
    ausuc: float
    t1: float
    h: float


class Alternative(Record):
    """What the same config's epoch and gammas would be without one of the tuning worlds."""

    without: str
    epoch: int
    gamma: float
    last_gamma: float


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
        alternatives: One for each tuning world left out; none where there is but one world.
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
    alternatives: tuple[Alternative, ...] = ()
    seconds: float
    created: str = Field(default_factory=now)

    @property
    def epochs(self) -> int:
        """The length of the schedule that each candidate config was fitted over."""
        return self.candidates[-1].epoch if self.candidates else 1
