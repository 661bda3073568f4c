"""Suites: published tables and figures as runnable data, one TOML file each (docs/suites.md)."""

import tomllib
from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from zslbench.errors import DataError, ZslbenchError, unknown
from zslbench.method import Method
from zslbench.method.registry import load_method
from zslbench.records import RuleName
from zslbench.studies.groups import title_of
from zslbench.studies.plan import Entry

FORM = "docs/suites.md shows what a suite may say."


class Part(BaseModel):
    """A part of a suite's file; keys it does not know are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


P = TypeVar("P", bound=Part)


class SuiteRow(Part):
    """One line of the table: a method with settings, and what the table calls it."""

    method: str
    label: str = ""
    settings: dict[str, Any] = Field(default_factory=dict)


class Grid(Part):
    """Lines that differ from the method in one setting at a time: each value of each setting."""

    method: str
    settings: dict[str, list[Any]]

    def rows(self) -> Iterator[SuiteRow]:
        """Yield a row for each value."""
        for key, values in self.settings.items():
            for value in values:
                yield SuiteRow(method=self.method, settings={key: value})


class Suite(Part):
    """A table or figure.

    Attributes:
        name: Of its file, and of the files that its results are written to.
        title: What the table is.
        source: Where it is published.
        about: What a reader must know: what differs from the published one.
        datasets: As `--dataset` names them, one each.
        features: As `--features`; so are `backbone` and `words`.
        pair: The image-text pair of rows that read class descriptions; by default plumage's own.
        seeds: By default 0, 1, 2. A method without chance gets the first.
        worlds: Tuning worlds.
        rules: Rules to show.
        reference: The row that every other's difference is taken from.
        settings: Of all rows whose method has them, unless the row says otherwise.
        rows: The table's lines.
        grids: More lines. A value that an earlier line has already makes none.
    """

    name: str
    title: str
    source: str = ""
    about: str = ""
    datasets: list[str] = Field(min_length=1)
    features: str | None = None
    backbone: str | None = None
    pair: str | None = None
    words: str | None = None
    seeds: list[Annotated[int, Field(ge=0)]] = Field(default=[0, 1, 2], min_length=1)
    worlds: int = Field(default=3, ge=1, le=20)
    rules: list[RuleName] = Field(default=["validation"], min_length=1)
    reference: str = ""
    settings: dict[str, Any] = Field(default_factory=dict)
    rows: list[SuiteRow] = Field(default_factory=list)
    grids: list[Grid] = Field(default_factory=list)

    def entries(self) -> list[Entry]:
        """Return the lines, those of grids last.

        Raises:
            ZslbenchError: On a method, setting or value that there is not, on lines that are the
                same, on a reference that is no line.
        """
        gridded = [row for grid in self.grids for row in grid.rows()]
        found: list[Entry] = []
        for number, row in enumerate([*self.rows, *gridded]):
            entry = self._entry(row)
            twins = [e for e in found if (e.method, e.config) == (row.method, entry.config)]
            if twins and number < len(self.rows):
                pair = f"{twins[0].title!r} and {entry.title!r}"
                raise ZslbenchError(f"{self.name}: {pair} are the same run: remove one.")
            found += [] if twins else [entry]
        self._check(found)
        return found

    def _entry(self, row: SuiteRow) -> Entry:
        label = row.label or title_of(row.method, row.settings)
        try:
            cls = load_method(row.method)
            shared = {k: v for k, v in self.settings.items() if k in cls.Config.model_fields}
            config = cls.Config.parse({**shared, **row.settings}, row.method)
        except ZslbenchError as error:
            why = str(error).removeprefix("--set ")
            raise ZslbenchError(f"{self.name}, row {label!r}: {why}") from None
        return Entry(row.method, config, label, self._seeds(cls))

    def _seeds(self, cls: type[Method]) -> tuple[int, ...]:
        return tuple(self.seeds[:1] if cls.deterministic else self.seeds)

    def _check(self, entries: list[Entry]) -> None:
        titles = [entry.title for entry in entries]
        if not titles:
            raise ZslbenchError(f"{self.name}: it has no rows. Add one: [[rows]], method = NAME.")
        for title in titles:
            if titles.count(title) > 1:
                raise ZslbenchError(f"{self.name}: two rows are called {title!r}: rename one.")
        known = {*titles, *(entry.method for entry in entries)}
        if self.reference and self.reference not in known:
            raise unknown("row", self.reference, known, where=f" in {self.name} to be reference")
        keys = {key for entry in entries for key in type(entry.config).model_fields}
        for key in self.settings:
            if key not in keys:
                raise unknown("setting of any method", key, keys, where=f" in {self.name}")


def shipped_suites() -> dict[str, Traversable]:
    """Return name -> file of the suites that come with the package."""
    found = [path for path in files("zslbench.suites").iterdir() if path.name.endswith(".toml")]
    return {path.name.removesuffix(".toml"): path for path in sorted(found, key=lambda p: p.name)}


def read_suite(name: str) -> Suite:
    """Read a suite: one that comes with the package by its name, your own by its path.

    Raises:
        ZslbenchError: If there is none, with the nearest name; or it is not as it should be.
    """
    return parse_suite(*read_text(name, shipped_suites(), "suite"))


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


def parse_suite(name: str, text: str, where: str = "") -> Suite:
    """Return the suite that a text holds.

    Raises:
        DataError: If it is no suite.
    """
    return parse_text(Suite, {"rows": SuiteRow, "grids": Grid}, name, text, where)


def parse_text(
    kind: type[P], inner: Mapping[str, type[Part]], name: str, text: str, where: str
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
    place: str, data: Mapping[str, Any], kind: type[Part], inner: Mapping[str, type[Part]]
) -> None:
    """Refuse keys that a suite and its parts do not have, with the nearest one."""
    parts: list[tuple[str, Any, type[Part]]] = [("", data, kind)]
    for key, part in inner.items():
        members = data.get(key, [])
        if isinstance(members, list):
            parts += [(f"{key} {n}", member, part) for n, member in enumerate(members, start=1)]
    for name, values, model in parts:
        known = set(model.model_fields) - {"name"}
        for key in values if isinstance(values, dict) else ():
            if key not in known:
                raise unknown("key", key, known, where=f" in {name or 'a suite'} ({place})")
