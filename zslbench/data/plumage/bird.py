"""One bird on a canvas of inks: outlines, posture, and the order in which parts are painted.

Outlines are in pixels of the 112 px frame, for a medium bird facing right, origin mid-body.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zslbench.data.plumage.attributes import COLORS, GROUPS, Part, Rgb
from zslbench.data.plumage.draws import Draws
from zslbench.data.plumage.raster import (
    FIX,
    UNIT,
    Canvas,
    Points,
    fill,
    paint,
    rotation,
    smooth,
    transform,
)

FRAME = 112
MARGIN = 2
SIZES = {"small": 880, "medium": 1024, "large": 1160}
BODY_COLORS: tuple[Rgb, ...] = (
    (150, 132, 112),
    (122, 112, 106),
    (168, 160, 150),
    (136, 104, 80),
    (186, 170, 142),
)
# An ink is 4 * part + tone; the part map is read off the inks.
BASE, MARK, GLINT = 0, 1, 2


def _outline(*points: tuple[int, int], rounded: bool = True) -> Points:
    scaled = np.array(points) * FIX
    return smooth(scaled) if rounded else scaled


def _disc(x: int, y: int, radius: int) -> Points:
    turned = [transform(np.array([[radius * FIX, 0]]), rotation(angle)) for angle in range(0, 256, 16)]
    return np.concatenate(turned) + FIX * np.array([x, y])


BODY = _outline((6, -30), (30, -24), (34, 0), (26, 22), (4, 34), (-18, 30), (-30, 22), (-26, 4), (-12, -16))
BREAST = _outline((14, -20), (30, -20), (36, 2), (26, 24), (2, 36), (-4, 30), (10, 12), (12, -4))
WING = _outline((4, -22), (14, -8), (10, 12), (-12, 26), (-38, 34), (-30, 14), (-18, -10))
HEAD = _disc(20, -30, 17)
CROWN = _outline((0, -24), (0, -40), (10, -50), (24, -50), (36, -42), (38, -32), (22, -32))
EYE = _disc(25, -28, 3)
GLEAM = _disc(26, -29, 1)
BILLS = {
    "cone": _outline((33, -36), (35, -22), (50, -27), rounded=False),
    "dagger": _outline((34, -33), (35, -24), (58, -25), rounded=False),
    "hooked": _outline((33, -36), (46, -35), (52, -28), (51, -17), (46, -23), (35, -22), rounded=False),
}
# Tails point along -x from their root, and are turned around it.
TAIL_ROOT = np.array([-20, 24]) * FIX
TAILS = {
    "squared": _outline((4, -8), (-22, -11), (-22, 11), (4, 8), rounded=False),
    "forked": _outline((4, -7), (-30, -15), (-17, 0), (-30, 15), (4, 7), rounded=False),
    "pointed": _outline((4, -8), (-18, -9), (-38, 0), (-18, 9), (4, 8), rounded=False),
}
LEG = _outline((-3, 0), (-3, 16), (-6, 21), (10, 21), (9, 17), (3, 15), (3, 0), rounded=False)
LEG_ROOTS = np.array([(-6, 28), (10, 28)]) * FIX


@dataclass(frozen=True)
class Bird:
    """A painted bird.

    Attributes:
        inks: `[112, 112]`, 0 where there is no bird, else 4 * part + tone.
        palette: Ink -> colour before lighting.
    """

    inks: Canvas
    palette: dict[int, Rgb]


def paint_bird(values: dict[str, str], draws: Draws) -> Bird:
    """Paint a bird with one value of every group, in a posture and place of its own.

    Args:
        values: Group name -> value.
        draws: Where posture, place, and the shades of its colours come from.
    """
    shapes = _place(_posture(values, draws), values, draws)
    inks = np.zeros((FRAME, FRAME), dtype=np.uint8)
    marked = _marks(values, draws)
    for part, tone, points in shapes:
        shape = fill(points, FRAME)
        paint(inks, shape, 4 * part + tone)
        if part in marked and tone == BASE:
            inside = shape.inside & marked[part][shape.rows, shape.columns]
            paint(inks, shape._replace(inside=inside), 4 * part + MARK)
    return Bird(inks, _palette(values, draws))


def _posture(values: dict[str, str], draws: Draws) -> list[tuple[Part, int, Points]]:
    """Return the outlines in painting order, the head held and the tail cocked by chance."""
    nod = FIX * np.array([draws.between(-2, 2), draws.between(-2, 2)])
    cock = rotation(-30 + draws.between(-9, 9))
    tail = transform(TAILS[values["has_tail_shape"]], cock) + TAIL_ROOT
    stride = [root + FIX * np.array([draws.between(-3, 2), 0]) for root in LEG_ROOTS]
    return [
        (Part.TAIL, BASE, tail),
        *((Part.LEG, BASE, LEG + root) for root in stride),
        (Part.BODY, BASE, BODY),
        (Part.BREAST, BASE, BREAST),
        (Part.WING, BASE, WING),
        (Part.BODY, BASE, HEAD + nod),
        (Part.BILL, BASE, BILLS[values["has_bill_shape"]] + nod),
        (Part.CROWN, BASE, CROWN + nod),
        (Part.EYE, BASE, EYE + nod),
        (Part.EYE, GLINT, GLEAM + nod),
    ]


def _place(
    shapes: list[tuple[Part, int, Points]], values: dict[str, str], draws: Draws
) -> list[tuple[Part, int, Points]]:
    """Scale, tilt, turn left or right, and move to where the whole bird is in the frame."""
    scale = SIZES[values["has_size"]] * draws.between(97, 103) // 100
    matrix = rotation(draws.between(-7, 7), scale)
    if draws.below(2):
        matrix = matrix * np.array([-1, 1])
    ends = np.cumsum([len(points) for *_, points in shapes])[:-1]
    points = transform(np.concatenate([points for *_, points in shapes]), matrix)
    low, high = points.min(axis=0), points.max(axis=0)
    room = np.maximum((FRAME - 2 * MARGIN) * FIX - (high - low), 0)
    corner = [MARGIN * FIX + draws.below(int(r) + 1) for r in room]
    placed = np.split(points - low + corner, ends)
    return [(part, tone, moved) for (part, tone, _), moved in zip(shapes, placed, strict=True)]


def _marks(values: dict[str, str], draws: Draws) -> dict[Part, NDArray[np.bool_]]:
    """Return where the stripes or spots of patterned parts would lie, anywhere on the frame."""
    y, x = np.indices((FRAME, FRAME)) + draws.below(16)
    patterns = {
        "striped": (x + 2 * y) % 18 < 8,
        "spotted": (x + 5 * (y // 10 % 2) - 5) % 10 - 5
    }
    return {}


def _palette(values: dict[str, str], draws: Draws) -> dict[int, Rgb]:
    return {}
