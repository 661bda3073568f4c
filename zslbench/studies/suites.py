"""Suites: tables as runnable data, one TOML file each; what every kind of them shares."""

import tomllib
from collections.abc import Mapping
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from zslbench.errors import DataError, unknown

FORM = "docs/suites.md shows what a suite may say."


class SuitePart(BaseModel):
    """A part of a suite's file; keys it does not know are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


P = TypeVar("P", bound=SuitePart)


def read_text(name: str, shipped: Mapping[str, Traversable], kind: str) -> tuple[str, str, str]:
    """Return a suite's name, its text, and where that is from."""
    if not name.endswith(".toml"):
        if name not in shipped:
            raise unknown(kind, name, shipped)
        return name, shipped[name].read_text(encoding="utf-8"), ""
    path = Path(name)
    try:
        return path.stem, path.read_text(encoding="utf-8"), name
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(path, f"cannot be read ({error})", "Name a suite or its file.") from None


def parse_text(
    kind: type[P], inner: Mapping[str, type[SuitePart]], name: str, text: str, where: str
) -> P:
    """Return what a text holds: a suite of some kind.

    Args:
        kind: Of the suite.
        inner: The kinds of its parts, by key.
        name: Of the suite.
        text: TOML.
        where: Its file, where it is the user's.

    Raises:
        DataError: If it is none.
    """
    place = where or f"{name}.toml"
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DataError(place, f"is not TOML: {error}", FORM) from None
    _refuse_unknown(place, data, kind, inner)
    try:
        return kind.model_validate({**data, "name": name})
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(n + 1) if isinstance(n, int) else n for n in first["loc"])
        message = first["msg"][0].lower() + first["msg"][1:]
        raise DataError(place, f"{key}: {message}", FORM) from None


def _refuse_unknown(
    place: str, data: Mapping[str, Any], kind: type[SuitePart], inner: Mapping[str, type[SuitePart]]
) -> None:
    """Refuse keys that a suite and its parts do not have, with the nearest one."""
    parts: list[tuple[str, Any, type[SuitePart]]] = [("", data, kind)]
    for key, part in inner.items():
        members = data.get(key, [])
        if isinstance(members, list):
            parts += [(f"{key} {n}", member, part) for n, member in enumerate(members, start=1)]
    for name, values, model in parts:
        known = set(model.model_fields) - {"name"}
        for key in values if isinstance(values, dict) else ():
            if key not in known:
                raise unknown("key", key, known, where=f" in {name or 'a suite'} ({place})")
