"""All images of a config, drawn in parallel processes once and kept on disk."""

import shutil
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from zslbench.data.cache import in_processes, reporting
from zslbench.data.plumage.attributes import GROUPS
from zslbench.data.plumage.classes import AttributeValues, BirdClass, describe, draw_values
from zslbench.data.plumage.config import DRAWING_VERSION, PlumageConfig
from zslbench.data.plumage.image import Picture, draw_picture
from zslbench.data.plumage.scene import HABITATS, Place, home
from zslbench.data.types import OnProgress, content_digest

CHUNK = 64
DIGEST_FILE = "digest.txt"


class Drawn(NamedTuple):
    """Images in item order: all of class 0, then all of class 1, and so on.

    Attributes:
        pixels: `[n, S, S, 3]`.
        parts: `[n, S, S]`, the `Part` each pixel shows.
        sampled: `[n, G]`, the index of the value each image shows of each group.
    """

    pixels: NDArray[np.uint8]
    parts: NDArray[np.uint8]
    sampled: NDArray[np.uint8]


def draw_image(
    config: PlumageConfig, bird: BirdClass, label: int, number: int
) -> tuple[Picture, AttributeValues]:
    """Draw one image of a class; it depends on no other class and no other image.

    Args:
        config: How to draw.
        bird: The class.
        label: The class's number; the first `config.unseen` classes are the unseen ones.
        number: Which of the class's images.
    """
    streams = config.streams.of(label, number)
    values = draw_values(bird.percentages, streams.draws("values"))
    place = choose_place(config, bird, label, number)
    return draw_picture(describe(values), place, config.clutter, config.size, streams), values


def choose_place(config: PlumageConfig, bird: BirdClass, label: int, number: int) -> Place:
    """Return the class's home for `config.spurious` of a hundred images to train on."""
    draws = config.streams.of(label, number).draws("where")
    at_home, elsewhere = draws.below(100) < config.spurious, draws.below(HABITATS)
    if at_home and label >= config.unseen and number not in held_out(config, label):
        return home(bird.habitat)
    return Place(elsewhere)


def held_out(config: PlumageConfig, label: int) -> set[int]:
    """Return which images of a seen class are held out of training: a fifth of them."""
    order = config.streams.draws("test_seen", label).order(config.images_per_class)
    return set(order[: config.images_per_class // 5].tolist())


def drawn(
    config: PlumageConfig, classes: Sequence[BirdClass], cache: Path, on_progress: OnProgress
) -> Drawn:
    """Return all images of a config, from the cache if they were drawn before.

    Args:
        config: How to draw.
        classes: The config's classes.
        cache: The folder where drawn images are kept.
        on_progress: Called with (done, total) after every few images drawn.

    Raises:
        DataError: If the cache cannot be written or a drawing process was killed.
    """
    from filelock import FileLock

    entry = cache / f"plumage-{content_digest(DRAWING_VERSION, asdict(config))}"
    with reporting(cache):
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(entry.with_suffix(".lock")):
            found = _read(entry, config)
            if found is None:
                part = entry.with_suffix(".part")
                shutil.rmtree(part, ignore_errors=True)
                _draw_all(part, config, classes, on_progress)
                shutil.rmtree(entry, ignore_errors=True)
                part.rename(entry)
                found = _map(entry)
    return found


def _map(entry: Path) -> Drawn:
    files = (entry / f"{name}.npy" for name in Drawn._fields)
    arrays = (np.lib.format.open_memmap(file, mode="r") for file in files)
    return Drawn(*(array.view(np.ndarray) for array in arrays))


def _read(entry: Path, config: PlumageConfig) -> Drawn | None:
    """Return what an entry holds; None where it is missing, or not what was written."""
    try:
        found, digest = _map(entry), (entry / DIGEST_FILE).read_text()
    except (OSError, ValueError):
        return None
    whole = [array.shape for array in found] == _shapes(config)
    return found if whole and digest == content_digest(*found) else None


def _shapes(config: PlumageConfig) -> list[tuple[int, ...]]:
    count, side = config.classes * config.images_per_class, config.size
    return [(count, side, side, 3), (count, side, side), (count, len(GROUPS))]


def _draw_all(
    entry: Path, config: PlumageConfig, classes: Sequence[BirdClass], on_progress: OnProgress
) -> None:
    """Draw everything into a new folder."""
    entry.mkdir()
    arrays = [
        np.lib.format.open_memmap(entry / f"{name}.npy", "w+", np.uint8, shape)
        for name, shape in zip(Drawn._fields, _shapes(config), strict=True)
    ]
    total = len(arrays[0])
    draw = partial(_draw_chunk, config, classes, total)
    for start, chunk in in_processes(draw, range(0, total, CHUNK)):
        stop = start + len(chunk.pixels)
        for array, part in zip(arrays, chunk, strict=True):
            array[start:stop] = part
        on_progress(stop, total)
    for array in arrays:
        array.flush()
    (entry / DIGEST_FILE).write_text(content_digest(*arrays))


def _draw_chunk(
    config: PlumageConfig, classes: Sequence[BirdClass], total: int, start: int
) -> Drawn:
    items = (divmod(i, config.images_per_class) for i in range(start, min(start + CHUNK, total)))
    images = [draw_image(config, classes[label], label, number) for label, number in items]
    return Drawn(
        np.stack([picture.pixels for picture, _ in images]),
        np.stack([picture.parts for picture, _ in images]),
        np.array([values for _, values in images], dtype=np.uint8),
    )
