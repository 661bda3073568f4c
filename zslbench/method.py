"""What a method is: a config with a search space, a fit that yields epochs, and scores."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from zslbench.data.types import BackboneSource, Ending, Inputs
from zslbench.errors import ZslbenchError, unknown
from zslbench.metrics import Average, Space

Float = NDArray[np.float64]
Need = Literal["images", "features", "word_vectors", "unseen_attributes"]


def hyper(
    default: Any,
    *,
    low: float,
    high: float,
    doc: str,
    symbol: str,
    log: bool = False,
    grid: Sequence[Any] = (),
) -> Any:
    """Declare a hyper-parameter of a config.

    Args:
        default: Its value; None says that the tuning worlds choose among `grid`.
        low: Smallest value allowed, also of the search space.
        high: Largest value allowed.
        doc: One line on what it does.
        symbol: The paper's name for it.
        log: Whether it is searched on a logarithmic scale.
        grid: The candidates where the value is None.
    """
    space: dict[str, Any] = {"symbol": symbol, "log": log, "grid": list(grid)}
    return Field(default, ge=low, le=high, description=doc, json_schema_extra=space)


def option(default: Any, *, doc: str, symbol: str) -> Any:
    """Declare a setting that is one of a few names, or a switch: no sweep searches it by itself.

    Args:
        default: Its value.
        doc: One line on what it does, with the equation where there is one.
        symbol: What the paper calls what it decides.
    """
    return Field(default, description=doc, json_schema_extra={"symbol": symbol})


def bounds(info: FieldInfo) -> tuple[float, float] | None:
    """Return the smallest and the largest value that `hyper` allows; None for other settings."""
    found = {key: getattr(m, key) for m in info.metadata for key in ("ge", "le") if hasattr(m, key)}
    return (found["ge"], found["le"]) if found else None


AttributeForm = Literal["l2", "raw", "centred"]


class MethodConfig(BaseModel):
    """Base of every method's config: typed, bounded, immutable, unknown names refused.

    Attributes:
        class_attributes: The form in which a method gets class attributes, in training and scoring
            alike: rows L2-normalised; as published; or L2-normalised, minus the mean of the world's
            seen classes, and normalised again.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    class_attributes: AttributeForm = option(
        "l2", symbol="a", doc="form of the class attributes: l2, raw (as published) or centred"
    )

    @classmethod
    def parse(cls, values: Mapping[str, Any], method: str) -> Self:
        """Build the config from `key=value` settings.

        Raises:
            ZslbenchError: On an unknown key (with the nearest one) or a value out of bounds.
        """
        for key in values:
            if key not in cls.model_fields:
                raise unknown(f"setting of {method}", key, cls.model_fields)
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            first = error.errors()[0]
            key = str(first["loc"][0])
            message = first["msg"][0].lower() + first["msg"][1:]
            raise ZslbenchError(
                f"--set {key}={values.get(key)}: {message}. "
                f"`zslbench methods {method}` lists what {key} may be."
            ) from None

    def candidates(self) -> list[Self]:
        """Return the configs the tuning worlds choose among: one for each point of open grids."""
        open_grids = {}
        for name, info in type(self).model_fields.items():
            extra = info.json_schema_extra
            if getattr(self, name) is None and isinstance(extra, dict) and extra.get("grid"):
                open_grids[name] = list(extra["grid"])  # type: ignore[arg-type]
        points = product(*open_grids.values())
        return [self.model_copy(update=dict(zip(open_grids, p, strict=True))) for p in points]


@dataclass(frozen=True)
class PublishedRule:
    """What a method's paper or code did to pick epoch and gamma, on test images.

    Attributes:
        epoch: `best` on test, or the `last`.
        gamma: `best` on test, or a number as published (0 where it did not calibrate).
        space: Where gamma acted.
        average: Per-class means, or per-image means where the published code has them.
        source: Where that is said or seen.
    """

    epoch: Literal["best", "last"] = "last"
    gamma: Literal["best"] | float = 0.0
    space: Space = "logit"
    average: Average = "class"
    source: str = ""


@dataclass(frozen=True)
class PublishedCurve:
    """What a paper's sensitivity figure says of a setting, all of it read on test images.

    Attributes:
        optimum: The value at which the paper has its best results.
        values: A grid over the range it tried, with the values that can be read off; empty where
            its range is not known.
    """

    optimum: float
    values: tuple[float, ...] = ()


@dataclass(frozen=True)
class TrainSet:
    """All that a method is handed to learn from. Nothing here names an item, a file or a class.

    Attributes:
        inputs: n items.
        labels: `[n]` in 0..Cs-1.
        class_attributes: `[Cs, K]` of the seen classes, in the form that the config asks for.
        word_vectors: `[K, E]`, if the method needs them.
        attribute_groups: `[K]` which family each attribute is of, where their names say so.
        unseen_attributes: `[Cu, K]`, only if the method declares that it trains on them.
        backbone: Builds the pretrained network, where the inputs are images.
    """

    inputs: Inputs
    labels: NDArray[np.int64]
    class_attributes: Float
    word_vectors: Float | None = None
    attribute_groups: NDArray[np.int64] | None = None
    unseen_attributes: Float | None = None
    backbone: BackboneSource | None = None


@dataclass(frozen=True)
class Epoch:
    """What a fit yields at the end of an epoch (1-based): by then the method can score."""

    number: int
    losses: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class View:
    """Where a method looks, in b images on a grid of N patches.

    Attributes:
        patches: `[b, N]`, the higher the more the patch matters.
        kept: `[b, N]` which patches are kept as semantic, where the method selects.
        attributes: `[b, N, K]` how much of each attribute is seen where, where it localises them.
    """

    patches: NDArray[np.floating]
    kept: NDArray[np.bool_] | None = None
    attributes: NDArray[np.floating] | None = None


class Method(ABC):
    """A trainable thing that turns items into scores over classes.

    Attributes:
        Config: Its config class.
        version: Raised by whoever changes its numbers.
        needs: What it must be handed beyond labels and seen class attributes.
        ending: What a backbone under it must end in, where it gets images: tokens or a map.
        deterministic: Whether the seed has no part in it.
        precision: The arithmetic of its fit.
        published: What its paper or code did to pick epoch and gamma.
        swept: The settings that a sweep searches unless told otherwise; empty: all declared by
            `hyper`, but for `epochs` and `batch_size`.
        published_curves: The settings whose sensitivity its paper shows.
    """

    Config: ClassVar[type[MethodConfig]]
    version: ClassVar[int] = 1
    needs: ClassVar[frozenset[Need]]
    ending: ClassVar[Ending] = "tokens"
    deterministic: ClassVar[bool] = False
    precision: ClassVar[str] = "float32"
    published: ClassVar[PublishedRule] = PublishedRule()
    swept: ClassVar[tuple[str, ...]] = ()
    published_curves: ClassVar[Mapping[str, PublishedCurve]] = {}

    def __init__(self, config: Any, seed: int) -> None:
        self.config = config
        self.seed = seed

    @classmethod
    def epochs(cls, config: Any) -> int:
        """Return how many epochs a fit with this config yields."""
        return 1

    @classmethod
    def prepare(cls, train: TrainSet, config: Any) -> Any:
        """Do the work that all candidate configs share; its result is what `fit` gets."""
        return train

    @classmethod
    def source_of(cls, config: Any) -> BackboneSource | None:
        """Return the backbone that the config itself names; None: the one asked for beside it."""
        return None

    @abstractmethod
    def fit(self, prepared: Any, after: Mapping[str, Any] | None = None) -> Iterator[Epoch]:
        """Learn, yielding at the end of every epoch; go on after a checkpoint if one is given."""

    def checkpoint(self) -> Mapping[str, Any] | None:
        """Return what `fit` needs to go on from here; None where starting again is as good."""
        return None

    @abstractmethod
    def scores(self, batch: NDArray[Any], class_attributes: Float) -> NDArray[np.floating]:
        """Return `[b, C]` scores (logits) of a batch over the classes whose rows are given."""

    def view(self, batch: NDArray[Any]) -> View | None:
        """Return where it looks in a batch of images; None where it has no such notion."""
        return None

    def setup(self, train: TrainSet) -> None:  # noqa: B027 - nothing to build is common
        """Build what `load_state` fills, where that takes more than the config."""

    @abstractmethod
    def state(self) -> dict[str, NDArray[Any]]:
        """Return all that has been learnt, as named arrays."""

    @abstractmethod
    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take back what `state` gave."""


class ClosedFormMethod(Method):
    """A method on fixed features with a closed-form solution: one epoch, float64, no seed."""

    needs = frozenset({"features"})
    deterministic = True
    precision = "float64"

    def fit(self, prepared: Any, after: Mapping[str, Any] | None = None) -> Iterator[Epoch]:
        """Solve, and yield the one epoch."""
        self.solve(prepared)
        yield Epoch(1)

    @abstractmethod
    def solve(self, prepared: Any) -> None:
        """Compute the solution for `self.config` from what `prepare` returned."""
