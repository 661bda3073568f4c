"""A row's figures: its curves, its accuracy on each class."""

import numpy as np

from zslbench.metrics import Float, Int
from zslbench.report.svg import (
    BOTTOM,
    HEIGHT,
    LEFT,
    LETTER,
    RIGHT,
    TOP,
    WIDTH,
    Frame,
    Scale,
    line,
    marker,
    percent_axis,
    stairs,
    text,
)
from zslbench.studies.leaderboard.results import Row

GAP = 10  # pixels between the unseen and the seen classes


def plane(row: Row) -> str:
    """Draw the seen-unseen curve, with gamma = 0 and the row's own gamma on it."""
    curve = row.evidence.curve
    frame = Frame(
        percent_axis("U, percent", curve.u.max()), percent_axis("S, percent", curve.s.max())
    )
    x, y = frame.points(curve.u, curve.s)
    corner = f"V{HEIGHT - BOTTOM}H{LEFT}z"
    zero = int(np.searchsorted(curve.gammas, 0.0))
    parts = [line(x, y, "area", corner), line(x, y, "curve h")]
    parts.append(marker(float(x[zero]), float(y[zero]), 0, "hollow"))
    own = frame.points(row.value("u"), row.value("s"))
    parts.append(marker(float(own[0]), float(own[1]), 1, "solid"))
    parts += _key(("hollow", "gamma = 0"), ("solid", f"rule {row.rule}"))
    label = (
        f"S over U as gamma grows, for {row.title} on {row.dataset}; AUSUC {row.value('ausuc'):.3f}"
    )
    return frame.figure(label, parts)


def over_gamma(row: Row) -> str:
    """Draw U, S and H over gamma, the row's own gamma marked."""
    curve, gamma = row.evidence.curve, float(row.chosen["gamma"])
    top = max(curve.u.max(), curve.s.max())
    across = Scale("gamma", float(curve.gammas[0]), float(curve.gammas[-1]))
    frame = Frame(across, percent_axis("percent", top))
    parts = []
    for values, style in ((curve.u, "u"), (curve.s, "s"), (curve.h, "h")):
        parts.append(stairs(*frame.points(curve.gammas, values), f"curve {style}"))
    x, y = (float(place) for place in frame.points(gamma, row.value("h")))
    parts.append(f'<path class="chosen" d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}"/>')
    parts.append(marker(x, y, 1, "solid"))
    parts += _key(("u", "U"), ("s", "S"), ("h", "H"))
    return frame.figure(f"U, S and H over gamma, for {row.title} on {row.dataset}", parts)


def classes(row: Row, names_id: str) -> str:
    """Draw each class's accuracy, the weakest first: unseen on the left, seen on the right."""
    found = row.evidence.class_accuracies
    known = np.flatnonzero(~np.isnan(found))
    order: Int = known[np.lexsort((known, found[known], known < row.evidence.seen))]
    unseen = int(np.count_nonzero(order >= row.evidence.seen))
    frame = Frame(Scale("", 0, 1, bare=True), Scale("percent", 0, 100))
    unit = (WIDTH - LEFT - RIGHT - GAP) / max(len(order), 1)
    left = LEFT + unit * np.arange(len(order)) + GAP * (np.arange(len(order)) >= unseen)
    bars = [_bars(left[:unseen], found[order[:unseen]], unit, "bars u")]
    bars.append(_bars(left[unseen:], found[order[unseen:]], unit, "bars s"))
    middle = (LEFT + unit * unseen / 2, LEFT + GAP + unit * (unseen + len(order)) / 2)
    below = HEIGHT - BOTTOM + 16
    counts = (f"{unseen} unseen", f"{len(order) - unseen} seen")
    bars += [text(x, below, words, "tick mid") for x, words in zip(middle, counts, strict=True)]
    values = " ".join(f"{number}:{found[number]:.4g}" for number in order)
    hover = f' class="classes" tabindex="0" data-names="{names_id}" data-bars="{values}"'
    hover += f' data-left="{LEFT}" data-unit="{unit:.4f}" data-gap="{GAP}" data-unseen="{unseen}"'
    label = f"Accuracy on each class, for {row.title} on {row.dataset}: {_extremes(row, order)}"
    return frame.figure(label, bars, hover)


def _bars(left: Float, values: Float, unit: float, style: str) -> str:
    width = max(unit * 0.8, 0.3)
    scale = (HEIGHT - TOP - BOTTOM) / 100
    bottom = HEIGHT - BOTTOM
    # A class at zero keeps a hair of height: it is there, and it is wrong.
    way = [
        f"M{x:.1f} {bottom}v-{max(value * scale, 0.8):.1f}h{width:.2f}V{bottom}z"
        for x, value in zip(left.tolist(), values.tolist(), strict=True)
    ]
    return f'<path class="{style}" d="{"".join(way)}"/>'


def _extremes(row: Row, order: Int) -> str:
    names, found, seen = row.evidence.class_names, row.evidence.class_accuracies, row.evidence.seen
    parts = []
    for side, members in (("unseen", order[order >= seen]), ("seen", order[order < seen])):
        weakest = ", ".join(f"{names[c]} {found[c]:.0f}" for c in members[:3].tolist())
        parts.append(f"weakest {side} {weakest}")
    return "; ".join(parts)


def _key(*entries: tuple[str, str]) -> list[str]:
    """Return a key above the plot: what to draw at a place, and the words beside it."""
    parts: list[str] = []
    right = float(WIDTH - RIGHT)
    for drawn, words in reversed(entries):
        right -= LETTER * len(words)
        parts.append(text(right, TOP - 10, words, "name"))
        right -= 34 if drawn in "ush" else 12
        parts.append(_sample(drawn, right))
        right -= 24
    return parts


def _sample(drawn: str, x: float) -> str:
    if drawn in "ush":
        return f'<path class="curve {drawn}" d="M{x:.1f} {TOP - 14}h28"/>'
    return marker(x, TOP - 14, int(drawn == "solid"), drawn)
