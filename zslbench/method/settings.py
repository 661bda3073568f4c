"""The settings of a method: typed, bounded, with their search space."""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import product
from typing import Any, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    field_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from zslbench.errors import ZslbenchError, unknown
from zslbench.inputs import finite


def hyper(
    default: Any,
    symbol: str,
    doc: str,
    low: float,
    high: float,
    *,
    log: bool = False,
    grid: Sequence[Any] = (),
) -> Any:
    """Declare a hyper-parameter of a config.

    Args:
        default: Its value; None says that the tuning worlds choose among `grid`.
        symbol: The paper's name for it.
        doc: One line on what it does.
        low: Smallest value allowed, also of the search space.
        high: Largest value allowed.
        log: Whether it is searched on a logarithmic scale.
        grid: The candidates where the value is None.
    """
    space: dict[str, Any] = {"symbol": symbol, "log": log, "grid": list(grid)}
    return Field(default, ge=low, le=high, description=doc, json_schema_extra=space)


weight = partial(hyper, low=0.0, high=100.0, log=True)
count = partial(hyper, low=1, high=16384, log=True)
rate = partial(hyper, low=1e-6, high=1.0, log=True)


def tuned(symbol: str, doc: str, low: float, high: float, grid: Sequence[float]) -> Any:
    """Declare a hyper-parameter that the tuning worlds choose from a grid, unless it is set."""
    told = f"{doc}; none: chosen on the tuning worlds"
    return hyper(None, symbol, told, low, high, log=True, grid=grid)


def option(default: Any, symbol: str, doc: str) -> Any:
    """Declare a setting that is one of a few names, or a switch: no sweep searches it by itself.

    Args:
        default: Its value.
        symbol: What the paper calls what it decides.
        doc: One line on what it does, with the equation where there is one.
    """
    return Field(default, description=doc, json_schema_extra={"symbol": symbol})


def undecided(symbol: str, doc: str, *choices: str) -> Any:
    """Declare a setting of a few names that the tuning worlds choose among, unless it is set.

    For what a paper leaves open and public code does in either way.
    """
    told = f"{doc}; none: chosen on the tuning worlds"
    return Field(
        None, description=told, json_schema_extra={"symbol": symbol, "grid": list(choices)}
    )


def bounds(info: FieldInfo) -> tuple[float, float] | None:
    """Return the smallest and the largest value that `hyper` allows; None for other settings."""
    found = {key: getattr(m, key) for m in info.metadata for key in ("ge", "le") if hasattr(m, key)}
    return (found["ge"], found["le"]) if found else None


AttributeForm = Literal["l2", "raw", "centred"]
ClassForm = AttributeForm | Literal["sentences"]


class Settings(BaseModel):
    """Base of every config: typed, bounded, immutable, unknown names refused.

    Attributes:
        presets: Settings that a paper gives together, by the name of its dataset.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    @field_validator("*", mode="wrap")
    @classmethod
    def _plain_number(cls, value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
        """Refuse what is not finite, and digits that are not 0 to 9."""
        found = validate(value)
        if isinstance(found, int | float) and not isinstance(found, bool):
            plain = not isinstance(value, str) or finite(value) is not None
            if not (plain and math.isfinite(found)):
                raise PydanticCustomError("number", "input should be a finite number such as 0.1")
        return found

    @classmethod
    def parse(cls, values: Mapping[str, Any], method: str) -> Self:
        """Build the config from `key=value` settings; `preset` stands for those it names.

        Raises:
            ZslbenchError: On an unknown key (with the nearest one) or a value out of bounds.
        """
        if cls.presets and "preset" in values:
            name = str(values["preset"])
            if name not in cls.presets:
                raise unknown(f"preset of {method}", name, cls.presets)
            own = {key: value for key, value in values.items() if key != "preset"}
            values = {**cls.presets[name], **own}
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
                f"{key}={values.get(key)}: {message}. "
                f"`zslbench methods {method}` lists what {key} may be."
            ) from None

    def stored(self) -> dict[str, Any]:
        """Return every setting as records hold it."""
        return self.model_dump(mode="json")

    def changed(self) -> dict[str, Any]:
        """Return the settings that differ from their defaults, as records hold them."""
        defaults = type(self)().stored()
        return {name: value for name, value in self.stored().items() if value != defaults[name]}


class MethodConfig(Settings):
    """Base of every method's config.

    Attributes:
        class_attributes: The form in which a method gets class attributes, in training and scoring
            alike: rows L2-normalised; as published; or L2-normalised, minus the mean of the world's
            seen classes, and normalised again. A method that needs `descriptions` has `sentences`
            here, and gets text in their place, `[C, S]` or `[C, V, S]`: see `Dataset.sentences`.
    """

    class_attributes: AttributeForm = option(
        "l2", "a", "form of the class attributes: l2, raw (as published) or centred"
    )

    def candidates(self) -> list[Self]:
        """Return the configs the tuning worlds choose among: one for each point of open grids."""
        open_grids = {}
        for name, info in type(self).model_fields.items():
            extra = info.json_schema_extra
            if getattr(self, name) is None and isinstance(extra, dict) and extra.get("grid"):
                open_grids[name] = list(extra["grid"])  # type: ignore[arg-type]
        points = product(*open_grids.values())
        return [self.model_copy(update=dict(zip(open_grids, p, strict=True))) for p in points]
