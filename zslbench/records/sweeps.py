"""Sweeps and their trials."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from zslbench.records.base import Record
from zslbench.records.choices import Choice
from zslbench.records.keys import now
from zslbench.records.specs import RunSpec


class Sweep(Record):
    """A search for hyper-parameters: what its trials have in common.

    Attributes:
        name: The sweep's name.
        about: All that must not change between the trials of one sweep.
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
        look: 1 for the search, 2 for its best again, in worlds with other class splits.
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
