"""Which rows of published tables run here, as what, and why others do not."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from zslbench.method.registry import method_modules
from zslbench.studies.groups import title_of
from zslbench.studies.published.numbers import Published, fold, read_published
from zslbench.studies.suites import shipped


@dataclass(frozen=True)
class CoveredRow:
    """A row of a published table.

    Attributes:
        source: The table.
        published: Its numbers, one for each dataset.
        method: Which of our methods runs it; empty if none.
        settings: The method's settings that run a variant.
        suites: The suites that have it.
        why: Why it does not run here; empty if it does.
    """

    source: str
    published: tuple[Published, ...]
    method: str
    settings: dict[str, Any]
    suites: tuple[str, ...]
    why: str

    @property
    def title(self) -> str:
        """What the table calls it."""
        return f"{self.published[0].method} {self.published[0].variant}".strip()

    @property
    def runs_as(self) -> str:
        """Our method with its settings; empty if none."""
        return title_of(self.method, self.settings)


def coverage() -> list[CoveredRow]:
    """Return every row of every table of `published.csv`, in its order."""
    rows: dict[tuple[str, str, str], list[Published]] = {}
    for each in read_published():
        rows.setdefault((each.source, each.method, each.variant), []).append(each)
    modules = {fold(name): name for name in method_modules()}
    notes = {(fold(name), fold(variant)): note for (name, variant), note in not_run().items()}
    suites = _suites_of_rows()
    found = []
    for (source, method, variant), numbers in rows.items():
        name = modules.get(fold(method), "")
        having, settings = suites.get((name, fold(variant)), ([], {}))
        note = notes.get((fold(method), fold(variant)), "")
        why, settings = (note, settings) if isinstance(note, str) else ("", note)
        runs = "" if why else name
        found.append(CoveredRow(source, tuple(numbers), runs, settings, tuple(having), why))
    return found


def not_run() -> dict[tuple[str, str], str | dict[str, Any]]:
    """Return why a method or variant does not run, or the settings that run it.

    Keys are a published name and a variant, which is empty for the method itself.
    """
    table = files("zslbench.studies.published").joinpath("not_run.toml")
    found: dict[tuple[str, str], str | dict[str, Any]] = {}
    for name, note in tomllib.loads(table.read_text(encoding="utf-8")).items():
        variants = {"": note} if isinstance(note, str) else note
        found |= {(name, variant): each for variant, each in variants.items()}
    return found


def _suites_of_rows() -> dict[tuple[str, str], tuple[list[str], dict[str, Any]]]:
    """Return the suites of each method and label, and the settings that its row has in the first.

    An empty label stands for the method itself, without settings.
    """
    found: dict[tuple[str, str], tuple[list[str], dict[str, Any]]] = {}
    for name, file in shipped().items():
        for row in tomllib.loads(file.read_text(encoding="utf-8")).get("rows", []):
            settings = row.get("settings", {})
            label = row.get("label") or title_of(row["method"], settings)
            for key in dict.fromkeys(["", fold(label)]):
                having, _ = found.setdefault((row["method"], key), ([], settings if key else {}))
                having += [name] if name not in having else []
    return found


def printed(numbers: Sequence[Published]) -> str:
    """Return what a table prints of a row: T1 / U / S / H of each dataset."""
    lines = []
    for each in numbers:
        values = (each.t1, each.u, each.s, each.h)
        cells = ("-" if value is None else f"{value:.1f}" for value in values)
        lines.append(f"{each.dataset} {' / '.join(cells)}")
    return "; ".join(lines)
