"""What there is to draw of a test item: its parts, its attributes, what the run took it for."""

from dataclasses import dataclass
from textwrap import fill
from typing import Any, Self

import numpy as np

from zslbench.data.load import DataRequest, find_dataset, is_embedded
from zslbench.data.parts import PartPoints, part_points
from zslbench.data.types import Dataset
from zslbench.method import View
from zslbench.metrics import Int
from zslbench.protocol import World
from zslbench.store import Stored, artifacts
from zslbench.studies.explain.pictures import ItemPicture

ATTRIBUTES = 4
WIDTH = 28  # letters above a picture


@dataclass(frozen=True)
class Told:
    """What a finished run keeps of its test items, in the world's order and numbering.

    Attributes:
        labels: `[m]` true classes, as the run opened them.
        answers: `[m]` what it took them for, at the chosen epoch and gamma.
        seen: Number of seen classes.
        names: Of all classes.
    """

    labels: Int
    answers: Int
    seen: int
    names: tuple[str, ...]

    @classmethod
    def by(cls, run: Stored) -> Self:
        """Read it."""
        result = run.record.rules["validation"]
        summary = artifacts.read_summaries(run.folder)[result.epoch]
        labels, seen = artifacts.read_test(run.folder)
        answers = summary.predictions(result.gamma_raw)
        return cls(labels, answers, seen, artifacts.read_class_names(run.folder))

    def title(self, item: int, place: int) -> str:
        """Return what a test item is and was taken for."""
        label, answer = self.labels[place], self.answers[place]
        side = "seen" if label < self.seen else "unseen"
        name, reply = (self.names[c].replace("_", " ") for c in (label, answer))
        judged = "answered right" if answer == label else f"taken for {reply}"
        lines = (fill(text, WIDTH, max_lines=2) for text in (name, judged))
        return "\n".join([f"item {item}, {side}", *lines])


def pictures_of(
    world: World, places: Int, view: View, told: Told, request: DataRequest
) -> list[ItemPicture]:
    """Return pictures of the test items at some places.

    Args:
        world: The final world.
        places: Where the items stand among the test items.
        view: Where the method looks in them.
        told: What is known of the test items.
        request: What the data were found by.
    """
    items = world.test[places]
    images = world.dataset.inputs[items]
    points = _points(world.dataset, items, images.shape[1], request)
    return [
        ItemPicture(
            told.title(int(item), int(place)),
            images[row],
            view.patches[row],
            None if view.kept is None else view.kept[row],
            points=points[row],
            masks=_masks(world.dataset, int(item)),
            **_attributes(world, int(told.labels[place]), int(item), view, row),
        )
        for row, (place, item) in enumerate(zip(places, items, strict=True))
    ]


def _points(dataset: Dataset, items: Int, size: int, request: DataRequest) -> list[PartPoints]:
    """Return part points of items, none where the dataset has no table of them."""
    found = None
    if not is_embedded(request.name):
        folder = find_dataset(request.name, request.root)
        found = part_points(folder, items, size, len(dataset.classes.names), request.images)
    return found or [{} for _ in items]


def _masks(dataset: Dataset, item: int) -> dict[str, Any]:
    if dataset.parts is None:
        return {}
    return {name: dataset.parts.part_maps[item] == v for v, name in dataset.parts.names.items()}


def _attributes(world: World, label: int, item: int, view: View, row: int) -> dict[str, Any]:
    """Return the attributes to show of an item, where they are seen, and which part bears them."""
    if view.attributes is None:
        return {}
    shown, parts = _telling(world, label, item), world.dataset.parts
    names = world.dataset.classes.attribute_names or [
        f"attribute {k + 1}" for k in range(view.attributes.shape[2])
    ]
    return {
        "attributes": tuple(_plain(names[k]) for k in shown),
        "maps": view.attributes[row][:, shown],
        "bearing": parts and np.concatenate([parts.mask(k, np.array([item])) for k in shown]),
    }


def _plain(name: str) -> str:
    return name.removeprefix("has_").replace("::", ": ").replace("_", " ")


def _telling(world: World, label: int, item: int) -> list[int]:
    """Return the attributes that set an item's class apart most, one of a family.

    Where it is known which attributes an image shows, they are among these.
    """
    table, parts = world.attributes("raw"), world.dataset.parts
    apart = table[label] - table.mean(axis=0)
    if parts is not None:
        apart = np.where([parts.shows(k)[item] for k in range(len(apart))], apart, -np.inf)
    groups = world.dataset.classes.attribute_groups
    families = np.arange(len(apart)) if groups is None else groups
    order = np.argsort(-apart, kind="stable")
    _, firsts = np.unique(families[order], return_index=True)
    return [int(k) for k in order[np.sort(firsts)][:ATTRIBUTES]]
