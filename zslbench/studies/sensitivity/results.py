"""Sensitivity to each setting: T1, U, S and H over its values, as tables and a figure."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zslbench.report.files import write_figure
from zslbench.report.numbers import NAMES, estimate
from zslbench.report.records import flat
from zslbench.report.shown import Shown
from zslbench.report.table import Document, Table
from zslbench.stats import Interval, Metric
from zslbench.studies.sensitivity.axes import VariedSetting

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WATERMARK = "READ ON TEST CLASSES"
PER_ROW, WIDTH, HEIGHT = 4, 3.1, 2.9
LINES: tuple[tuple[Metric, str, str, str, float], ...] = (  # the last: points aside, to tell apart
    ("t1", "#777777", ":", "o", -3.0),
    ("u", "#D55E00", "--", "^", -1.0),
    ("s", "#0072B2", "-.", "s", 1.0),
    ("h", "#222222", "-", "D", 3.0),
)
GREEK = re.compile(r"(alpha|beta|gamma|Delta|eta|lambda|sigma)(_\w+)?")
NOTES = {
    False: "Means over the tuning worlds of all seeds, at the epoch and gamma that each seed's "
    "worlds choose; test classes were not used. [ ]: 95 % t interval over these worlds, each "
    "with a class split, images held out and its own initialisation, the same for all values.",
    True: "Test classes, rule `validation`. [ ]: 95 % interval over images and seeds, these "
    "classes fixed. To choose a value by this picture is to choose on test.",
}
DIFFERENCE = {
    False: "H - default: difference in H from the default, world by world.",
    True: "H - default: difference in H from the default on the same images and seeds.",
}
ONE_WORLD = "One seed in one world: no intervals."


@dataclass(frozen=True)
class Point:
    """What came of one value; `difference` is H minus H at the default, paired by seed.

    Attributes:
        seeds: Those that did not fail.
    """

    value: Any
    seeds: tuple[int, ...]
    scores: dict[Metric, Interval]
    difference: Interval


@dataclass(frozen=True)
class SettingCurve(VariedSetting):
    """What came of one setting, all others at their defaults.

    Attributes:
        points: In the order of their values.
    """

    points: tuple[Point, ...]


@dataclass(frozen=True, repr=False)
class Sensitivity(Shown):
    """All that is shown of a sensitivity study.

    Attributes:
        name: The stem of its files.
        final: Whether it was read on test classes.
        openings: How often the method has read these test labels by now, where it has.
        marks: What a reader must know before comparing.
        failed: How many of the fits failed and are not in it.
    """

    name: str
    method: str
    dataset: str
    backbone: str
    settings: dict[str, Any]
    final: bool
    seeds: tuple[int, ...]
    tuning_worlds: int
    curves: tuple[SettingCurve, ...]
    openings: int
    marks: tuple[str, ...]
    failed: int = field(default=0, repr=False)

    @property
    def title(self) -> str:
        """The study, in words."""
        where = "test classes" if self.final else f"{self.tuning_worlds} tuning worlds"
        return f"Sensitivity of {self.method} on {self.dataset}, {where}"

    @property
    def notes(self) -> list[str]:
        """What must be said below its tables, marks first."""
        seeds = f"{self.backbone}; seeds {', '.join(map(str, self.seeds))}"
        opened = f"; opened {self.openings}" if self.final else ""
        alone = len(self.seeds) == self.tuning_worlds == 1 and not self.final
        said = [NOTES[self.final], *([ONE_WORLD] if alone else []), DIFFERENCE[self.final]]
        return [*map(str.upper, self.marks), seeds + opened, *said]

    def document(self) -> Document:
        """Return a table for each setting."""
        return Document(self.title, parts=list(map(_table, self.curves)), notes=self.notes)

    def records(self) -> list[dict[str, Any]]:
        """Return a flat record for each value of each setting, intervals' ends in columns."""
        about = {
            "method": self.method,
            "dataset": self.dataset,
            "classes": "test" if self.final else "tuning",
        }
        return [
            about
            | {
                "parameter": curve.parameter,
                "is_default": point.value == curve.default,
                "is_papers_best": point.value == curve.optimum,
            }
            | flat(point)
            for curve in self.curves
            for point in curve.points
        ]


def _table(curve: SettingCurve) -> Table:
    title = f"{curve.parameter}: default {curve.default}"
    title += "" if curve.optimum is None else f"; best in the paper {curve.optimum:g}"
    columns = (curve.parameter, *NAMES.values(), "H - default")
    return Table(title, columns, [_cells(curve, point) for point in curve.points])


def _cells(curve: SettingCurve, point: Point) -> list[str]:
    marks = [*(["default"] if point.value == curve.default else []),
             *(["paper's best"] if point.value == curve.optimum else [])]  # fmt: skip
    label = said(point.value) + (f" ({', '.join(marks)})" if marks else "")
    scores = (estimate(found, metric=metric) for metric, found in point.scores.items())
    return [label, *scores, estimate(point.difference, sign="+")]


def said(value: Any) -> str:
    """Return a value as tables and figures show it."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def draw(found: Sensitivity) -> "Figure":
    """Draw a panel for each setting; markers and line styles differ as well as colours."""
    from matplotlib.figure import Figure

    columns = min(PER_ROW, len(found.curves))
    rows = -(-len(found.curves) // columns)
    size = WIDTH * max(columns, 2), HEIGHT * rows + 0.7
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False)
    for axes in panels.flat[len(found.curves) :]:
        axes.set_axis_off()
    for axes, curve in zip(panels.flat, found.curves, strict=False):
        _panel(axes, curve)
    for axes in panels[:, 0]:
        axes.set_ylabel("percent")
    legend: dict[str, Any] = {}
    for panel in panels.flat:
        handles, labels = panel.get_legend_handles_labels()
        legend |= dict(zip(labels, handles, strict=True))
    figure.legend(
        legend.values(), legend.keys(), loc="outside lower center", ncols=6, frameon=False,
        fontsize=8,
    )  # fmt: skip
    marks = "".join(f"; {mark}" for mark in found.marks if mark != WATERMARK)
    figure.suptitle(f"{found.title}{marks}", fontsize=9)
    if found.final:
        figure.text(
            0.5, 0.5, WATERMARK, fontsize=9 * columns + 9, color="#777777", alpha=0.35,
            rotation=20, ha="center", va="center",
        )  # fmt: skip
    return figure


def _panel(axes: Any, curve: SettingCurve) -> None:
    from matplotlib.transforms import offset_copy

    values = [point.value for point in curve.points]
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    places = values if numbers else list(range(len(values)))
    for metric, colour, style, marker, aside in LINES:
        found = [point.scores[metric] for point in curve.points]
        reach = [[i.mean - i.low for i in found], [i.high - i.mean for i in found]]
        axes.errorbar(
            places, [i.mean for i in found], reach, color=colour, linestyle=style, marker=marker,
            markersize=4, linewidth=1.3, elinewidth=0.7, capsize=2, label=NAMES[metric],
            transform=offset_copy(axes.transData, axes.figure, x=aside, units="points"),
        )  # fmt: skip
        axes.update_datalim([(x, y) for x, i in zip(places, found, strict=True)
                             for y in (i.low, i.high)])  # fmt: skip
    if curve.log:
        axes.set_xscale("log")
        axes.minorticks_off()
    axes.autoscale_view()
    axes.set_xticks(places, [said(value) for value in values], fontsize=7)
    if curve.default in values:
        at = places[values.index(curve.default)]
        axes.axvline(at, color="#999999", linewidth=0.8, zorder=0, label="default")
    if curve.optimum is not None and numbers:
        axes.plot(
            [curve.optimum], [1.0], marker="v", color="#222222", markersize=8, linestyle="none",
            transform=axes.get_xaxis_transform(), clip_on=False, label="best in the paper",
        )  # fmt: skip
    axes.set_xlabel(_axis_label(curve))


def _axis_label(curve: SettingCurve) -> str:
    if curve.symbol in ("", curve.parameter):
        return curve.parameter
    symbol = rf"$\{curve.symbol}$" if GREEK.fullmatch(curve.symbol) else curve.symbol
    return f"{curve.parameter} ({symbol})"


def write_sensitivity(found: Sensitivity, folder: Path) -> Path:
    """Write its tables and its figure; return the stem of the files."""
    for kind, pictures in (("md", {f"{found.name}.png": ""}), ("csv", {})):
        found.save(folder / f"{found.name}.{kind}", pictures)
    write_figure(folder, found.name, draw(found))
    return folder / found.name
