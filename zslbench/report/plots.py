"""What a figure of lines and points shows, in the values of its axes, however it is drawn.

`zslbench.report.svg` draws it for pages: without colours of its own, which the style sheet gives in
the light and in the dark, and within the content security policy (matplotlib's SVG has a style on
every element, which that forbids, and takes a hundred times as long). `zslbench.report.figures`
draws it with matplotlib for papers. What is told apart is told apart by dash or shape as well.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from zslbench.metrics import Float
from zslbench.report.curves import MeanCurve


@dataclass(frozen=True)
class Scale:
    """An axis: a range of values, linear or logarithmic, ticked or bare."""

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


def _log_ticks(low: float, high: float) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    dense = len(decades) < 4
    factors = (1, 2, 5) if dense else (1,)
    found = [f * 10.0**d for d in decades for f in factors if low <= f * 10.0**d <= high]
    return found if len(found) > 2 else Scale("", low, high).ticks


def percent_axis(label: str, highest: float) -> Scale:
    """Return an axis from 0 to a little above the highest value, in percent."""
    return Scale(label, 0, min(max(10.0, float(highest) * 1.08), 100.0))


@dataclass(frozen=True)
class Line:
    """A line through points.

    Attributes:
        look: U, S or H, or the number of a row among others.
        label: In the key; may be empty.
        steps: Whether `y[j]` holds from `x[j - 1]` to `x[j]`.
        area: Whether what is below it is shaded.
        dots: Whether each point has a marker.
        band: Intervals, low and high ends.
    """

    x: Float
    y: Float
    look: Literal["u", "s", "h"] | int
    label: str = ""
    steps: bool = False
    area: bool = False
    dots: bool = False
    band: tuple[Float, Float] | None = None


@dataclass(frozen=True)
class Mark:
    """A point.

    Attributes:
        shape: The number of its shape.
        label: In the key; may be empty.
        series: The number of its colour, where there are colours.
        whisker: Its interval along y.
        name: Written beside it where there is room, each name once.
        row: The row of the page's table that it goes with.
        words: What it is, in a sentence.
    """

    x: float
    y: float
    shape: int
    label: str = ""
    series: int = 0
    hollow: bool = False
    whisker: tuple[float, float] | None = None
    name: str = ""
    row: int | None = None
    words: str = ""


@dataclass(frozen=True)
class Plot:
    """A figure.

    Attributes:
        label: What it shows, in words.
        marks: Later ones lie on top.
        rule: Where a vertical line stands.
    """

    label: str
    x: Scale
    y: Scale
    lines: Sequence[Line] = ()
    marks: Sequence[Mark] = ()
    rule: float | None = None


def plane(curve: MeanCurve, label: str, own: tuple[float, float] | None, name: str = "") -> Plot:
    """Return S over U as gamma grows, with gamma = 0 and a gamma of its own on it.

    Args:
        curve: The curve.
        label: What the figure shows, in words.
        own: U and S at the gamma that was chosen, if one was.
        name: What chose it.
    """
    u, s, _ = curve.at(0.0)
    chosen = [Mark(*own, 1, name)] if own else []
    return Plot(
        label,
        percent_axis("U, percent", curve.u.max()),
        percent_axis("S, percent", curve.s.max()),
        [Line(curve.u, curve.s, "h", area=True)],
        [Mark(u, s, 0, "gamma = 0", hollow=True), *chosen],
    )


def over_cost(label: str, unit: str, marks: Sequence[Mark], room: tuple[float, float]) -> Plot:
    """Return H over what it cost.

    Args:
        label: What the figure shows, in words.
        unit: Of the cost.
        marks: The rows, each with its interval.
        room: Factors from the axis to its outer marks.
    """
    spent = [mark.x for mark in marks]
    highest = max(mark.whisker[1] for mark in marks if mark.whisker)
    across = Scale(unit, min(spent) / room[0], max(spent) * room[1], log=True)
    return Plot(label, across, percent_axis("H, percent", highest), marks=marks)


def over_gamma(
    curve: MeanCurve,
    label: str,
    gamma: float | None,
    h: float = 0.0,
    name: str = "",
    unit: str = "",
) -> Plot:
    """Return U, S and H over gamma; where a gamma was chosen it is marked at its H.

    Args:
        curve: The curve.
        label: What the figure shows, in words.
        gamma: What was chosen, if anything.
        h: H there.
        name: What chose it, for the key.
        unit: Of gamma.
    """
    looks: tuple[Literal["u", "s", "h"], ...] = ("u", "s", "h")
    return Plot(
        label,
        Scale(f"gamma ({unit})" if unit else "gamma", curve.gammas[0], curve.gammas[-1]),
        percent_axis("percent", max(curve.u.max(), curve.s.max())),
        [Line(curve.gammas, getattr(curve, n), n, n.upper(), steps=True) for n in looks],
        [Mark(gamma, h, 1, name)] if gamma is not None else [],
        gamma,
    )
