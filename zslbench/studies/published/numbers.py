"""What papers and repositories print, number for number, and where it does not add up."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from zslbench.metrics import harmonic_mean
from zslbench.records import Exposure

Printed = Literal["t1", "u", "s", "h"]
PRINTED: tuple[Printed, ...] = ("t1", "u", "s", "h")
Kind = Literal["H is not that of U and S", "sources differ", "re-implementations differ"]
Selected = Literal["yes", "no", "unknown"]

# Notes that decide what a number may be held against; all others are for the reader alone.
CROPS = "crops possible"
TRANSDUCTIVE = "trains on unseen attributes"
PER_IMAGE = "per-image accuracy for U, S and H"
UNCALIBRATED = "no calibration"
SCALED = "seen scores times 0.95"
REIMPLEMENTED = "independent re-implementation"
LARGE = "448 px"
FINER = "448 px in training and 224 px in test"
FEWER_CLASSES = "trained without the validation classes"
OWN_SETTINGS = "settings of the dataset's own"
NAMED = "reads class names"
FINE_TUNED = "backbone fine-tuned on seen classes"
SENTENCES = "classes described by sentences"
FIRST_SPLITS = "first version of the Proposed Splits"
SUSPECT = "suspect: "  # begins a note that says which cell, and what it may be

H_TOLERANCE = 0.1
ROUNDING = 0.05
SLACK = 1e-9


@dataclass(frozen=True)
class Published:
    """One set of numbers that one source gives, in percent; None where it gives none.

    Attributes:
        pretraining: What the backbone's weights had seen, as far as that is certain.
        variant: The row of an ablation table; empty for the method itself.
        source: Where the numbers stand, which need not be the method's own paper.
        selected_on_test: Whether test labels had a part in choosing epoch or calibration.
    """

    method: str
    venue: str
    year: int | None
    backbone: str
    pretraining: Exposure
    dataset: str
    t1: float | None
    u: float | None
    s: float | None
    h: float | None
    variant: str
    source: str
    selected_on_test: Selected
    notes: tuple[str, ...]

    @property
    def scores(self) -> dict[Printed, float]:
        """The numbers that are given."""
        values = dict(zip(PRINTED, (self.t1, self.u, self.s, self.h), strict=True))
        return {metric: value for metric, value in values.items() if value is not None}

    @property
    def suspicions(self) -> tuple[str, ...]:
        """The notes that call a cell suspect."""
        return tuple(note for note in self.notes if note.startswith(SUSPECT))


@dataclass(frozen=True)
class Finding:
    """A number that is not what another number says it should be."""

    kind: Kind
    method: str
    variant: str
    dataset: str
    what: str


@cache
def read_published() -> tuple[Published, ...]:
    """Return every row of `published.csv`, in its order."""
    table = files("zslbench.studies.published").joinpath("published.csv")
    return parse(table.read_text(encoding="utf-8"))


def parse(text: str) -> tuple[Published, ...]:
    """Return the rows of a text in the form of `published.csv`."""
    return tuple(_row(line) for line in csv.DictReader(io.StringIO(text)))


def _row(line: dict[str, str]) -> Published:
    named: dict[str, Any] = {name.lower(): value for name, value in line.items()}
    for metric in PRINTED:
        named[metric] = float(named[metric]) if named[metric] else None
    named["year"] = int(named["year"]) if named["year"] else None
    named["notes"] = tuple(filter(None, named["notes"].split("; ")))
    return Published(**named)


@cache
def fold(name: str) -> str:
    """Return a name as it is compared: `ViT attr head` is `vit_attr_head`."""
    return name.casefold().translate({ord(sign): None for sign in " -_"})


def check(rows: Sequence[Published]) -> list[Finding]:
    """Return rows whose H is over 0.1 off that of their U and S, and numbers with two values.

    Values are two if rounding to one decimal does not make them one.
    """
    return [*_wrong_h(rows), *_differing(rows)]


def _wrong_h(rows: Sequence[Published]) -> Iterator[Finding]:
    for row in rows:
        if row.u is None or row.s is None or row.h is None:
            continue
        h = harmonic_mean(row.u, row.s)
        if abs(h - row.h) > H_TOLERANCE + SLACK:
            what = f"H {row.h} is printed, {h:.1f} follows from U {row.u} and S {row.s}"
            why = "; rounding explains it" if _rounded(row.u, row.s, row.h) else ""
            yield _finding("H is not that of U and S", row, f"{what}{why} [{row.source}]")


def _rounded(u: float, s: float, h: float) -> bool:
    """Return whether U, S and H can all be roundings of numbers that fit."""
    low = harmonic_mean(max(u - ROUNDING, 0.0), max(s - ROUNDING, 0.0))
    return low - ROUNDING <= h <= harmonic_mean(u + ROUNDING, s + ROUNDING) + ROUNDING


def _differing(rows: Sequence[Published]) -> Iterator[Finding]:
    groups: dict[tuple[str, str, str, str], list[Published]] = {}
    for row in rows:
        groups.setdefault((row.method, row.backbone, row.dataset, row.variant), []).append(row)
    for members in groups.values():
        for metric in PRINTED:
            given = [row for row in members if metric in row.scores]
            if _two_values(given, metric):
                originals = [row for row in given if REIMPLEMENTED not in row.notes]
                what: Kind = "re-implementations differ"
                if _two_values(originals, metric):
                    what = "sources differ"
                listed = ", ".join(f"{row.scores[metric]} [{row.source}]" for row in given)
                yield _finding(what, members[0], f"{metric.upper()} {listed}")


def _two_values(rows: Sequence[Published], metric: Printed) -> bool:
    values = [row.scores[metric] for row in rows]
    return bool(values) and max(values) - min(values) > ROUNDING + SLACK


def _finding(kind: Kind, row: Published, what: str) -> Finding:
    return Finding(kind, row.method, row.variant, row.dataset, what)
