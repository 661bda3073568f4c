"""Task sequences: the seen classes of a dataset, learnt a few at a time (class-incremental).

B0-IncN gives every task N classes; Bm-IncN begins with m and goes on by N. Where N does not divide
what is left, the last task is smaller. Train images are trainval's, test images those of
`test_seen`: the unseen classes of the Proposed Splits stay unseen here too.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from zslbench.data.types import Dataset, Inputs, Int, Subset
from zslbench.errors import DataError
from zslbench.method.incremental import IncrementalNeed, Task
from zslbench.protocol.worlds import renumber
from zslbench.seeding import generator


def task_sizes(classes: int, base: int, increment: int, name: str = "the dataset") -> list[int]:
    """Return how many classes each task has.

    Args:
        classes: To be learnt in all.
        base: Of the first task; 0: as every other.
        increment: Of every other task.
        name: Of the dataset, for the error.

    Raises:
        DataError: If that is no sequence of at least two tasks.
    """
    first = base or increment
    if increment < 1 or base < 0 or first >= classes:
        raise DataError(
            name,
            f"has {classes} classes to learn, and B{base}-Inc{increment} "
            + ("asks for tasks without classes" if first < classes else "leaves one task"),
            "A sequence has two tasks or more: a base from 0 (no larger first task) and an "
            f"increment from 1, the first task smaller than {classes}, such as --base 0 "
            f"--increment {max(1, classes // 5)}.",
        )
    left = classes - first
    rest = [increment] * (left // increment)
    return [first, *rest, *([left % increment] if left % increment else [])]


@dataclass(frozen=True)
class TaskSequence:
    """A dataset's seen classes in the order of a seed, cut into tasks.

    Attributes:
        order: `[C]` the dataset's classes in the order they are learnt.
        sizes: Classes of each task.
    """

    dataset: Dataset
    order: Int
    sizes: tuple[int, ...]

    @classmethod
    def of(cls, dataset: Dataset, base: int, increment: int, seed: int) -> "TaskSequence":
        """Cut a dataset's seen classes into tasks, in the seed's order.

        Raises:
            DataError: If that is no sequence, or a class has no test image to measure it by.
        """
        untested = np.setdiff1d(dataset.seen, dataset.test_labels.classes)
        if len(untested):
            raise DataError(
                dataset.name,
                f"has no image of {dataset.classes.names[untested[0]]} in test_seen",
                "Every class that is learnt needs one to be tested on: take another split.",
            )
        sizes = task_sizes(len(dataset.seen), base, increment, dataset.name)
        order = generator(seed, "class order").permutation(dataset.seen)
        return cls(dataset, order, tuple(sizes))

    @cached_property
    def known(self) -> tuple[int, ...]:
        """How many classes are known after each task."""
        return tuple(np.cumsum(self.sizes).tolist())

    @cached_property
    def _places(self) -> Int:
        """`[n]` the place in the order of each trainval item's class."""
        return renumber(self.dataset.train_labels, self.order)

    def task(self, number: int, needs: frozenset[IncrementalNeed] = frozenset()) -> Task:
        """Return what a method may see of one task (1-based), with no way to any other's images.

        Args:
            number: Of the task.
            needs: With `old_images`, those of the tasks before it are handed out once more; with
                `descriptions`, those of the classes known by then.
        """
        known = self.known[number - 1]
        old = known - self.sizes[number - 1]
        mine = (self._places < known) & ((self._places >= old) | ("old_images" in needs))
        return Task(
            number=number,
            inputs=Subset(self.dataset.inputs, self.dataset.splits.trainval[mine]),
            labels=self._places[mine],
            old=old,
            known=known,
            descriptions=self._described(known) if "descriptions" in needs else None,
        )

    def _described(self, known: int) -> tuple[tuple[str, ...], ...]:
        if self.dataset.sentences is None:
            raise ValueError("a method that reads descriptions needs some")
        rows = self.dataset.sentences[self.order[:known]].reshape(known, -1).tolist()
        return tuple(tuple(filter(None, row)) for row in rows)

    @property
    def test(self) -> Inputs:
        """The `[m]` items of `test_seen`, of all tasks."""
        return Subset(self.dataset.inputs, self.dataset.splits.test_seen)

    def open_labels(self, announce: Callable[[], None]) -> Int:
        """Return `[m]` the place in the order of each test item's class; see `SealedLabels`."""
        opened = self.dataset.test_labels.open(announce)
        return renumber(opened[: len(self.dataset.splits.test_seen)], self.order)


def said(sizes: Sequence[int], increment: int) -> str:
    """Return in words how the classes are spread over the tasks."""
    words = f"{len(sizes)} tasks of {', '.join(map(str, sizes))} classes"
    if sizes[-1] < increment:
        words += " (the increment does not divide them: the last task is smaller)"
    return words
