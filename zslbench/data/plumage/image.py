"""One image of a bird: painted on a canvas of inks, then lit; and the part each pixel shows."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from zslbench.data.plumage.attributes import Part
from zslbench.data.plumage.bird import bird_palette, paint_bird
from zslbench.data.plumage.draws import Draws, Streams
from zslbench.data.plumage.inks import FRAME, TONES, Palette
from zslbench.data.plumage.raster import Canvas
from zslbench.data.plumage.scene import (
    HABITAT_INK,
    Place,
    add_clutter,
    clutter_palette,
    habitat_palette,
    paint_habitat,
)

RgbImage = NDArray[np.uint8]
GRAIN = 8


class Picture(NamedTuple):
    """An image.

    Attributes:
        pixels: `[size, size, 3]`.
        parts: `[size, size]`, the `Part` each pixel shows.
    """

    pixels: RgbImage
    parts: NDArray[np.uint8]


def draw_picture(
    values: Mapping[str, str], place: Place, clutter: int, size: int, streams: Streams
) -> Picture:
    """Draw a bird in its place; every purpose has a stream of its own, so no knob moves another.

    Args:
        values: Group name -> value.
        place: Where the bird is.
        clutter: Percent of the frame outside the bird that objects cover; above 50 they lie in
            front of the bird too, and cover a quarter of the excess of it.
        size: 112, or 56 for the same picture at half the resolution.
        streams: The image's own.
    """
    inks = paint_bird(values, streams.draws("posture"))
    bird = inks > 0
    behind = paint_habitat(place.habitat, streams.draws("habitat"))
    behind = add_clutter(behind, ~bird, clutter, place.things, streams.draws("clutter"))
    inks = np.where(bird, inks, behind)
    hidden = max(clutter - 50, 0) // 4
    inks = add_clutter(inks, bird, hidden, place.things, streams.draws("in front"))
    shown = inks < HABITAT_INK
    shades = streams.draws("shades")
    palette = bird_palette(values, shades) | habitat_palette(place.habitat)
    palette |= clutter_palette(shades)
    step = FRAME // size
    colors = _halve(_outlined(inks, palette)) if step == 2 else _outlined(inks, palette)
    parts = np.where(shown, inks // TONES, Part.NONE)[step - 1 :: step, step - 1 :: step]
    return Picture(_lit(colors, streams.draws("light")), parts.astype(np.uint8))


def _outlined(inks: Canvas, palette: Palette) -> NDArray[np.uint16]:
    """Return `[112, 112, 3]` colours, darker where another object begins to the right or below."""
    table = np.zeros((256, 3), dtype=np.uint16)
    table[list(palette)] = list(palette.values())
    objects = inks // TONES
    edge = np.zeros(inks.shape, dtype=bool)
    edge[:-1] = objects[:-1] != objects[1:]
    edge[:, :-1] |= objects[:, :-1] != objects[:, 1:]
    colors: NDArray[np.uint16] = table[inks]
    colors[edge] = colors[edge] * 9 // 16
    return colors


def _halve(colors: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Return the means of 2 x 2 pixels, rounded to nearest."""
    rows = colors[::2] + colors[1::2]
    return (rows[:, ::2] + rows[:, 1::2] + 2) // 4


def _lit(colors: NDArray[np.uint16], draws: Draws) -> RgbImage:
    """Return the colours under a tinted light that falls off across the frame, with grain."""
    side = len(colors)
    tint = np.array([draws.between(-10, 10) for _ in range(3)]) + draws.between(220, 300)
    across, down = (draws.between(-40, 40) * (np.arange(side) * 2 - side) // side for _ in "xy")
    light = (across + down[:, None])[:, :, None] + tint
    grain = draws.bytes(side, side) % (2 * GRAIN) - GRAIN
    lit = (colors * light >> 8) + grain[:, :, None]
    pixels: RgbImage = np.clip(lit, 0, 255).astype(np.uint8)
    return pixels
