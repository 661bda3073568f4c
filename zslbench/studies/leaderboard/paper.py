"""A leaderboard's figures for papers: one column wide, told apart without colours as well."""

import re
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

from zslbench.report.figures import DARK, draw
from zslbench.report.files import write_figure
from zslbench.report.plots import Line, Mark, Plot, Scale, over_cost, percent_axis
from zslbench.stats import Interval
from zslbench.studies.leaderboard.evidence import COSTS
from zslbench.studies.leaderboard.results import Leaderboard
from zslbench.studies.leaderboard.rows import Row
from zslbench.studies.leaderboard.selection_bias import Inflated, chosen_in

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH, DPI = 3.3, 300  # inches; dots an inch of the PNG
FONTS: dict[Any, Any] = {
    "font.size": 7.5,
    "axes.linewidth": 0.6,
    "hatch.linewidth": 0.6,
    "pdf.fonttype": 42,  # TrueType: Type 3, the default, is refused by many venues
    "text.parse_math": False,
}
MIDDLE, LIGHT = "#7f7f7f", "#d4d4d4"
CURVES, POINTS, LINES = 6, 12, 30  # the most rows that a figure can tell apart


def write_paper_figures(board: Leaderboard, folder: Path) -> list[Path]:
    """Write every figure of every dataset as PDF and PNG; same rows, same bytes."""
    from matplotlib import rc_context

    paths: list[Path] = []
    stems: set[str] = set()
    with rc_context(FONTS):
        for dataset, group in groupby(board.rows, key=lambda row: row.dataset):
            rows = list(group)
            inflations = [found for found in board.inflations if found.dataset == dataset]
            figures = {
                "seen_unseen": seen_unseen(rows),
                "h_over_gamma": h_over_gamma(rows),
                "h_by_method": h_by_method(rows),
                "h_over_time": h_over_time(rows),
                **({"inflation": inflation(inflations)} if inflations else {}),
            }
            stem = re.sub(r"[^\w.=-]+", "_", dataset).strip(".")
            while stem in stems:
                stem += "_"
            stems.add(stem)
            for name, figure in figures.items():
                paths += write_figure(folder, f"{stem}_{name}", figure, DPI)
    return paths


def seen_unseen(rows: Sequence[Row]) -> "Figure":
    """Draw S over U as gamma grows, each row's own gamma marked."""
    return _curves(rows, "u", "s", lambda row: (row.value("u"), row.value("s")))


def h_over_gamma(rows: Sequence[Row]) -> "Figure":
    """Draw H over gamma, each row's own gamma marked."""
    return _curves(rows, "gammas", "h", lambda row: (float(row.chosen["gamma"]), row.value("h")))


def _curves(
    rows: Sequence[Row], x: str, y: str, own: Callable[[Row], tuple[float, float]]
) -> "Figure":
    shown = _fair(rows)[:CURVES]
    lines, marks = [], []
    for n, row in enumerate(shown):
        xs, ys = (getattr(row.evidence.curve, axis) for axis in (x, y))
        lines.append(Line(xs, ys, n, fill(row.title, 40), steps=x == "gammas"))
        marks.append(Mark(*own(row), n, series=n))
    met = np.concatenate([line.x for line in lines])
    across = percent_axis("U, percent", met.max())
    if x == "gammas":
        across = Scale("gamma, standard deviations of class-centred scores", met.min(), met.max())
    up = percent_axis(f"{y.upper()}, percent", max(line.y.max() for line in lines))
    return _drawn(Plot("", across, up, lines, marks), rows, CURVES)


def _drawn(plot: Plot, rows: Sequence[Row], most: int) -> "Figure":
    """Draw a plot of the first rows, with a legend above; it says of how many, if not of all."""
    fair = _fair(rows)
    shown = fair[:most]
    columns = 2 if max(len(row.title) for row in shown) < 22 else 1
    figure, axes = _figure(2.4 + 0.16 * (1 + len(shown) / columns))
    draw(axes, plot)
    rule = f"rule {fair[0].rule}" if len({row.rule for row in rows}) > 1 else ""
    figure.legend(
        loc="outside upper center",
        ncols=columns,
        frameon=False,
        handlelength=3,
        title=(rule + _of(len(shown), len(fair))).strip() or None,
    )
    return figure


def h_by_method(rows: Sequence[Row]) -> "Figure":
    """Draw H with its intervals: thick for these classes, thin for new ones."""
    shown = rows[:LINES]
    figure, axes = _figure(0.75 + 0.24 * len(shown))
    for place, row in enumerate(shown):
        these, new = (row.intervals["h"][p] for p in ("these_classes", "new_classes"))
        axes.plot([new.low, new.high], [place, place], color=DARK, linewidth=0.7, marker="|")
        axes.plot([these.low, these.high], [place, place], color=MIDDLE, linewidth=3.5,
                  solid_capstyle="butt")  # fmt: skip
        face = "white" if row.set_apart else DARK
        axes.plot([these.mean], [place], color=DARK, marker="o", markersize=4.5,
                  markerfacecolor=face)  # fmt: skip
    axes.set_yticks(range(len(shown)), [fill(_named(row, rows), 30) for row in shown])
    axes.set(xlim=(0, None), ylim=(len(shown) - 0.4, -0.6))
    figure.supxlabel(
        f"H, percent{_of(len(shown), len(rows))}\nthick: these classes, thin: new classes",
        fontsize=FONTS["font.size"],
    )
    return figure


def h_over_time(rows: Sequence[Row]) -> "Figure":
    """Draw H over the time to fit, with its interval for these classes."""
    time = COSTS[0]
    marks = []
    for place, row in enumerate(_fair(rows)[:POINTS]):
        these = row.intervals["h"]["these_classes"]
        hollow = row.set_apart or place >= CURVES
        marks.append(
            Mark(time.of(row.evidence), these.mean, place % CURVES, fill(row.title, 40),
                 place % CURVES, hollow, (these.low, these.high))
        )  # fmt: skip
    plot = over_cost("", f"time to fit, {time.unit}", marks, (2.5, 2.5))
    return _drawn(plot, rows, POINTS)


def inflation(rows: Sequence[Inflated]) -> "Figure":
    """Draw optimism and regret by what is chosen on test, with their intervals over seeds."""
    from matplotlib.figure import Figure

    shown = rows[:LINES]
    figure = Figure(figsize=(WIDTH, 0.95 + 0.3 * len(shown)), layout="constrained")
    parts = chosen_in(shown)
    panels = figure.subplots(1, len(parts), sharey=True, sharex=True, squeeze=False)[0]
    places = np.arange(len(shown))
    for axes, chosen in zip(panels, parts, strict=True):
        there = [n for n, row in enumerate(shown) if chosen in row.optimism]
        for shift, name, style in (
            (-0.19, "optimism", {"color": MIDDLE}),
            (0.19, "regret", {"color": LIGHT, "hatch": "/////", "edgecolor": DARK}),
        ):
            found: list[Interval] = [getattr(shown[n], name)[chosen] for n in there]
            axes.barh(np.add(there, shift), [i.mean for i in found], 0.36, label=name, **style)
            ends = [[i.low for i in found], [i.high for i in found]]
            axes.hlines(np.add(there, shift), *ends, color=DARK, linewidth=0.7)
        axes.axvline(0, color=DARK, linewidth=0.6)
        axes.set_title(chosen, fontsize=7.5)
        axes.tick_params(width=0.6)
    panels[0].set_yticks(places, [fill(row.method, 18) for row in shown])
    panels[0].invert_yaxis()
    figure.supxlabel(f"points of H{_of(len(shown), len(rows))}", fontsize=7.5)
    known = panels[0].get_legend_handles_labels()
    figure.legend(*known, loc="outside upper center", ncols=2, frameon=False)
    return figure


def _figure(height: float) -> "tuple[Figure, Any]":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.subplots()
    axes.tick_params(width=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _fair(rows: Sequence[Row]) -> list[Row]:
    """Return the rows of the first rule there is, those that are set apart where all are."""
    fair = [row for row in rows if not row.set_apart] or list(rows)
    return [row for row in fair if row.rule == fair[0].rule]


def _named(row: Row, among: Sequence[Row]) -> str:
    """Return a row's title, with its rule where that differs."""
    several = len({other.rule for other in among}) > 1
    return f"{row.title}, {row.rule}" if several else row.title


def _of(shown: int, rows: int) -> str:
    return f" (the first {shown} of {rows} rows)" if shown < rows else ""
