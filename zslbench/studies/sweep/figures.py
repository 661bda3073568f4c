"""The files of a sweep: its report, all trials, and figures of which settings matter."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zslbench.report.files import write_figure
from zslbench.studies.sweep.results import SweepReport, TrialPoint, TrialRow

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 4
SIDE = 2.3
ENOUGH_FOR_CONTOURS = 4
BARS = (("#222222", ""), ("#DDDDDD", "//"))
CONTOUR_NOTE = (
    "Contours are drawn between complete trials, where both settings are numbers, and say nothing "
    "outside them; the search goes where H is high, so that elsewhere they rest on few. Crosses: "
    "pruned. Star: the winner."
)


def write_sweep(report: SweepReport, folder: Path) -> list[Path]:
    """Write NAME.{md,csv} and the figures that the trials allow; return what was written."""
    drawn = {}
    if report.shares:
        drawn["importances"] = draw_importances(report)
    if report.best:
        drawn["contours"] = draw_contours(report)
    figures = [
        path
        for name, figure in drawn.items()
        for path in write_figure(folder, f"{report.name}-{name}", figure)
    ]
    captions = {"importances": "", "contours": CONTOUR_NOTE}
    texts = [folder / f"{report.name}.{kind}" for kind in ("md", "csv")]
    for path in texts:
        report.save(path, {f"{report.name}-{name}.png": captions[name] for name in drawn})
    return [*texts, *figures]


def draw_importances(report: SweepReport) -> "Figure":
    """Draw a bar for each parameter and way to find its importance."""
    from matplotlib.figure import Figure

    found = report.shares
    names = list(next(iter(found.values())))
    figure = Figure(figsize=(5.5, 0.9 + 0.45 * len(names)), layout="constrained")
    axes = figure.subplots()
    height = 0.8 / len(found)
    for place, (method, shares) in enumerate(found.items()):
        colour, hatch = BARS[place]
        at = [y + (place - (len(found) - 1) / 2) * height for y in range(len(names))]
        axes.barh(at, [shares[name] for name in names], height, color=colour, hatch=hatch,
                  edgecolor="#222222", linewidth=0.6, label=method)  # fmt: skip
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set(xlim=(0, 1), xlabel="share of importance")
    axes.legend(frameon=False, fontsize=8)
    axes.set_title(report.heading, fontsize=9)
    return figure


def draw_contours(report: SweepReport) -> "Figure":
    """Draw H over each parameter and over each pair of the most important ones."""
    from matplotlib.figure import Figure

    names = list(report.importances or report.best[0].params)[:MOST]
    size = max(SIDE * len(names) + 1, 4.0)
    figure = Figure(figsize=(size, size * 0.85), layout="constrained")
    panels = figure.subplots(len(names), len(names), squeeze=False)
    values = [trial.h for trial in report.trials if trial.state == "complete" and trial.h]
    limits = (min(values, default=0.0), max(values, default=1.0))
    shown = None
    for row, below in enumerate(names):
        for column, across in enumerate(names):
            panel = panels[row, column]
            if column > row:
                panel.set_axis_off()
            elif column == row:
                _draw_one(panel, report, across)
            else:
                shown = _draw_pair(panel, report, across, below, limits) or shown
                _label(panel.yaxis, report, below)
            if column <= row:
                panel.use_sticky_edges = False  # contours would keep their edges on the frame
                panel.margins(0.08)
                _label(panel.xaxis, report, across)
    if shown is not None:
        figure.colorbar(shown, ax=panels, label="H in the tuning worlds, percent")
    figure.suptitle(report.heading, fontsize=9)
    return figure


def _draw_one(panel: Any, report: SweepReport, name: str) -> None:
    complete = _of(report, "complete")
    panel.plot(_places(report, complete, name), [t.h for t in complete], "o", color="#222222",
               markersize=4, alpha=0.7)  # fmt: skip
    panel.set_ylabel("H, percent")
    if report.winner:
        winner = report.winner.trial
        panel.plot(_places(report, [winner], name), [winner.h], "*", color="#D55E00", markersize=12)


def _draw_pair(
    panel: Any, report: SweepReport, across: str, below: str, limits: tuple[float, float]
) -> Any:
    """Draw trials on a plane with contours of H between them; return what the colours show."""
    complete, pruned = _of(report, "complete"), _of(report, "pruned")
    x, y = _places(report, complete, across), _places(report, complete, below)
    values = [trial.h for trial in complete]
    style = {"cmap": "viridis", "vmin": limits[0], "vmax": limits[1]}
    between = not _choices(report, across) and not _choices(report, below)
    if between and len(set(zip(x, y, strict=True))) >= ENOUGH_FOR_CONTOURS:
        _fill(panel, x, y, values, style)
    shown = panel.scatter(x, y, c=values, edgecolors="white", linewidths=0.6, s=18, **style)
    panel.plot(_places(report, pruned, across), _places(report, pruned, below), "x",
               color="#555555", markersize=4)  # fmt: skip
    if report.winner:
        winner = [report.winner.trial]
        at = _places(report, winner, across), _places(report, winner, below)
        panel.plot(*at, "*", color="#D55E00", markeredgecolor="white", markersize=12)
    return shown


def _fill(panel: Any, x: list[float], y: list[float], values: Any, style: Any) -> None:
    """Fill between trials, unless they lie on a line."""
    from matplotlib.tri import Triangulation

    try:
        plane = Triangulation(x, y)
    except (RuntimeError, ValueError):
        return
    panel.tricontourf(plane, values, levels=8, alpha=0.8, **style)


def _of(report: SweepReport, state: str) -> list[TrialPoint]:
    return [trial for trial in report.trials if trial.state == state]


def _choices(report: SweepReport, name: str) -> list[str]:
    """Return the values of a parameter that is no number, in their order; else nothing."""
    values = [trial.params[name] for trial in report.trials if name in trial.params]
    if all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
        return []
    return sorted(set(map(str, values)))


def _places(report: SweepReport, trials: Sequence[TrialPoint | TrialRow], name: str) -> list[float]:
    """Return where trials stand on a parameter's axis, which is linear in what it searches."""
    choices = _choices(report, name)
    values = [trial.params[name] for trial in trials]
    if choices:
        return [float(choices.index(str(value))) for value in values]
    return [math.log10(value) if name in report.log else float(value) for value in values]


def _label(axis: Any, report: SweepReport, name: str) -> None:
    """Name an axis and write its values as they were searched."""
    from matplotlib.ticker import MaxNLocator

    choices = _choices(report, name)
    if choices:
        axis.set_ticks(range(len(choices)), choices)
    elif name in report.log:
        axis.set_major_locator(MaxNLocator(4, integer=True))
        axis.set_major_formatter(lambda value, _: f"{10**value:.3g}")
    axis.set_label_text(name)
    axis.set_tick_params(labelsize=7)
