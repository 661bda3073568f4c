"""The trend as a table, JSON, and a figure: values by commit, and the commits that began steps."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from zslbench.report.files import write_figure
from zslbench.report.numbers import NAMES
from zslbench.report.records import flat
from zslbench.report.shown import Shown
from zslbench.report.table import Document, Table
from zslbench.stats import Metric

COLOURS = dict(zip(NAMES, ("#009E73", "#D55E00", "#0072B2", "#222222", "#777777"), strict=True))
STYLES = dict(zip(NAMES, (":", "--", "-.", "-", (0, (1, 2))), strict=True))
HASH = 8


@dataclass(frozen=True)
class ShownStep:
    """A step: the commit that began it, its size in points, and whether the machine changed too."""

    commit: str
    size: float
    p: float
    other_environment: bool


@dataclass(frozen=True)
class Series:
    """A metric of a method on a dataset along history: means over the same seeds, in points."""

    method: str
    dataset: str
    metric: Metric
    commits: tuple[str, ...]
    values: tuple[float, ...]
    seeds: int
    steps: tuple[ShownStep, ...]


@dataclass(frozen=True, repr=False)
class Trend(Shown):
    """All series."""

    series: tuple[Series, ...]

    @property
    def panels(self) -> list[list[Series]]:
        """The series of each method and dataset."""
        return [list(g) for _, g in groupby(self.series, key=lambda s: (s.method, s.dataset))]

    def document(self) -> Document:
        """Return the table of steps, and what was looked at."""
        rows = [
            [
                f"{series.method} on {series.dataset}", NAMES[series.metric], step.commit[:HASH],
                f"{step.size:+.2f}", f"{step.p:.2g}",
                "changed too" if step.other_environment else "",
            ]
            for series in self.series
            for step in series.steps
        ]  # fmt: skip
        columns = ("method", "metric", "commit", "step", "p", "environment")
        words = ("metric", "commit", "environment")
        seen = [
            f"{p[0].method} on {p[0].dataset}: {len(p[0].commits)} commits, {p[0].seeds} seeds"
            for p in self.panels
        ]
        steps = Table("Steps", columns, rows, words=words) if rows else "No steps."
        return Document(parts=[steps, *seen])

    def records(self) -> list[dict[str, Any]]:
        """Return a flat record for each value of each series."""
        return [
            {**flat(series), "commits": commit, "values": value}
            for series in self.series
            for commit, value in zip(series.commits, series.values, strict=True)
        ]


def write_trend(trend: Trend, folder: Path) -> list[Path]:
    """Draw one panel for each method and dataset: metrics by commit, steps marked."""
    from matplotlib.figure import Figure

    panels = trend.panels
    figure = Figure(figsize=(8, 2.8 * len(panels)), layout="constrained")
    for axes, panel in zip(figure.subplots(len(panels), squeeze=False)[:, 0], panels, strict=True):
        _draw(axes, panel)
    return write_figure(folder, "trend", figure)


def _draw(axes: Any, panel: Sequence[Series]) -> None:
    commits = panel[0].commits
    for series in panel:
        axes.plot(
            series.values, color=COLOURS[series.metric], linestyle=STYLES[series.metric],
            marker=".", linewidth=1.3, label=NAMES[series.metric],
        )  # fmt: skip
    for commit in {step.commit for series in panel for step in series.steps}:
        place = commits.index(commit) - 0.5
        axes.axvline(place, color="#999999", linewidth=0.8)
        axes.annotate(commit[:HASH], (place, 0.98), xycoords=("data", "axes fraction"),
                      xytext=(3, 0), textcoords="offset points", va="top", fontsize=8)  # fmt: skip
    axes.set_xticks(range(len(commits)), [c[:HASH] for c in commits], rotation=45, fontsize=7)
    axes.set_title(f"{panel[0].method} on {panel[0].dataset}", fontsize=9, loc="left", wrap=True)
    axes.set(ylabel="points, mean over seeds")
    axes.legend(frameon=False, fontsize=8, ncols=len(panel), loc="lower left")
