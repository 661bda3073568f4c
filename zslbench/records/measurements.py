"""Measurements: what regression tests compare."""

from typing import Any, ClassVar

from pydantic import Field

from zslbench.records.base import Record
from zslbench.records.choices import Scores
from zslbench.records.keys import now


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
