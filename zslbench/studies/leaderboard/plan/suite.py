"""Suites: published tables and figures as runnable data, one TOML file each (docs/suites.md)."""

from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Annotated, Any

from pydantic import Field

from zslbench.errors import ZslbenchError, unknown
from zslbench.method import Method
from zslbench.method.registry import load_method
from zslbench.records import RuleName
from zslbench.studies.groups import title_of
from zslbench.studies.plan import Entry
from zslbench.studies.suites import SuitePart, parse_text, read_text


class SuiteRow(SuitePart):
    """One line of the table: a method with settings, and what the table calls it."""

    method: str
    label: str = ""
    settings: dict[str, Any] = Field(default_factory=dict)


class Grid(SuitePart):
    """Lines that differ from the method in one setting at a time: each value of each setting."""

    method: str
    settings: dict[str, list[Any]]

    def rows(self) -> Iterator[SuiteRow]:
        """Yield a row for each value."""
        for key, values in self.settings.items():
            for value in values:
                yield SuiteRow(method=self.method, settings={key: value})


class Suite(SuitePart):
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


def parse_suite(name: str, text: str, where: str = "") -> Suite:
    """Return the suite that a text holds.

    Raises:
        DataError: If it is no suite.
    """
    return parse_text(Suite, {"rows": SuiteRow, "grids": Grid}, name, text, where)
