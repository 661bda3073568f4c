"""Suites: published tables and figures as runnable data, one TOML file each (docs/suites.md)."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from zslbench.errors import ZslbenchError
from zslbench.method.registry import load_method
from zslbench.records import RuleName
from zslbench.studies.plan import Entry
from zslbench.studies.suites import (
    AnySuite,
    SuitePart,
    SuiteRow,
    find_suite,
    parse_text,
    same_runs,
    shipped,
)


class Grid(SuitePart):
    """Lines that differ from the method in one setting at a time: each value of each setting."""

    method: str
    settings: dict[str, list[Any]]

    def rows(self) -> Iterator[SuiteRow]:
        """Yield a row for each value."""
        for key, values in self.settings.items():
            for value in values:
                yield SuiteRow(method=self.method, settings={key: value})


class Suite(AnySuite):
    """A table or figure.

    Attributes:
        features: As `--features`; so are `backbone`, `image_size`, `frozen_blocks` and `words`.
        map: The backbone of rows that need a feature map, where it is not `backbone`; by default
            plumage's own.
        map_size: As `image_size`, of `map`.
        pair: As `map`, the image-text pair of rows that read class descriptions.
        presets: Whether methods have, on a dataset that their papers give settings for, those
            settings; what the suite and its rows set goes before them.
        worlds: Tuning worlds.
        tuning_seeds: Fits in each of them, of methods that are not deterministic.
        rules: Rules to show.
        rows: The table's lines.
        grids: More lines. A value that an earlier line has already makes none.
    """

    features: str | None = None
    backbone: str | None = None
    image_size: int | None = Field(default=None, ge=1)
    frozen_blocks: int | None = Field(default=None, ge=1)
    map: str | None = None
    map_size: int | None = Field(default=None, ge=1)
    pair: str | None = None
    words: str | None = None
    presets: bool = False
    worlds: int = Field(default=3, ge=1, le=20)
    tuning_seeds: int = Field(default=1, ge=1, le=20)
    rules: list[RuleName] = Field(default=["validation"], min_length=1)
    rows: list[SuiteRow] = Field(default_factory=list)
    grids: list[Grid] = Field(default_factory=list)

    @field_validator("map_size")
    @classmethod
    def _of_a_map(cls, size: int | None, info: ValidationInfo) -> int | None:
        if size and info.data.get("map") is None:
            raise PydanticCustomError("size", "there is no map: name one, or image_size")
        return size

    def entries(self) -> list[Entry]:
        """Return the lines, those of grids last.

        Raises:
            ZslbenchError: On a method, setting or value that there is not, on lines that are the
                same, on a reference that is no line.
        """
        found = [self._entry(row) for row in self.rows]
        for entry in (self._entry(row) for grid in self.grids for row in grid.rows()):
            known = any(all(same_runs(entry, other, self.datasets)) for other in found)
            found += [] if known else [entry]
        if not found:
            raise ZslbenchError(f"{self.name}: it has no rows. Add one: [[rows]], method = NAME.")
        self.check(found, {name for entry in found for name in (entry.label, entry.method)})
        return found

    def _entry(self, row: SuiteRow) -> Entry:
        entry = self.line(row, load_method)
        if not self.presets:
            return entry
        own = {
            name: row.model_copy(update={"settings": {"preset": name, **row.settings}})
            for name in entry.config.presets
        }
        configs = {name: self.line(each, load_method).config for name, each in own.items()}
        return replace(entry, presets=configs)


def read_suite(name: str) -> Suite:
    """Read a suite: one that comes with the package by its name, your own by its path.

    Raises:
        ZslbenchError: If there is none, with the nearest name; or it is not as it should be.
    """
    return parse_text(Suite, *find_suite(name, shipped(), "suite"))
