"""Where birds and their parts are in photos: `parts.csv` and `boxes.csv` in a dataset's folder.

All places are those of the decoded image: the shorter side scaled to its size, the centre cropped.
Papers' code scales to 8/7 of that (256 px) before it crops (224 px), so that its birds are larger
and more of them is cut away.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from zslbench.data.formats.items import locate_images, read_items
from zslbench.data.texts import find_text, read_table, refuse_twice
from zslbench.data.types import BirdTruth, Float, Int
from zslbench.errors import DataError

FILE, BOXES = "parts.csv", "boxes.csv"
BOX = ["x", "y", "width", "height"]

Spot = tuple[float, float]
PartPoints = dict[str, Spot]


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
    listed = read_items(folder, None, classes).files
    table = _read(file, listed)
    return _placed(table, *_photos(listed, items, size, images or folder), size)


def bird_truth(
    folder: Path, items: Int, size: int, classes: int, images: Path | None = None
) -> BirdTruth | None:
    """Return where birds and their parts are in some photos; None where a table is missing.

    Args:
        folder: The dataset's. Beside `parts.csv`, its `boxes.csv` has the columns image_file, x, y,
            width, height, one line for each photo.
        items: As of `part_points`, and so is what follows.
        size: Side of the decoded images.
        classes: How many the dataset has.
        images: Folder of the images, where it is not the dataset's own.

    Raises:
        DataError: If a table cannot be read, or lacks a photo, or an image is not there.
    """
    parts, box = find_text(folder, FILE), find_text(folder, BOXES)
    if parts is None or box is None:
        return None
    listed = read_items(folder, None, classes).files
    table = _read(parts, listed)
    photos, moves = _photos(listed, items, size, images or folder)
    found, boxes = _placed(table, photos, moves, size), _read_boxes(box, photos)
    names = tuple(sorted({name for points in found for name in points}))
    hidden = np.nan, np.nan
    points = np.array([[each.get(name, hidden) for name in names] for each in found])
    edges = [
        (*move((x, y)), *move((x + width, y + height)))
        for (x, y, width, height), move in zip(boxes.tolist(), moves, strict=True)
    ]
    return BirdTruth(names, points.reshape(len(items), -1, 2), np.array(edges), size)


def _photos(
    listed: Sequence[str], items: Int, size: int, root: Path
) -> tuple[list[str], list[Callable[[Spot], Spot]]]:
    """Return the file names of items, and what moves a point of a file into its decoded image."""
    names = [listed[item] for item in items.tolist()]
    return names, [_move(path, size) for path in locate_images(names, root)]


def _placed(
    table: Mapping[str, PartPoints],
    names: Sequence[str],
    moves: Sequence[Callable[[Spot], Spot]],
    size: int,
) -> list[PartPoints]:
    return [_inside(table[name], move, size) for name, move in zip(names, moves, strict=True)]


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


def _read_boxes(path: Path, wanted: Sequence[str]) -> Float:
    """Return `[n, 4]`: x, y, width and height of the bird in some photos."""
    fix = "Fix it, or remove it to score no parts."
    (names,), numbers = read_table(path, ["image_file"], BOX, fix)
    refuse_twice(path, "box", dict(enumerate(map("of {}".format, names), start=1)), "rows")
    rows = dict(zip(names, numbers, strict=True))
    for name in wanted:
        box = rows.get(name)
        if box is None or not np.isfinite(box).all() or box[2:].min() <= 0:
            shown = "no box" if box is None else "the box " + ", ".join(f"{v:g}" for v in box)
            raise DataError(path, f"has {shown} for {name}", fix)
    return np.array([rows[name] for name in wanted])


def _move(path: Path, size: int) -> Callable[[Spot], Spot]:
    """Return the way of a point into the image that `decode_image` makes of a file."""
    from PIL import Image

    with Image.open(path) as image:
        width, height = image.size
    shorter = min(width, height)
    scaled = int(size * width / shorter), int(size * height / shorter)
    left, top = (round((side - size) / 2) for side in scaled)
    return lambda at: (at[0] * scaled[0] / width - left, at[1] * scaled[1] / height - top)


def _inside(points: PartPoints, move: Callable[[Spot], Spot], size: int) -> PartPoints:
    """Return points where they are in the decoded image, without those that are cut away."""
    moved = {part: move(at) for part, at in points.items()}
    return {p: (x, y) for p, (x, y) in moved.items() if 0 <= x < size and 0 <= y < size}
