"""What is behind a bird: a habitat's texture, and clutter in the colours of feathers."""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from zslbench.data.plumage.attributes import COLORS, Rgb
from zslbench.data.plumage.draws import Draws
from zslbench.data.plumage.inks import BASE, FRAME, MARK, TONES, Palette, marks, shades
from zslbench.data.plumage.raster import (
    FIX,
    UNIT,
    Canvas,
    fill,
    rotation,
    rounded,
    sharp,
    transform,
)

Field = NDArray[np.int64]

# From coordinates and noise to a height; 32 of it are one tone. Reeds, ripples, dapple, slope,
# rings, planks.
TEXTURES: tuple[Callable[[Field, Field, Field], Field], ...] = (
    lambda x, y, noise: 14 * x + noise // 2,
    lambda x, y, noise: 14 * y + noise // 2,
    lambda x, y, noise: 2 * noise,
    lambda x, y, noise: 8 * (x + y) + noise // 2,
    lambda x, y, noise: ((x - FRAME) ** 2 + (y - FRAME) ** 2) // 8 + noise // 2,
    lambda x, y, noise: 32 * ((y + noise // 32) // 9 + (x + 17 * (y // 9)) // 31),
)
TINTS: tuple[Rgb, ...] = (
    (160, 192, 214),
    (126, 140, 92),
    (206, 184, 144),
    (118, 98, 84),
    (122, 132, 142),
    (170, 142, 160),
)
HABITATS = len(TEXTURES) * len(TINTS)
HABITAT_INK, CLUTTER_INK = 16 * TONES, 17 * TONES
LATTICE, CELL = 16, 10
CLUTTER_COLORS = 4 * tuple(COLORS.values())
ANY_THINGS = tuple(range(CLUTTER_INK, CLUTTER_INK + TONES * len(CLUTTER_COLORS), TONES))
CLUTTER_PATTERNS = ("solid", "solid", "striped", "spotted")
# Outlines around the origin, 16 pixels from it at most (twigs 20).
OBJECTS = (
    rounded((-16, 0), (-6, -7), (6, -7), (16, 0), (6, 7), (-6, 7)),
    rounded((-13, -4), (-6, -13), (6, -10), (13, -4), (12, 8), (0, 12), (-9, 9)),
    rounded((-9, -9), (9, -9), (9, 9), (-9, 9)),
    sharp((-20, -2), (20, -3), (20, 2), (-20, 3)),
    sharp((-9, -7), (15, 0), (-9, 7)),
)
ANGLES = 32
LENGTHS = (9, 12, 16, 21)
REACH = 27


class Place(NamedTuple):
    """Where a bird is.

    Attributes:
        habitat: Which texture and tint is behind it.
        things: The inks of the objects around it.
    """

    habitat: int
    things: tuple[int, ...] = ANY_THINGS


def home(habitat: int) -> Place:
    """Return where a class is at home: a habitat whose things have two of the feather colours."""
    colors = divmod(habitat, len(TINTS))
    things = (ink for number, ink in enumerate(ANY_THINGS) if number % len(COLORS) in colors)
    return Place(habitat, tuple(things))


def paint_habitat(habitat: int, draws: Draws) -> Canvas:
    """Return `[112, 112]` inks of a habitat's texture, its phase and warp drawn."""
    noise = _noise(draws)
    y, x = np.indices((FRAME, FRAME))
    field = TEXTURES[habitat // len(TINTS)](x + draws.below(FRAME), y + draws.below(FRAME), noise)
    inks: Canvas = (HABITAT_INK + field // 32 % TONES).astype(np.uint8)
    return inks


def habitat_palette(habitat: int) -> Palette:
    """Return the colours of a habitat's inks: four tones of its tint."""
    red, green, blue = TINTS[habitat % len(TINTS)]
    parts = range(13, 13 + TONES)
    return {
        HABITAT_INK + tone: (red * part // 16, green * part // 16, blue * part // 16)
        for tone, part in enumerate(parts)
    }


def _noise(draws: Draws) -> Field:
    """Return `[112, 112]` smooth noise in 0..255: a coarse lattice, interpolated."""
    lattice = draws.bytes(LATTICE, LATTICE)
    cell, part = np.divmod(np.arange(FRAME), CELL)
    rows = lattice[cell] * (CELL - part)[:, None] + lattice[cell + 1] * part[:, None]
    both: Field = rows[:, cell] * (CELL - part) + rows[:, cell + 1] * part
    return both // CELL**2


def add_clutter(
    inks: Canvas, area: NDArray[np.bool_], percent: int, things: tuple[int, ...], draws: Draws
) -> Canvas:
    """Return the inks with objects painted over `percent` of an area.

    Every object is centred where the area shows none yet; it may reach out of it, and the last one
    may cover more than was asked for.

    Args:
        inks: `[112, 112]`, what is there.
        area: `[112, 112]`, what is to be covered.
        percent: 0..100.
        things: The inks of the objects.
        draws: Where objects and places come from.
    """
    canvas, free = np.pad(inks, REACH), np.pad(area, REACH)
    left = size = int(np.count_nonzero(free))
    while 100 * left > (100 - percent) * size:
        spot = int(np.flatnonzero(free)[draws.below(left)])
        row, column = divmod(spot - REACH * (len(free) + 1), len(free))
        window = np.s_[row : row + 2 * REACH + 1, column : column + 2 * REACH + 1]
        _paint_object(canvas[window], free[window], things, draws)
        left = int(np.count_nonzero(free))
    return canvas[REACH:-REACH, REACH:-REACH]


def _paint_object(
    canvas: Canvas, free: NDArray[np.bool_], things: tuple[int, ...], draws: Draws
) -> None:
    stamp = _stamp(*(draws.below(count) for count in (len(OBJECTS), ANGLES, len(LENGTHS))))
    ink = things[draws.below(len(things))]
    pattern = CLUTTER_PATTERNS[draws.below(len(CLUTTER_PATTERNS))]
    canvas[stamp] = ink + BASE
    canvas[stamp & marks(pattern, len(stamp), draws)] = ink + MARK
    free[stamp] = False


def clutter_palette(draws: Draws) -> Palette:
    """Return the colours of clutter: every feather colour in some shades, with marks."""
    palette: Palette = {}
    for number, color in enumerate(CLUTTER_COLORS):
        ink = CLUTTER_INK + TONES * number
        palette[ink + BASE], palette[ink + MARK] = shades(color, draws)
    return palette


@cache
def _stamp(kind: int, angle: int, length: int) -> NDArray[np.bool_]:
    """Return an object's pixels `[2 * REACH + 1, 2 * REACH + 1]`, the middle one among them."""
    matrix = rotation(256 // ANGLES * angle, LENGTHS[length] * UNIT // 16)
    points = transform(OBJECTS[kind], matrix) + REACH * FIX + FIX // 2
    stamp = np.zeros((2 * REACH + 1, 2 * REACH + 1), dtype=bool)
    shape = fill(points, len(stamp))
    stamp[shape.rows, shape.columns] = shape.inside
    return stamp
