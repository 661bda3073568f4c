"""Where the parts are in photos, as points: from `parts.csv` in a dataset's folder."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from zslbench.data.formats.xlsa17 import locate_images, read_items
from zslbench.data.texts import find_text, read_table, refuse_twice
from zslbench.data.types import Int
from zslbench.errors import DataError

FILE = "parts.csv"

PartPoints = dict[str, tuple[float, float]]


def part_points(
    folder: Path, items: Int, size: int, classes: int, images: Path | None = None
) -> list[PartPoints] | None:
    """Return the visible parts of some items, in pixels of their decoded images; None if unknown.

    Args:
        folder: The dataset's. Its `parts.csv` has the columns image_file, part, x, y, one line for
            each visible part, in pixels of the image files.
        items: Numbers of the items.
        size: Side of the decoded images (the centre of the image, its shorter side scaled to this).
        classes: How many the dataset has.
        images: Folder of the images, where it is not the dataset's own.

    Raises:
        DataError: If the table cannot be read, or an image is not there.
    """
    if (file := find_text(folder, FILE)) is None:
        return None
    names = read_items(folder, None, classes).files
    chosen = [names[item] for item in items.tolist()]
    paths = locate_images(chosen, images or folder)
    table = _read(file, names)
    return [_decoded(table[name], path, size) for name, path in zip(chosen, paths, strict=True)]


def _read(path: Path, images: Sequence[str]) -> dict[str, PartPoints]:
    fix = "Fix it, or remove it to draw no parts."
    (names, parts), places = read_table(path, ["image_file", "part"], ["x", "y"], fix)
    said = dict(enumerate(map(" of ".join, zip(parts, names, strict=True)), start=1))
    refuse_twice(path, "part", said, "rows")
    found: dict[str, PartPoints] = {name: {} for name in images}
    for name, part, (x, y) in zip(names, parts, places.tolist(), strict=True):
        if name in found and np.isfinite([x, y]).all():
            found[name][part] = (x, y)
    if names and found.keys().isdisjoint(names):
        message = f"names {names[0]}, and none of the dataset's images such as {images[0]}"
        raise DataError(path, message, "Name the images as the dataset does.")
    return found


def _decoded(points: PartPoints, path: Path, size: int) -> PartPoints:
    """Return the points where `decode_image` puts them; those that are cut away are left out."""
    from PIL import Image

    with Image.open(path) as image:
        width, height = image.size
    shorter = min(width, height)
    scaled = int(size * width / shorter), int(size * height / shorter)
    left, top = (round((side - size) / 2) for side in scaled)
    moved = {
        part: (x * scaled[0] / width - left, y * scaled[1] / height - top)
        for part, (x, y) in points.items()
    }
    return {p: (x, y) for p, (x, y) in moved.items() if 0 <= x < size and 0 <= y < size}
