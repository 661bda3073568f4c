"""Accuracy after each task: on the page, and as a figure for papers."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill

import numpy as np

from zslbench.report.figures import draw
from zslbench.report.files import write_figure
from zslbench.report.plots import Line, Plot, Scale, percent_axis
from zslbench.report.svg import SHAPES, line_class
from zslbench.studies.incremental.results import IncrementalRow, by_table


def after_each_task(rows: Sequence[IncrementalRow]) -> Plot:
    """Return the accuracies of the rows of one sequence over the classes known."""
    known = np.cumsum(rows[0].sizes).astype(float)
    lines = []
    for number, row in enumerate(rows):
        means, low, high = (
            np.array([getattr(found, end) for found in row.accuracy])
            for end in ("mean", "low", "high")
        )
        lines.append(Line(known, means, number, row.title, dots=True, band=(low, high)))
    highest = max(found.high for row in rows for found in row.accuracy)
    return Plot(
        f"Accuracy after each task, {rows[0].table}",
        Scale("classes known", 0.0, float(known[-1]) * 1.04),
        percent_axis("accuracy, percent", highest),
        lines,
    )


def key(rows: Sequence[IncrementalRow]) -> list[tuple[str, str, str]]:
    """Return each row's line in such a figure, as a class, its shape, and its title."""
    return [(line_class(n), SHAPES[n % len(SHAPES)], row.title) for n, row in enumerate(rows)]


def write_paths(folder: Path, name: str, rows: Sequence[IncrementalRow]) -> list[Path]:
    """Write a figure of accuracy after each task, with intervals, as PNG and PDF.

    One sequence makes one file; of several, each has its place behind the name.
    """
    paths = []
    tables = by_table(rows).values()
    for place, members in enumerate(tables, start=1):
        file = f"{name}-tasks" + (f"-{place}" if len(tables) > 1 else "")
        paths += write_figure(folder, file, _figure(members))
    return paths


def _figure(rows: Sequence[IncrementalRow]):  # type: ignore[no-untyped-def]
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    draw(axes, after_each_task(rows))
    title = f"{rows[0].table}; bands: 95 % over images and seeds"
    figure.suptitle(fill(title, 80), x=0.01, horizontalalignment="left", fontsize=9)
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure
