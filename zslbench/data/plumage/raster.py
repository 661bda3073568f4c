"""Shapes on a grid of pixels, in integers only: PIL's polygons changed between releases.

Points are `[n, 2]` int64 (x, y) in sixteenths of a pixel, y downwards; angles are in 1/256 of a
turn, from x towards y.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.int64]
Canvas = NDArray[np.uint8]

FIX = 16
TURN = 256
UNIT = 1024
_QUARTER = (0, 100, 200, 297, 392, 483, 569, 650, 724, 792, 851, 903, 946, 980, 1004, 1019, 1024)


class Fill(NamedTuple):
    """The pixels of a shape: a window of the canvas, and which of its pixels are inside."""

    rows: slice
    columns: slice
    inside: NDArray[np.bool_]


def sine(angle: int) -> int:
    """Return 1024 times the sine, from a table of 64 angles, linear in between."""
    half, rest = divmod(angle % TURN, TURN // 2)
    step, part = divmod(min(rest, TURN // 2 - rest), 4)
    after = _QUARTER[min(step + 1, 16)]
    value = (_QUARTER[step] * (4 - part) + after * part) // 4
    return -value if half else value


def rotation(angle: int, scale: int = UNIT) -> Points:
    """Return the matrix that turns rows of points by `angle` and scales them by `scale` / 1024."""
    s, c = (sine(a) * scale // UNIT for a in (angle, angle + TURN // 4))
    return np.array([[c, s], [-s, c]])


def transform(points: Points, matrix: Points) -> Points:
    """Return the points times a matrix in 1/1024."""
    moved: Points = (points @ matrix) // UNIT
    return moved


def sharp(*corners: tuple[int, int]) -> Points:
    """Return the polygon of corners given in whole pixels."""
    return FIX * np.array(corners)


def rounded(*corners: tuple[int, int]) -> Points:
    """Return the same with its corners cut twice (Chaikin), so that it looks curved."""
    points = sharp(*corners)
    for _ in range(2):
        after = np.roll(points, -1, axis=0)
        points = np.stack([3 * points + after, points + 3 * after], axis=1).reshape(-1, 2) // 4
    return points


def fill(points: Points, side: int) -> Fill:
    """Return the pixels of a `side` x `side` canvas whose centres are inside a polygon (even-odd).

    Every crossing of an edge with a row of pixel centres toggles the rest of the row.
    """
    low, high = points.min(axis=0) // FIX, points.max(axis=0) // FIX + 1
    left, top = (min(max(int(v), 0), side) for v in low)
    right, bottom = (min(max(int(v), 0), side) for v in high)
    height, width = bottom - top, right - left
    centres = (np.arange(top, bottom) * FIX + FIX // 2)[:, None]
    above = points[:, 1] <= centres
    rows, edges = np.nonzero(above != np.concatenate([above[:, 1:], above[:, :1]], axis=1))
    start = points[edges]
    dx, dy = (points[(edges + 1) % len(points)] - start).T
    run = (centres[rows, 0] - start[:, 1]) * dx * np.sign(dy)
    dy = np.abs(dy)
    first = -(((FIX // 2 - start[:, 0]) * dy - run) // (FIX * dy)) - left
    toggles = rows * (width + 1) + np.clip(first, 0, width)
    counts = np.bincount(toggles, minlength=height * (width + 1)).astype(np.uint8)
    parity = np.cumsum(counts.reshape(height, width + 1), axis=1, dtype=np.uint8)[:, :width] & 1
    return Fill(slice(top, bottom), slice(left, right), parity.astype(bool))


def paint(canvas: Canvas, shape: Fill, ink: int) -> None:
    """Put an ink on the pixels of a shape."""
    canvas[shape.rows, shape.columns][shape.inside] = ink
