"""One bird on a canvas of inks: outlines, posture, and the order in which parts are painted.

Outlines are in pixels of the 112 px frame, for a medium bird facing right, origin mid-body.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from zslbench.data.plumage.attributes import COLORS, GROUPS, Part, Rgb
from zslbench.data.plumage.draws import Draws
from zslbench.data.plumage.inks import BASE, FRAME, GLINT, MARK, TONES, Palette, marks, shades
from zslbench.data.plumage.raster import (
    FIX,
    Canvas,
    Points,
    fill,
    paint,
    rotation,
    rounded,
    sharp,
    transform,
)

MARGIN = 2
SCALES = {"small": 790, "medium": 890, "large": 980}
BODY_COLORS: tuple[Rgb, ...] = (
    (150, 132, 112),
    (122, 112, 106),
    (168, 160, 150),
    (136, 104, 80),
    (186, 170, 142),
)


def _arc(x: int, y: int, radius: int, start: int = 0, stop: int = 256) -> Points:
    spoke = np.array([[radius * FIX, 0]])
    rim = [transform(spoke, rotation(angle)) for angle in range(start, stop, 8)]
    outline: Points = np.concatenate(rim) + FIX * np.array([x, y])
    return outline


BODY = rounded(
    (6, -30), (30, -24), (34, 0), (26, 22), (4, 34), (-18, 30), (-30, 22), (-26, 4), (-12, -16)
)
BREAST = rounded((14, -20), (30, -20), (36, 2), (26, 24), (2, 36), (-4, 30), (10, 12), (12, -4))
WING = rounded((4, -22), (14, -8), (10, 12), (-12, 26), (-38, 34), (-30, 14), (-18, -10))
HEAD = _arc(20, -30, 17)
CROWN = _arc(20, -30, 18, 112, 252)
EYE = _arc(25, -28, 3)
GLEAM = _arc(26, -29, 1)
BILLS = {
    "cone": sharp((32, -38), (34, -20), (52, -27)),
    "dagger": sharp((33, -35), (34, -22), (58, -25)),
    "hooked": sharp((32, -38), (47, -37), (54, -29), (53, -15), (46, -22), (34, -20)),
}
# Tails point along -x from their root, and are turned around it.
TAIL_ROOT = FIX * np.array([-20, 24])
TAILS = {
    "squared": sharp((4, -10), (-24, -14), (-24, 14), (4, 10)),
    "forked": sharp((4, -9), (-32, -19), (-17, 0), (-32, 19), (4, 9)),
    "pointed": sharp((4, -10), (-18, -12), (-40, 0), (-18, 12), (4, 10)),
}
LEG = sharp((-4, 0), (-4, 15), (-7, 22), (12, 22), (11, 16), (4, 14), (4, 0))
LEG_ROOTS = FIX * np.array([(-6, 28), (10, 28)])


class Shape(NamedTuple):
    """An outline, the part it shows, and the tone it is filled with."""

    part: Part
    points: Points
    tone: int = BASE


def paint_bird(values: Mapping[str, str], draws: Draws) -> Canvas:
    """Return `[112, 112]` inks of a bird in a posture and place of its own, 0 outside it.

    Args:
        values: Group name -> value.
        draws: Where posture and place come from.
    """
    inks = np.zeros((FRAME, FRAME), dtype=np.uint8)
    marked = {
        Part.WING: marks(values["has_wing_pattern"], FRAME, draws),
        Part.BREAST: marks(values["has_breast_pattern"], FRAME, draws),
    }
    for part, points, tone in _place(_posture(values, draws), values["has_size"], draws):
        shape = fill(points, FRAME)
        paint(inks, shape, TONES * part + tone)
        if part in marked:
            inside = shape.inside & marked[part][shape.rows, shape.columns]
            paint(inks, shape._replace(inside=inside), TONES * part + MARK)
    return inks


def bird_palette(values: Mapping[str, str], draws: Draws) -> Palette:
    """Return the colour of each ink of a bird, every part a little off its named colour."""
    colors = {g.part: COLORS[values[g.name]] for g in GROUPS if g.name.endswith("_color")}
    colors[Part.BODY] = BODY_COLORS[draws.below(len(BODY_COLORS))]
    palette = {TONES * Part.EYE + BASE: COLORS["black"], TONES * Part.EYE + GLINT: COLORS["white"]}
    for part, color in colors.items():
        palette[TONES * part + BASE], palette[TONES * part + MARK] = shades(color, draws)
    return palette


def _posture(values: Mapping[str, str], draws: Draws) -> list[Shape]:
    """Return the shapes in painting order: head, tail and legs held by chance."""
    nod = FIX * np.array([draws.between(-2, 2), draws.between(-2, 2)])
    tail = transform(TAILS[values["has_tail_shape"]], rotation(draws.between(-46, -26)))
    feet = [root + FIX * np.array([draws.between(-3, 2), 0]) for root in LEG_ROOTS]
    return [
        Shape(Part.TAIL, tail + TAIL_ROOT),
        *(Shape(Part.LEG, LEG + root) for root in feet),
        Shape(Part.BODY, BODY),
        Shape(Part.BREAST, BREAST),
        Shape(Part.WING, WING),
        Shape(Part.BODY, HEAD + nod),
        Shape(Part.BILL, BILLS[values["has_bill_shape"]] + nod),
        Shape(Part.CROWN, CROWN + nod),
        Shape(Part.EYE, EYE + nod),
        Shape(Part.EYE, GLEAM + nod, GLINT),
    ]


def _place(shapes: list[Shape], size: str, draws: Draws) -> list[Shape]:
    """Scale, tilt, turn left or right, and move to where the whole bird is in the frame."""
    scale = SCALES[size] * draws.between(97, 103) // 100
    matrix = rotation(draws.between(-7, 7), scale)
    if draws.below(2):
        matrix = matrix * np.array([-1, 1])
    points = transform(np.concatenate([shape.points for shape in shapes]), matrix)
    low, high = points.min(axis=0), points.max(axis=0)
    room = [max((FRAME - 2 * MARGIN) * FIX - int(extent), 0) for extent in high - low]
    corner = [MARGIN * FIX + draws.below(free + 1) for free in room]
    ends = np.cumsum([len(shape.points) for shape in shapes])[:-1]
    placed = np.split(points - low + corner, ends)
    return [shape._replace(points=at) for shape, at in zip(shapes, placed, strict=True)]
