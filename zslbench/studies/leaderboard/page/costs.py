"""What accuracy costs: H over the time to fit and over memory."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from zslbench.metrics import Float
from zslbench.report.svg import (
    LEFT,
    LETTER,
    WIDTH,
    Frame,
    Scale,
    escape,
    marker,
    percent_axis,
    text,
)
from zslbench.studies.leaderboard.results import Row


@dataclass(frozen=True)
class CostAxis:
    """A way to count what a row costs."""

    title: str
    unit: str
    field: str

    def of(self, row: Row) -> float:
        """Return the cost; what took no time to speak of is put at a millisecond."""
        return max(float(getattr(row.evidence, self.field)), 1e-3)


COSTS = (
    CostAxis("Time to fit", "seconds, mean over seeds", "fit_seconds"),
    CostAxis("Peak memory", "MiB, the largest of any seed", "peak_memory_mib"),
)


def cost(rows: Sequence[tuple[int, Row]], by: CostAxis, shapes: dict[str, int]) -> str:
    """Draw H over what it cost, each row with its interval for these classes."""
    spent = np.array([by.of(row) for _, row in rows])
    heights = np.array([row.value("h") for _, row in rows])
    highest = max(row.intervals["h"]["these_classes"].high for _, row in rows)
    low, high = float(spent.min()), float(spent.max())
    across = Scale(by.unit, low / 1.6, high * 1.9, log=True)
    frame = Frame(across, percent_axis("H, percent", highest))
    x, y = frame.points(spent, heights)
    parts = [
        _point(frame, number, row, by, shapes, (float(a), float(b)))
        for (number, row), a, b in zip(rows, x, y, strict=True)
    ]
    parts.reverse()  # what was selected on test comes last in the table, and below the rest here
    parts += _labels([row.name for _, row in rows], x, y)
    return frame.figure(f"H over {by.title.lower()}, on {rows[0][1].table}", parts)


def _point(
    frame: Frame,
    number: int,
    row: Row,
    by: CostAxis,
    shapes: dict[str, int],
    at: tuple[float, float],
) -> str:
    found = row.intervals["h"]["these_classes"]
    _, ends = frame.points(frame.x.low, np.array([found.low, found.high]))
    style = "hollow" if row.selected_on_test else "solid"
    words = f"{row.title}, rule {row.rule}: H {row.value('h'):.1f}, {by.of(row):.3g} {by.unit}"
    return (
        f'<g class="point" data-row="{number}"><title>{escape(words)}</title>'
        f'<path class="whisker" d="M{at[0]:.1f} {ends[0]:.1f}V{ends[1]:.1f}"/>'
        f"{marker(*at, shapes[row.name], style)}</g>"
    )


def _labels(names: Sequence[str], x: Float, y: Float) -> list[str]:
    """Return names beside their points, where there is room for them; each name once."""
    taken = [(a - 6, b - 7, a + 6, b + 7) for a, b in zip(x.tolist(), y.tolist(), strict=True)]
    placed: dict[str, str] = {}
    for name, a, b in zip(names, x.tolist(), y.tolist(), strict=True):
        if name in placed or len(placed) >= 40:
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
