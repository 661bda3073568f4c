"""Worlds: seen/unseen problems cut from a dataset, their test labels sealed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.data.attribute_groups import attribute_groups
from zslbench.data.types import ClassSplit, Dataset, Int, SealedLabels, Subset
from zslbench.errors import DataError
from zslbench.method import ClassForm, Method, TrainSet
from zslbench.seeding import generator

HOLD_OUT = 0.2
CUT = 100  # more than a choice has tuning worlds


@dataclass(frozen=True)
class World:
    """A seen/unseen problem over some classes of a dataset, numbered seen first, then unseen.

    Attributes:
        classes: `[C]` the dataset's classes, in the world's order.
        seen: Number of seen classes.
        train: `[n]` items to learn from.
        train_labels: `[n]` in 0..seen-1.
        test: `[m]` items to score, of seen and unseen classes.
    """

    name: str
    dataset: Dataset
    classes: Int
    seen: int
    train: Int
    train_labels: Int
    test: Int
    sealed: SealedLabels

    def attributes(self, form: ClassForm = "l2") -> NDArray[Any]:
        """Return `[C, K]` class attributes; `centred` takes the mean of the seen classes alone.

        `sentences` are what describes the classes: see `Dataset.sentences`.
        """
        if form == "sentences":
            if self.dataset.sentences is None:
                raise ValueError(f"{self.dataset.name} was loaded without class descriptions")
            return self.dataset.sentences[self.classes]
        if form == "raw":
            return self.dataset.classes.raw_attributes[self.classes]
        rows = self.dataset.classes.attributes[self.classes]
        if form == "centred":
            rows = rows - rows[: self.seen].mean(axis=0)
            rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
        return rows

    def open_labels(self, announce: Callable[[], None] = lambda: None) -> Int:
        """Return `[m]` the test items' classes in the world's numbering; see `SealedLabels`."""
        return renumber(self.sealed.open(announce), self.classes)

    def train_set(self, method: type[Method], form: ClassForm = "l2") -> TrainSet:
        """Return what the method may learn from: what it declares to need, and no more."""
        data, rows = self.dataset, self.attributes(form)
        words = data.word_vectors if "word_vectors" in method.needs else None
        unseen = rows[self.seen :] if "unseen_attributes" in method.needs else None
        return TrainSet(
            inputs=Subset(data.inputs, self.train),
            labels=self.train_labels,
            class_attributes=rows[: self.seen],
            word_vectors=words,
            attribute_groups=attribute_groups(data.name, data.classes),
            unseen_attributes=unseen,
            backbone=data.source,
        )


def renumber(labels: Int, classes: Int) -> Int:
    """Return the place of each label among some classes, -1 where it is none of them."""
    position = np.full(max(int(classes.max()), int(labels.max())) + 1, -1, dtype=np.int64)
    position[classes] = np.arange(len(classes))
    return position[labels]


def final_world(dataset: Dataset) -> World:
    """Return the dataset's Proposed Split: learn on trainval, test on the sealed rest."""
    classes, seen = np.concatenate([dataset.seen, dataset.unseen]), len(dataset.seen)
    train, labels = dataset.splits.trainval, renumber(dataset.train_labels, classes)
    test = np.concatenate([dataset.splits.test_seen, dataset.splits.test_unseen])
    return World("final", dataset, classes, seen, train, labels, test, dataset.test_labels)


def tuning_worlds(dataset: Dataset, count: int) -> list[World]:
    """Return `count` worlds inside trainval: official class splits first, then drawn ones.

    Raises:
        DataError: Where there are too few seen classes to set any aside.
    """
    official = dataset.splits.class_splits[:count]
    drawn = [_draw_split(dataset, number) for number in range(1, count - len(official) + 1)]
    return [_tuning_world(dataset, split) for split in (*official, *drawn)]


def fresh_worlds(dataset: Dataset, count: int, cut: int = 1) -> list[World]:
    """Return `count` worlds inside trainval with class splits that no run's choice is made in.

    Args:
        dataset: The data.
        count: How many.
        cut: From 1; worlds of different cuts have nothing in common but the dataset.
    """
    numbers = range(CUT * cut + 1, CUT * cut + 1 + count)
    return [_tuning_world(dataset, _draw_split(dataset, number)) for number in numbers]


def _draw_split(dataset: Dataset, number: int) -> ClassSplit:
    """Draw validation classes in the ratio of the official split, or of the final world."""
    official = dataset.splits.class_splits
    share = len(dataset.unseen) / (len(dataset.seen) + len(dataset.unseen))
    if official:
        sizes = len(official[0].train), len(official[0].validation)
        share = sizes[1] / sum(sizes)
    n = len(dataset.seen)
    held = min(max(2, round(share * n)), n - 2)
    if held < 2:
        raise DataError(
            dataset.name,
            f"has {n} seen classes, too few to set two aside for validation",
            "Tuning needs at least four seen classes.",
        )
    order = generator(0, "class split", number).permutation(dataset.seen)
    return ClassSplit(f"drawn {number}", np.sort(order[held:]), np.sort(order[:held]))


def _tuning_world(dataset: Dataset, split: ClassSplit) -> World:
    """Learn on 80 % of each training class; test on the rest and on the validation classes."""
    rng = generator(0, "hold out", split.name)
    labels, items = dataset.train_labels, dataset.splits.trainval
    held = np.zeros(len(items), dtype=bool)
    for c in split.train:
        members = np.flatnonzero(labels == c)
        size = min(max(1, round(HOLD_OUT * len(members))), len(members) - 1)
        held[rng.permutation(members)[:size]] = True
    train = np.isin(labels, split.train) & ~held
    test = held | np.isin(labels, split.validation)
    classes = np.concatenate([split.train, split.validation])
    learnt, sealed = renumber(labels[train], classes), SealedLabels(labels[test])
    seen = len(split.train)
    return World(split.name, dataset, classes, seen, items[train], learnt, items[test], sealed)
