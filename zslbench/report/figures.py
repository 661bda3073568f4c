"""Plots drawn with matplotlib's objects (no pyplot, no display)."""

from typing import Any

from zslbench.report.plots import Mark, Plot, Scale

DARK, RULE = "#1a1a1a", "#777777"
COLOURS = ("#000000", "#D55E00", "#0072B2", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#777777")
DASHES = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1)), (0, (8, 2)), (0, (3, 1, 1, 1, 1, 1)))
MARKERS = "osD^vPX*"
NAMED: dict[Any, tuple[str, Any]] = {
    "u": ("#D55E00", "--"), "s": ("#0072B2", "-."), "h": ("#222222", "-"),
}  # fmt: skip


def draw(axes: Any, plot: Plot, size: float = 5) -> None:
    """Draw a plot; labels are left to the caller's legend.

    Args:
        axes: Of matplotlib.
        plot: What to draw.
        size: Of markers, in points.
    """
    for line in plot.lines:
        marker: dict[str, Any] = {}
        if isinstance(line.look, int):
            looks = COLOURS, DASHES, MARKERS
            colour, dash, shape = (known[line.look % len(known)] for known in looks)
            marker = {"marker": shape, "markersize": 0.8 * size}
            marker |= {} if line.dots else {"markevery": []}  # in the legend alone
        else:
            colour, dash = NAMED[line.look]
        drawn = axes.step if line.steps else axes.plot
        where = {"where": "pre"} if line.steps else {}
        drawn(line.x, line.y, color=colour, linestyle=dash, linewidth=1.2, clip_on=False,
              label=line.label or None, **where, **marker)  # fmt: skip
        if line.area:
            axes.fill_between(line.x, line.y, color=colour, alpha=0.08, linewidth=0)
        if line.band:
            axes.fill_between(line.x, *line.band, color=colour, alpha=0.1, linewidth=0)
    if plot.rule is not None:
        axes.axvline(plot.rule, color=RULE, linewidth=0.9)
    for mark in plot.marks:
        _mark(axes, mark, size)
    _scale(axes, "x", plot.x)
    _scale(axes, "y", plot.y)


def _mark(axes: Any, mark: Mark, size: float) -> None:
    colour = COLOURS[mark.series % len(COLOURS)]
    if mark.whisker:
        axes.plot([mark.x, mark.x], mark.whisker, color=colour, linewidth=0.8)
    face = {"markerfacecolor": "white"} if mark.hollow else {}
    shape = MARKERS[mark.shape % len(MARKERS)]
    axes.plot([mark.x], [mark.y], color=colour, linestyle="none", marker=shape, markersize=size,
              clip_on=False, label=mark.label or None, **face)  # fmt: skip


def _scale(axes: Any, name: str, scale: Scale) -> None:
    axes.set(**{f"{name}label": scale.label, f"{name}lim": (scale.low, scale.high)})
    if scale.log:
        axes.set(**{f"{name}scale": "log"})
        axis = getattr(axes, f"{name}axis")
        axis.set_ticks(scale.ticks, [f"{tick:g}" for tick in scale.ticks])
        axis.set_ticks([], minor=True)
