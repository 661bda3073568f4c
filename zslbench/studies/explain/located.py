"""Whether a run looks at the birds of real photos, and at the right parts of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

from zslbench.data.types import NAMES_MEND, Dataset
from zslbench.method import Method
from zslbench.metrics.part_boxes import PartScores
from zslbench.protocol.looking import RUN, look_at_birds
from zslbench.protocol.run import Tick, no_tick
from zslbench.report.shown import Shown
from zslbench.report.table import Document, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PARTS_NOTE = (
    "In percent. A part is found if the box of a quarter of the bird's width and height at the "
    "best patch and the same box at the nearest visible key point of the part agree by more than "
    "one half (intersection over union); of each family of attributes the one with the highest "
    "predicted value counts. Mean: without the tail. The ceiling is the most that this grid "
    "allows, so only equal grids can be compared. Photos as the method sees them: shorter side "
    "scaled, centre cropped; papers that scale to 256 and crop 224 have larger birds."
)
BOX_NOTE = (
    "In percent. A patch is on the bird if the bird's box covers a quarter of it. Ranked: the "
    "chance that a patch on the bird outranks one off it. Best: as many patches as are kept, all "
    "on the bird where there are enough."
)

UNNAMED = f"No parts are scored: no attribute has a name of CUB's. {NAMES_MEND}."


@dataclass(frozen=True)
class Located(Shown):
    """How well a run looks at the birds of unseen classes.

    Attributes:
        images: How many photos there are.
        grid: Patches along a side.
        parts: How often parts are found: by the run, if it localises attributes, and by none.
        patches: How well patches are ranked and kept; see `score_patch_choice`.
        note: Why no parts are scored, if that could be changed.
    """

    images: int
    grid: int
    parts: Mapping[str, PartScores]
    patches: Mapping[str, float]
    note: str = ""

    def document(self) -> Document:
        """Return a table of the parts found, and one of the patches."""
        photos = f"{self.images} photos of unseen classes, {self.grid} x {self.grid} patches"
        tables = [Table(f"patches on the bird: {photos}", ("", "ranked (AUC)", "kept"),
                        self._patch_rows(), BOX_NOTE)]  # fmt: skip
        if RUN in self.parts:
            columns = ("", "mean", *self.parts[RUN].parts)
            rows = [[v if isinstance(v, str) else f"{v:.1f}" for v in row.values()]
                    for row in self.records()]  # fmt: skip
            tables.insert(0, Table(f"parts found: {photos}", columns, rows, PARTS_NOTE))
        return Document(parts=tables, notes=[self.note] if self.note else [])

    def records(self) -> list[dict[str, Any]]:
        """Return a row for the run and for each thing beside it."""
        return [
            {"row": name, "mean": scores.mean, **scores.parts}
            for name, scores in self.parts.items()
        ]

    def _patch_rows(self) -> list[list[str]]:
        names = {RUN: "", "random": "_random", "centre": "_centre", "best": "_best"}
        found = {
            name: [self.patches.get(f"patch_{kind}{end}") for kind in ("auc", "precision")]
            for name, end in names.items()
        }
        found["random"][0] = 50.0
        return [
            [name, *("-" if value is None else f"{value:.1f}" for value in values)]
            for name, values in found.items()
            if any(value is not None for value in values)
        ]


def locate(model: Method, dataset: Dataset, tick: Tick = no_tick) -> Located | None:
    """Score where a method looks in the photos of unseen classes; None without the tables.

    Args:
        model: A fitted method with a view.
        dataset: Its data.
        tick: Progress.
    """
    looked = look_at_birds(model, dataset, partial(tick, "looking at birds of unseen classes"))
    if looked is None:
        return None
    images, note = len(looked.birds.boxes), "" if looked.families else UNNAMED
    return Located(images, looked.grid, looked.parts(), looked.patches(), note)


def parts_figure(located: Located, title: str) -> "Figure":
    """Draw how often each part is found, with what is found without looking and the ceiling."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.4), layout="constrained")
    axes = figure.subplots()
    names = ["mean", *located.parts[RUN].parts]
    values = {n: [s.mean, *s.parts.values()] for n, s in located.parts.items()}
    places = np.arange(len(names))
    axes.bar(places, values.pop(RUN), width=0.6, color="0.65", label=RUN)
    for (name, shares), marker in zip(values.items(), "xos_", strict=True):
        axes.plot(places, shares, marker, color="black", mfc="white", ms=5, label=name)
    axes.set(ylim=(0, 100), ylabel="parts found, %", xticks=places, xticklabels=names)
    figure.legend(loc="outside lower center", ncols=5, fontsize=7, frameon=False)
    figure.suptitle(fill(title, 100), fontsize=7)
    return figure
