"""The space that a sweep searches: from a method's config, or as the user names it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from math import log, nan, prod
from typing import Any, get_args

from zslbench.errors import ZslbenchError, refuse_repeated, unknown
from zslbench.inputs import finite
from zslbench.method import Method, MethodConfig, bounds
from zslbench.seeding import generator

LENGTHS = ("epochs", "frozen_epochs", "batch_size")
SMALLEST_SHARE = 1e-3
MOST_CELLS = 10_000
EVEN_POINTS = 64


@dataclass(frozen=True)
class Parameter:
    """One axis: a range of numbers, or choices.

    Attributes:
        low: Smallest value.
        high: Largest value.
        log: Whether it is searched on a logarithmic scale.
        whole: Whether its values are whole numbers.
        choices: If there are any, the values are these and the rest does not matter.
        symbol: The paper's name for it.
    """

    name: str
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    whole: bool = False
    choices: tuple[Any, ...] = ()
    symbol: str = ""

    def clipped(self, value: Any) -> Any:
        """Return the value of this axis nearest to `value`; the first choice where none is near."""
        if not self.choices:
            nearest = min(max(value, self.low), self.high)
            return int(nearest) if self.whole else float(nearest)
        numbers = all(isinstance(v, int | float) for v in (*self.choices, value))
        if value in self.choices or not numbers:
            return value if value in self.choices else self.choices[0]
        return min(self.choices, key=lambda choice: abs(choice - value))

    def points(self, count: int) -> list[Any]:
        """Return `count` values from low to high in equal steps or equal ratios; all choices."""
        if self.choices:
            return list(self.choices)
        shares = [i / (count - 1) for i in range(count)] if count > 1 else [0.5]
        return list(dict.fromkeys(map(self.at, shares)))

    def at(self, share: float) -> Any:
        """Return the value at a share of the way from its low end to its high one."""
        if self.choices:
            return self.choices[min(int(share * len(self.choices)), len(self.choices) - 1)]
        if self.log:
            value = self.low * (self.high / self.low) ** share
        else:
            value = self.low + (self.high - self.low) * share
        return self.clipped(round(value) if self.whole else float(f"{value:.6g}"))

    def place(self, value: Any) -> float | None:
        """Return where a number lies on the axis, 0 being its low end and 1 its high one.

        None where it lies outside, or the axis has choices.
        """
        if self.choices or value is None or not self.low <= value <= self.high:
            return None
        low, at, high = (log(v) if self.log else v for v in (self.low, value, self.high))
        return (at - low) / (high - low)

    def said(self) -> str:
        """Return its values in words."""
        if self.choices:
            return " | ".join(map(str, self.choices))
        return f"{self.low:g} to {self.high:g}" + (", logarithmic" if self.log else "")

    def described(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {**asdict(self), "choices": list(self.choices)}


def default_space(cls: type[Method], settings: Iterable[str] = ()) -> list[Parameter]:
    """Return the space a method declares: what it names in `swept`, or all but the lengths.

    What is set by the user or can have one value only is not searched. Where a logarithmic scale is
    declared and the lowest value allowed is 0, the search starts at a thousandth of the highest, or
    at a tenth of the default where that is lower.

    Raises:
        ZslbenchError: If nothing is left to search.
    """
    names = cls.swept or tuple(n for n in cls.Config.model_fields if n not in LENGTHS)
    declared = [declared_range(cls.Config, name) for name in names if name not in settings]
    space = [p for p in declared if p is not None and p.low < p.high]
    if not space:
        raise ZslbenchError(
            f"{cls.__name__} leaves nothing to search. Name settings and their values, "
            "such as class_attributes='l2|centred'."
        )
    return space


def declared_range(config: type[MethodConfig], name: str) -> Parameter | None:
    """Return the range that `hyper` declares for a setting; None where it declares none."""
    info = config.model_fields[name]
    extra, allowed = info.json_schema_extra, bounds(info)
    if not isinstance(extra, dict) or "symbol" not in extra or allowed is None:
        return None
    low, high = allowed
    log, whole = bool(extra["log"]), int in (info.annotation, *get_args(info.annotation))
    if log and low == 0:
        low = max(1.0, SMALLEST_SHARE * high) if whole else SMALLEST_SHARE * high
        low = min(low, info.default / 10) if info.default else low
    return Parameter(name, low, high, log, whole, symbol=str(extra["symbol"]))


def parse_space(
    cls: type[Method], method: str, texts: Sequence[str], settings: Mapping[str, Any]
) -> list[Parameter]:
    """Return the space: the parameters named, or, where none are, the method's own.

    Args:
        cls: The method.
        method: Its name.
        texts: Each `name=low:high`, `name=low:high:log`, `name=a|b|c`, or a `name` alone, which is
            searched as the method declares it.
        settings: What is set and therefore not searched.

    Raises:
        ZslbenchError: On an unknown name or a value that the setting cannot have.
    """
    if not texts:
        return default_space(cls, settings)
    space = [_parse(cls, method, text) for text in texts]
    names = [parameter.name for parameter in space]
    refuse_repeated("The space", names)
    for name in names:
        if name in settings:
            raise ZslbenchError(f"{name} is set, and in the space: leave out one of the two.")
    return space


def _parse(cls: type[Method], method: str, text: str) -> Parameter:
    name, equals, values = text.partition("=")
    if name not in cls.Config.model_fields:
        raise unknown(f"setting of {method}", name, cls.Config.model_fields)
    declared = declared_range(cls.Config, name)
    if not equals and declared is not None:
        return declared
    if "|" in values:
        choices = parsed_values(cls, method, name, values.split("|"))
        return Parameter(name, choices=tuple(dict.fromkeys(choices)))
    allowed = bounds(cls.Config.model_fields[name])
    if declared is None or allowed is None:
        raise ZslbenchError(f"space {text}: {name} has no range. Name choices: {name}=a|b.")
    return _range(text, declared, allowed)


def parsed_values(cls: type[Method], method: str, name: str, written: Sequence[str]) -> list[Any]:
    """Return a setting's values as written.

    Raises:
        ZslbenchError: On a value that the setting cannot have.
    """
    return [getattr(cls.Config.parse({name: text}, method), name) for text in written]


def _range(text: str, declared: Parameter, allowed: tuple[float, float]) -> Parameter:
    name, scale = declared.name, text.partition("=")[2].split(":")
    ends = [finite(part) for part in [*scale, ""][:2]]
    low, high = (nan if end is None else end for end in ends)
    log = scale[2:] == ["log"]
    if not low < high or not (log or len(scale) == 2) or (declared.whole and (low % 1 or high % 1)):
        kind = "whole numbers" if declared.whole else "numbers"
        raise ZslbenchError(
            f"space {text}: write it as {name}=low:high, {name}=low:high:log or {name}=a|b|c, "
            f"with {kind}, the lower one first."
        )
    if low < allowed[0] or high > allowed[1] or (log and low <= 0):
        least = "more than 0 on a logarithmic scale, and at least " if log else ""
        raise ZslbenchError(
            f"space {text}: {name} may be {least}{allowed[0]:g} to {allowed[1]:g}. "
            "Choose a range within these bounds."
        )
    return Parameter(name, low, high, log, declared.whole, symbol=declared.symbol)


def check_grid(space: Sequence[Parameter], points: int) -> None:
    """Refuse a grid of more cells than anybody means to try.

    Raises:
        ZslbenchError: If it is one.
    """
    count = prod(len(parameter.points(points)) for parameter in space)
    if count > MOST_CELLS:
        raise ZslbenchError(
            f"grid: {len(space)} settings make {count} cells, more than {MOST_CELLS}. "
            "Take fewer points, name fewer settings in the space, or take the random sampler."
        )


def places(space: Sequence[Parameter], values: Mapping[str, Any]) -> dict[str, float]:
    """Return where values lie on the axes that are ranges; see `Parameter.place`."""
    found = {parameter.name: parameter.place(values.get(parameter.name)) for parameter in space}
    return {name: place for name, place in found.items() if place is not None}


def cells(space: Sequence[Parameter], points: int) -> list[dict[str, Any]]:
    """Return every cell of the grid over a space, the last parameter fastest."""
    names = [parameter.name for parameter in space]
    axes = product(*(parameter.points(points) for parameter in space))
    return [dict(zip(names, cell, strict=True)) for cell in axes]


def even_points(space: Sequence[Parameter], seed: int) -> list[dict[str, Any]]:
    """Return points that fill a space evenly, whichever number of the first is taken (Sobol)."""
    from scipy.stats.qmc import Sobol

    rows = Sobol(len(space), seed=generator(seed, "sobol")).random(EVEN_POINTS)
    return [{p.name: p.at(float(v)) for p, v in zip(space, row, strict=True)} for row in rows]
