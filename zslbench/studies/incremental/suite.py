"""Suites of task sequences as runnable data, one TOML file each (docs/task_sequences.md)."""

from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Annotated, Any

from pydantic import Field

from zslbench.data.load import DataRequest
from zslbench.errors import ZslbenchError, unknown
from zslbench.method.registry import load_incremental
from zslbench.studies.groups import title_of
from zslbench.studies.incremental.plan import IncrementalEntry, IncrementalRequest, parse_entry
from zslbench.studies.suites import SuitePart, parse_text, read_text


class IncrementalSuiteRow(SuitePart):
    """One line of the table: a method with settings, and what the table calls it."""

    method: str
    label: str = ""
    settings: dict[str, Any] = Field(default_factory=dict)


class IncrementalSuite(SuitePart):
    """A table of methods along task sequences.

    Attributes:
        datasets: As `--dataset` names them.
        backbone: As `--backbone`; so are `descriptions`, `base` and `increment`.
        reference: The row that every other's difference is taken from.
        settings: Of all rows whose method has them, unless the row says otherwise.
    """

    name: str
    title: str
    source: str = ""
    about: str = ""
    datasets: list[str] = Field(min_length=1)
    backbone: str | None = None
    descriptions: str | None = None
    base: int = 0
    increment: int
    seeds: list[Annotated[int, Field(ge=0)]] = Field(default=[0, 1, 2], min_length=1)
    reference: str = ""
    settings: dict[str, Any] = Field(default_factory=dict)
    rows: list[IncrementalSuiteRow] = Field(min_length=1)

    def entries(self) -> list[IncrementalEntry]:
        """Return the lines.

        Raises:
            ZslbenchError: On a method, setting or value that there is not, two rows of one name or
                of one run, a reference that is no row.
        """
        found = [self._entry(row) for row in self.rows]
        titles = [entry.label for entry in found]
        for title in titles:
            if titles.count(title) > 1:
                raise ZslbenchError(f"{self.name}: two rows are called {title!r}: rename one.")
        for number, entry in enumerate(found):
            for other in found[:number]:
                if (other.method, other.config) == (entry.method, entry.config):
                    pair = f"{other.label!r} and {entry.label!r}"
                    raise ZslbenchError(f"{self.name}: {pair} are the same run: remove one.")
        if self.reference and self.reference not in titles:
            raise unknown("row", self.reference, titles, where=f" in {self.name} to be reference")
        keys = {key for entry in found for key in type(entry.config).model_fields}
        for key in self.settings:
            if key not in keys:
                raise unknown("setting of any method", key, keys, where=f" in {self.name}")
        return found

    def _entry(self, row: IncrementalSuiteRow) -> IncrementalEntry:
        label = row.label or title_of(row.method, row.settings)
        try:
            fields = load_incremental(row.method).Config.model_fields
            shared = {key: value for key, value in self.settings.items() if key in fields}
            return parse_entry(row.method, {**shared, **row.settings}, label)
        except ZslbenchError as error:
            why = str(error).removeprefix("--set ")
            raise ZslbenchError(f"{self.name}, row {label!r}: {why}") from None

    def requests(self, data: Sequence[DataRequest]) -> list[IncrementalRequest]:
        """Return the sequences on some datasets; what a request leaves open the suite says."""
        filled = [
            replace(
                each,
                backbone=each.backbone or self.backbone,
                descriptions=each.descriptions or self.descriptions,
            )
            for each in data
        ]
        return [IncrementalRequest(each, self.base, self.increment) for each in filled]


def shipped_incremental_suites() -> dict[str, Traversable]:
    """Return name -> file of the suites of task sequences that come with the package."""
    found = files("zslbench.suites").joinpath("incremental").iterdir()
    return {p.name.removesuffix(".toml"): p for p in sorted(found, key=lambda p: p.name)
            if p.name.endswith(".toml")}  # fmt: skip


def read_incremental_suite(name: str) -> IncrementalSuite:
    """Read a suite: one that comes with the package by its name, your own by its path.

    Raises:
        ZslbenchError: If there is none, with the nearest name; or it is not as it should be.
    """
    said = read_text(name, shipped_incremental_suites(), "suite of task sequences")
    return parse_text(IncrementalSuite, {"rows": IncrementalSuiteRow}, *said)
