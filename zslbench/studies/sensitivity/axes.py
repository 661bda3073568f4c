"""What a sensitivity study varies: one setting at a time, on a grid around its default."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args, get_origin

from zslbench.errors import ZslbenchError, refuse_repeated, unknown
from zslbench.method import Method, MethodConfig, bounds
from zslbench.studies.sweep.space import declared_range, default_space, parsed_values

FACTORS = (0.1, 1 / 3, 1.0, 3.0, 10.0)
EVEN = 5


@dataclass(frozen=True)
class VariedSetting:
    """A setting with the values it is given while all others keep their defaults.

    Attributes:
        symbol: The paper's name for it.
        default: What the other axes keep it at.
        optimum: The best value as the paper has it, if it says.
        log: Whether it is drawn on a logarithmic scale.
        values: In order; the default is among them.
    """

    parameter: str
    symbol: str
    default: Any
    optimum: float | None
    log: bool
    values: tuple[Any, ...] = field(repr=False)


def parse_grids(texts: Sequence[str]) -> dict[str, list[str]]:
    """Return the values written for each setting, as `name=a,b,c`.

    Raises:
        ZslbenchError: If a text is not of that form, or a name comes twice.
    """
    grids: dict[str, list[str]] = {}
    for text in texts:
        name, _, listed = text.partition("=")
        values = [value.strip() for value in listed.split(",") if value.strip()]
        if not values or not name.strip():
            raise ZslbenchError(
                f"--grid {text}: write it as name=a,b,c, such as --grid lambda1=0.1,1,10."
            )
        refuse_repeated("--grid", [*grids, name.strip()])
        refuse_repeated(f"--grid {name.strip()}", values)
        grids[name.strip()] = values
    return grids


def axes_of(
    cls: type[Method],
    method: str,
    config: MethodConfig,
    parameters: Sequence[str] = (),
    grids: Mapping[str, Sequence[str]] | None = None,
) -> list[VariedSetting]:
    """Return what is varied: the settings named, or those whose curves the paper shows, or all.

    Args:
        cls: The method.
        method: Its name.
        config: What is kept while one setting is varied; nothing in it is open.
        parameters: Settings to vary.
        grids: Values to vary settings over; a default that is not among them is added.

    Raises:
        ZslbenchError: On a name or a value that the method does not have, or nothing to vary.
    """
    grids = grids or {}
    names = list(dict.fromkeys([*parameters, *grids])) or list(cls.published_curves)
    names = names or [parameter.name for parameter in default_space(cls)]
    for name in names:
        if name not in cls.Config.model_fields:
            raise unknown(f"setting of {method}", name, cls.Config.model_fields)
    return [_axis(cls, method, name, getattr(config, name), grids.get(name)) for name in names]


def _axis(
    cls: type[Method], method: str, name: str, default: Any, written: Sequence[str] | None
) -> VariedSetting:
    published, range_ = cls.published_curves.get(name), declared_range(cls.Config, name)
    if written is not None:
        values = parsed_values(cls, method, name, written)
    elif published:
        tried = published.values or _around(cls, name, default)
        values = _allowed(cls, name, [*tried, published.optimum])
    else:
        values = _allowed(cls, name, _around(cls, name, default))
    values = list(dict.fromkeys([*values, default]))
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    if len(values) < 2:
        raise ZslbenchError(
            f"{name} is {default} and nothing else: name a grid of values for it. "
            f"`zslbench methods {method}` lists what it may be."
        )
    log = bool(range_ and range_.log and numbers and min(values) > 0)
    symbol, optimum = range_.symbol if range_ else "", published.optimum if published else None
    in_order = tuple(sorted(values) if numbers else values)
    return VariedSetting(name, symbol, default, optimum, log, in_order)


def _around(cls: type[Method], name: str, default: Any) -> list[Any]:
    """Return a method's own grid, or ratios of the default, or even steps, or all choices."""
    info = cls.Config.model_fields[name]
    extra, range_ = info.json_schema_extra, declared_range(cls.Config, name)
    if isinstance(extra, dict) and extra.get("grid"):
        return list(extra["grid"])  # type: ignore[arg-type]
    if info.annotation is bool:
        return [False, True]
    if range_ is None:
        return list(get_args(info.annotation)) if get_origin(info.annotation) is Literal else []
    if default > 0 and (range_.log or default < range_.high / 10):
        return [float(f"{default * factor:.3g}") for factor in FACTORS]
    return range_.points(EVEN)


def _allowed(cls: type[Method], name: str, values: Sequence[Any]) -> list[Any]:
    """Return the values that a setting may have which are nearest to those given."""
    allowed, range_ = bounds(cls.Config.model_fields[name]), declared_range(cls.Config, name)
    if allowed is None or range_ is None:
        return list(values)
    inside = [min(max(value, allowed[0]), allowed[1]) for value in values]
    return [round(value) if range_.whole else float(value) for value in inside]
