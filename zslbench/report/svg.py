"""Plots drawn as scalable vector graphics; colours and dashes are the style sheet's."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from zslbench.metrics import Float, Int
from zslbench.report.plots import Line, Mark, Plot, Scale

WIDTH, HEIGHT = 380, 260
LEFT, RIGHT, TOP, BOTTOM = 44, 14, 26, 42
LETTER = 6.2  # pixels a letter of a label takes, about
NAMES = 40  # the most names beside points
SHAPES = (
    "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0z",
    "M-4-4h8v8h-8z",
    "M0-5.5L5.5 0L0 5.5L-5.5 0z",
    "M0-5L5 4H-5z",
    "M0 5L5-4H-5z",
    "M-1.6-5h3.2v3.4h3.4v3.2h-3.4v3.4h-3.2v-3.4h-3.4v-3.2h3.4z",
    "M-5-3h10v6h-10z",
    "M-3-5h6v10h-6z",
)


def escape(text: object) -> str:
    """Return text that is safe between tags and inside quoted attributes."""
    return html.escape(str(text), quote=True)


@dataclass(frozen=True)
class Frame:
    """A figure's plotting area with its two axes."""

    x: Scale
    y: Scale

    def points(self, x: float | Float, y: float | Float) -> tuple[Float, Float]:
        """Return the pixels of points."""
        across = LEFT + self.x.place(x) * (WIDTH - LEFT - RIGHT)
        down = HEIGHT - BOTTOM - self.y.place(y) * (HEIGHT - TOP - BOTTOM)
        return across, down

    def figure(self, label: str, parts: Sequence[str], attributes: str = "") -> str:
        """Return the figure with its axes; `label` says in words what it shows."""
        body = "".join([_grid(self), *parts])
        return (
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}"'
            f"{attributes}>{body}</svg>"
        )


@lru_cache(maxsize=64)  # most figures of a page have the same axes
def _grid(frame: Frame) -> str:
    """Return both axes with their ticks and labels."""
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = []
    for value in frame.y.ticks:
        _, y = (round(float(v), 1) for v in frame.points(frame.x.low, value))
        parts.append(f'<path class="grid" d="M{LEFT} {y:g}H{right}"/>')
        parts.append(text(LEFT - 7, y + 3.5, f"{value:g}", "tick end"))
    for value in frame.x.ticks:
        x, _ = (round(float(v), 1) for v in frame.points(value, frame.y.low))
        parts.append(f'<path class="grid" d="M{x:g} {bottom}v4"/>')
        parts.append(text(x, bottom + 16, f"{value:g}", "tick mid"))
    parts.append(f'<path class="axis" d="M{LEFT} {bottom}H{right}"/>')
    parts.append(text((LEFT + right) / 2, HEIGHT - 6, frame.x.label, "label mid"))
    parts.append(text(4, TOP - 10, frame.y.label, "label"))
    return "".join(parts)


def draw(plot: Plot, *, key: bool = True) -> str:
    """Draw a plot; its key above it, where one is asked for."""
    frame = Frame(plot.x, plot.y)
    parts = [part for line in plot.lines for part in _line(frame, line)]
    if plot.rule is not None:
        x = float(frame.points(plot.rule, plot.y.low)[0])
        parts.append(f'<path class="chosen" d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}"/>')
    parts += [_mark(frame, mark) for mark in plot.marks]
    parts += _names(frame, plot.marks)
    return frame.figure(plot.label, [*parts, *(_key(plot) if key else ())])


def text(x: float, y: float, words: object, style: str) -> str:
    """Return a line of text."""
    return f'<text class="{style}" x="{x:g}" y="{y:g}">{escape(words)}</text>'


def line_class(look: str | int) -> str:
    """Return what the style sheet knows a line by."""
    return f"curve path{look % 4}" if isinstance(look, int) else f"curve {look}"


def _line(frame: Frame, line: Line) -> list[str]:
    x, y = frame.points(line.x, line.y)
    style = line_class(line.look)
    way = _stairs(x, y) if line.steps else _through(x, y)
    drawn = f'<path class="{style}" d="{way}"/>'
    area = [f'<path class="area" d="{way}V{HEIGHT - BOTTOM}H{LEFT}z"/>'] if line.area else []
    shape = line.look if isinstance(line.look, int) else 0
    points = zip(x.tolist(), y.tolist(), strict=True) if line.dots else ()
    return [*area, drawn, *(_marker(a, b, shape, "solid") for a, b in points)]


def each(form: str, *values: Float | Int) -> str:
    """Return a form filled in for each place of some arrays, all in one go."""
    filled = np.stack(values, axis=1)
    return form * len(filled) % tuple(filled.ravel().tolist())


def _through(x: Float, y: Float) -> str:
    """Return a line through pixels; points that fall on the last one are left out."""
    pixels = np.round(np.stack([x, y], axis=1), 1)
    moved = np.append(True, np.any(np.diff(pixels, axis=0) != 0, axis=1))
    return "M" + each("L%g %g", *pixels[moved].T)[1:]


def _stairs(x: Float, y: Float) -> str:
    """Return a line of steps: `y[j]` holds from `x[j - 1]` to `x[j]`."""
    across, down = np.round(x, 1), np.round(y, 1)
    turns = np.flatnonzero(np.diff(down))
    way = each("H%gV%g", across[turns], down[turns + 1])
    return f"M{across[0]:g} {down[0]:g}{way}H{across[-1]:g}"


def _mark(frame: Frame, mark: Mark) -> str:
    x, y = (float(place) for place in frame.points(mark.x, mark.y))
    drawn = _marker(x, y, mark.shape, "hollow" if mark.hollow else "solid")
    if mark.whisker:
        _, (low, high) = frame.points(frame.x.low, np.array(mark.whisker))
        drawn = f'<path class="whisker" d="M{x:.1f} {low:.1f}V{high:.1f}"/>{drawn}'
    if mark.row is None:
        return drawn
    return f'<g class="point" data-row="{mark.row}"><title>{escape(mark.words)}</title>{drawn}</g>'


def _marker(x: float, y: float, shape: int, style: str) -> str:
    path = SHAPES[shape % len(SHAPES)]
    return f'<path class="{style}" transform="translate({x:.1f} {y:.1f})" d="{path}"/>'


def _names(frame: Frame, marks: Sequence[Mark]) -> list[str]:
    """Return names beside their points where there is room, from the top one down, each once."""
    places = [tuple(float(v) for v in frame.points(m.x, m.y)) for m in marks if m.name]
    taken = [(a - 6, b - 7, a + 6, b + 7) for a, b in places]
    placed: dict[str, str] = {}
    named = [mark.name for mark in marks if mark.name]
    for name, (a, b) in zip(reversed(named), reversed(places), strict=True):
        if name in placed or len(placed) >= NAMES:
            continue
        wide = len(name) * LETTER
        for left in (a + 9, a - 9 - wide):
            box = (left, b - 7, left + wide, b + 7)
            inside = left > LEFT and left + wide < WIDTH
            if inside and not any(_meet(box, other) for other in taken):
                placed[name] = text(left, b + 4, name, "name")
                taken.append(box)
                break
    return list(placed.values())


def _meet(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _key(plot: Plot) -> list[str]:
    """Return a key above the plot, from its right end: what is drawn, and the words beside it."""
    parts: list[str] = []
    right = float(WIDTH - RIGHT)
    entries: list[Line | Mark] = [*plot.lines, *plot.marks]
    for drawn in reversed([each for each in entries if each.label]):
        right -= LETTER * len(drawn.label)
        parts.append(text(right, TOP - 10, drawn.label, "name"))
        if isinstance(drawn, Line):
            right -= 34
            style = line_class(drawn.look)
            parts.append(f'<path class="{style}" d="M{right:.1f} {TOP - 14}h28"/>')
        else:
            right -= 12
            style = "hollow" if drawn.hollow else "solid"
            parts.append(_marker(right, TOP - 14, drawn.shape, style))
        right -= 24
    return parts
