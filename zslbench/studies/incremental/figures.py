"""Accuracy after each task: on the page, and as a figure for papers."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill

import numpy as np

from zslbench.report.files import write_figure
from zslbench.report.svg import SHAPES, Frame, Scale, line, marker, percent_axis
from zslbench.studies.incremental.results import IncrementalRow

COLOURS = ("#222222", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#777777")
STYLES = ("-", "--", "-.", ":")


def after_each_task(rows: Sequence[IncrementalRow]) -> str:
    """Draw the accuracies of the rows of one sequence over the classes known."""
    known = np.cumsum(rows[0].sizes).astype(float)
    highest = max(found.high for row in rows for found in row.accuracy)
    across = Scale("classes known", 0.0, float(known[-1]) * 1.04)
    frame = Frame(across, percent_axis("accuracy, percent", highest))
    parts = []
    for number, row in enumerate(rows):
        x, y = frame.points(known, np.array([found.mean for found in row.accuracy]))
        parts.append(line(x, y, _style(number)))
        parts += [marker(float(a), float(b), number, "solid") for a, b in zip(x, y, strict=True)]
    return frame.figure(f"Accuracy after each task, {rows[0].table}", parts)


def key(rows: Sequence[IncrementalRow]) -> list[tuple[str, str, str]]:
    """Return each row's line in such a figure, as a class, its shape, and its title."""
    return [(_style(n), SHAPES[n % len(SHAPES)], row.title) for n, row in enumerate(rows)]


def _style(number: int) -> str:
    return f"curve path{number % len(STYLES)}"


def write_paths(folder: Path, name: str, rows: Sequence[IncrementalRow]) -> list[Path]:
    """Write a figure of accuracy after each task, with intervals, as PNG and PDF.

    One sequence makes one file; of several, each has its place behind the name.
    """
    paths = []
    tables = list(dict.fromkeys(row.table for row in rows))
    for place, table in enumerate(tables, start=1):
        figure = _figure([row for row in rows if row.table == table])
        file = f"{name}-tasks" + (f"-{place}" if len(tables) > 1 else "")
        paths += write_figure(folder, file, figure)
    return paths


def _figure(rows: Sequence[IncrementalRow]):  # type: ignore[no-untyped-def]
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    known = np.cumsum(rows[0].sizes)
    for number, row in enumerate(rows):
        means = [found.mean for found in row.accuracy]
        colour = COLOURS[number % len(COLOURS)]
        low, high = ([getattr(found, end) for found in row.accuracy] for end in ("low", "high"))
        axes.fill_between(known, low, high, color=colour, alpha=0.1, linewidth=0)
        style = STYLES[number % len(STYLES)]
        axes.plot(known, means, style, color=colour, marker="os^vDPX*"[number % 8], markersize=4,
                  linewidth=1.4, label=row.title)  # fmt: skip
    axes.set(xlabel="classes known", ylabel="accuracy, percent", ylim=(0, None))
    title = f"{rows[0].table}; bands: 95 % over images and seeds"
    figure.suptitle(fill(title, 80), x=0.01, horizontalalignment="left", fontsize=9)
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure
