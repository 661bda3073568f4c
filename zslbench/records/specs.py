"""Specifications: all that a run names, each part of which may change its numbers."""

from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from zslbench.records.base import Backbone, Record, RuleName, WordVectors
from zslbench.records.keys import PROTOCOL_VERSION, digest


class Spec(Record):
    """What every kind of run names: everything here may change its numbers.

    Attributes:
        config: The method's config with all defaults filled in.
        settings: What of it differs from the defaults: for display, no part of the key.
        dataset: The dataset's name; `data_digest` is what identifies it.
    """

    method: str
    method_version: int
    config: dict[str, Any]
    settings: dict[str, Any] = Field(default_factory=dict)
    dataset: str
    data_digest: str
    backbone: Backbone
    seed: int = Field(ge=0)
    precision: str
    protocol_version: int = PROTOCOL_VERSION

    def _identity(self) -> dict[str, Any]:
        identity = self.model_dump(mode="json", exclude={"dataset", "settings"})
        return {**identity, "backbone": self.backbone.identity}

    @property
    def key(self) -> str:
        """The key of the run."""
        return digest(self._identity())


class RunSpec(Spec):
    """Method x config x dataset x backbone x seed.

    Attributes:
        words: The attribute word vectors, where the method is handed them.
        descriptions: The sentences that describe the classes, where the method reads them.
        tuning_worlds: How many tuning worlds the choice averages over; none for a submission.
        tuning_seeds: How many fits in each of them; a deterministic method has one.
        rules: The rules read off the run; `published` needs every epoch scored on test images,
            `submitted` is what comes with scores that someone else has made.
        tuned: Of how many trials the config is the winner; 0: it is as its user or its method has
            it. The two never share a table.
    """

    kind: ClassVar[str] = "run"

    words: WordVectors | None = None
    descriptions: WordVectors | None = None
    tuning_worlds: int = Field(default=3, ge=0)
    tuning_seeds: int = Field(default=1, ge=1)
    rules: tuple[RuleName, ...] = ("validation", "last")
    tuned: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _is_tuned_or_submitted(self) -> Self:
        if (self.tuning_worlds == 0) != (self.rules == ("submitted",)):
            raise ValueError("tuning_worlds is 0 for a submission, and for nothing else")
        return self

    def _identity(self) -> dict[str, Any]:
        identity = super()._identity()
        identity["words"] = self.words and self.words.digest
        identity["descriptions"] = self.descriptions and self.descriptions.digest
        if not self.descriptions:
            del identity["descriptions"]
        if not self.tuned:
            del identity["tuned"]
        if self.tuning_seeds == 1:
            del identity["tuning_seeds"]
        return identity

    @property
    def choice_key(self) -> str:
        """The key of the choice, which all seeds and rules of one config share."""
        identity = self._identity()
        return digest({k: v for k, v in identity.items() if k not in ("seed", "rules")})


class IncrementalSpec(Spec):
    """Method x config x dataset x backbone x task sizes x seed; the seed also orders the classes.

    Attributes:
        base: Classes of the first task; 0: as many as each other task has.
        increment: Classes of every other task; the last has what is left.
        descriptions: The sentences that describe the classes, where the method reads them.
    """

    kind: ClassVar[str] = "sequence"

    base: int = Field(ge=0)
    increment: int = Field(ge=1)
    descriptions: WordVectors | None = None

    @property
    def protocol(self) -> str:
        """What the field calls it, such as B0-Inc12."""
        return f"B{self.base}-Inc{self.increment}"

    def _identity(self) -> dict[str, Any]:
        described = self.descriptions and self.descriptions.digest
        return {**super()._identity(), "kind": self.kind, "descriptions": described}

    @property
    def seeds_key(self) -> str:
        """The key that all seeds of one configuration share."""
        return digest({k: v for k, v in self._identity().items() if k != "seed"})
