"""Plumage as a dataset: class table, splits, sealed labels; and which pixel shows what."""

from pathlib import Path

import numpy as np

from zslbench.data.plumage.attributes import (
    ATTRIBUTE_GROUP,
    ATTRIBUTE_NAMES,
    ATTRIBUTE_PART,
    ATTRIBUTE_VALUE,
    PART_NAMES,
)
from zslbench.data.plumage.classes import BirdClass, describe, draw_classes
from zslbench.data.plumage.config import PlumageConfig
from zslbench.data.plumage.drawing import drawn, held_out
from zslbench.data.types import (
    NO_BACKBONE,
    ClassTable,
    Dataset,
    OnProgress,
    PartTruth,
    Splits,
    assembled,
    no_progress,
)


def load_plumage(
    config: PlumageConfig, cache: Path, on_progress: OnProgress = no_progress
) -> Dataset:
    """Draw a config's images, or find them in the cache, and make a dataset of them.

    Args:
        config: What to draw.
        cache: The folder where drawn images are kept; `default_cache_dir()` is the usual place.
        on_progress: Called with (done, total) while images are drawn.

    Raises:
        DataError: If the cache cannot be written or a drawing process was killed.
    """
    birds = draw_classes(config.classes, config.streams, reserved=config.pretraining)
    images = drawn(config, birds, cache, on_progress)
    labels = np.repeat(np.arange(config.classes), config.images_per_class)
    kinds = ATTRIBUTE_PART, ATTRIBUTE_GROUP, ATTRIBUTE_VALUE
    parts = PartTruth(images.parts, PART_NAMES, images.sampled, *kinds)
    return assembled(
        "plumage", _class_table(birds), _splits(config), labels, images.pixels,
        inputs=images.pixels, backbone=NO_BACKBONE, parts=parts,
    )  # fmt: skip


def _class_table(birds: list[BirdClass]) -> ClassTable:
    raw = np.stack([bird.percentages for bird in birds]).astype(np.float64)
    return ClassTable(
        names=tuple(_name(number, bird) for number, bird in enumerate(birds, start=1)),
        attributes=raw / np.linalg.norm(raw, axis=1, keepdims=True),
        raw_attributes=raw,
        attribute_names=ATTRIBUTE_NAMES,
    )


def _name(number: int, bird: BirdClass) -> str:
    """Return a name in the manner of CUB's."""
    crown, wing, breast, *_ = describe(bird.dominant).values()
    return f"{number:03}.{crown.title()}_crowned_{wing.title()}_wing_{breast.title()}_breast"


def _splits(config: PlumageConfig) -> Splits:
    """Return PS-like splits: a fifth of each seen class's images is held out for `test_seen`."""
    each = config.images_per_class
    held, kept = [], []
    for label in range(config.unseen, config.classes):
        out = np.isin(np.arange(each), list(held_out(config, label)))
        held.append(label * each + np.flatnonzero(out))
        kept.append(label * each + np.flatnonzero(~out))
    unseen = np.arange(config.unseen * each)
    return Splits(np.concatenate(kept), np.concatenate(held), unseen)
