"""Scalable vector graphics as text: axes, lines, markers. Colours and dashes are the style sheet's.

Figures carry no colour of their own, so that they follow the page into its dark theme; what is told
apart is told apart by dash or shape as well.
"""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from zslbench.metrics import Float

WIDTH, HEIGHT = 380, 260
LEFT, RIGHT, TOP, BOTTOM = 44, 14, 26, 42
LETTER = 6.2  # pixels a letter of a label takes, about
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
class Scale:
    """A range of values that ends up between two pixels, linear or logarithmic, ticked or bare."""

    label: str
    low: float
    high: float
    log: bool = False
    bare: bool = False

    def place(self, values: float | Float) -> Float:
        """Return where values lie: 0 at the low end, 1 at the high one."""
        if self.log:
            low, high = math.log10(self.low), math.log10(self.high)
            return np.asarray((np.log10(values) - low) / (high - low))
        return np.asarray((np.asarray(values) - self.low) / (self.high - self.low))

    @property
    def ticks(self) -> list[float]:
        """Round values inside the range, a handful."""
        if self.bare:
            return []
        if self.log:
            return _log_ticks(self.low, self.high)
        rough = (self.high - self.low) / 5
        unit = 10.0 ** math.floor(math.log10(rough))
        step = next(factor * unit for factor in (1, 2, 5, 10) if factor * unit >= rough)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [round(k * step, 10) for k in range(first, last + 1)]


def percent_axis(label: str, highest: float) -> Scale:
    """Return an axis from 0 to a little above the highest value, in percent."""
    return Scale(label, 0, min(max(10.0, float(highest) * 1.08), 100.0))


def _log_ticks(low: float, high: float) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    dense = len(decades) < 4
    factors = (1, 2, 5) if dense else (1,)
    found = [f * 10.0**d for d in decades for f in factors if low <= f * 10.0**d <= high]
    return found if len(found) > 2 else Scale("", low, high).ticks


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
        body = "".join([*self._grid(), *parts])
        return (
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}"'
            f"{attributes}>{body}</svg>"
        )

    def _grid(self) -> list[str]:
        bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
        parts = []
        for value in self.y.ticks:
            _, y = (round(float(v), 1) for v in self.points(self.x.low, value))
            parts.append(f'<path class="grid" d="M{LEFT} {y:g}H{right}"/>')
            parts.append(text(LEFT - 7, y + 3.5, f"{value:g}", "tick end"))
        for value in self.x.ticks:
            x, _ = (round(float(v), 1) for v in self.points(value, self.y.low))
            parts.append(f'<path class="grid" d="M{x:g} {bottom}v4"/>')
            parts.append(text(x, bottom + 16, f"{value:g}", "tick mid"))
        parts.append(f'<path class="axis" d="M{LEFT} {bottom}H{right}"/>')
        parts.append(text((LEFT + right) / 2, HEIGHT - 6, self.x.label, "label mid"))
        parts.append(text(4, TOP - 10, self.y.label, "label"))
        return parts


def text(x: float, y: float, words: object, style: str) -> str:
    """Return a line of text."""
    return f'<text class="{style}" x="{x:g}" y="{y:g}">{escape(words)}</text>'


def line(x: Float, y: Float, style: str, closed: str = "") -> str:
    """Return a line through pixels; points that fall on the last one are left out."""
    pixels = np.round(np.stack([x, y], axis=1), 1)
    moved = np.append(True, np.any(np.diff(pixels, axis=0) != 0, axis=1))
    way = "L".join(f"{a:g} {b:g}" for a, b in pixels[moved].tolist())
    return f'<path class="{style}" d="M{way}{closed}"/>'


def stairs(x: Float, y: Float, style: str) -> str:
    """Return a line of steps: `y[j]` holds from `x[j - 1]` to `x[j]`."""
    across, down = np.round(x, 1), np.round(y, 1)
    turns = np.flatnonzero(np.diff(down))
    corners = zip(across[turns].tolist(), down[turns + 1].tolist(), strict=True)
    way = "".join(f"H{a:g}V{b:g}" for a, b in corners)
    return f'<path class="{style}" d="M{across[0]:g} {down[0]:g}{way}H{across[-1]:g}"/>'


def marker(x: float, y: float, shape: int, style: str) -> str:
    """Return a marker of one of `SHAPES`."""
    path = SHAPES[shape % len(SHAPES)]
    return f'<path class="{style}" transform="translate({x:.1f} {y:.1f})" d="{path}"/>'
