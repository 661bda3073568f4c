"""How a run along a task sequence went: accuracy after each task, average, last, forgetting.

Accuracies are means over classes of the share of their test images that is right. Pure numpy.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from zslbench.metrics import Bool, Float, Int, Outcome

IncrementalMetric = Literal["average", "last", "forgetting"]
INCREMENTAL_METRICS: tuple[IncrementalMetric, ...] = ("average", "last", "forgetting")


@dataclass(frozen=True)
class TaskPredictions:
    """What a run predicted after each task, met with the truth.

    Attributes:
        predicted: `[T, m]` after each task, the class predicted for each test image, in the order
            that the classes were learnt in; images of classes yet to come were scored too, and
            count for nothing.
        labels: `[m]` true classes, likewise.
        known: Classes known after each task.
    """

    predicted: Int
    labels: Int
    known: Sequence[int]

    @cached_property
    def hits(self) -> Bool:
        """`[T, m]` which answers are right."""
        return np.asarray(self.predicted == self.labels)

    @cached_property
    def _by_class(self) -> Float:
        """`[T, C]` accuracy on each class in percent, also on those yet to come (0)."""
        counts = np.bincount(self.labels, minlength=self.known[-1])
        right = [np.bincount(self.labels, weights=h, minlength=len(counts)) for h in self.hits]
        return 100 * np.stack(right) / counts

    @cached_property
    def accuracy(self) -> Float:
        """`[T]` after each task, over all classes known."""
        return np.array([row[:k].mean() for row, k in zip(self._by_class, self.known, strict=True)])

    @cached_property
    def tasks(self) -> Float:
        """`[T, T]` after each task (row), of each task (column); 0 for those yet to come."""
        firsts = [0, *self.known[:-1]]
        parts = [
            self._by_class[:, a:b].mean(axis=1) for a, b in zip(firsts, self.known, strict=True)
        ]
        return np.stack(parts, axis=1)

    @cached_property
    def _best(self) -> Int:
        """`[T - 1]` after which task, before the last, each task but the last was known best."""
        return np.array([j + self.tasks[j:-1, j].argmax() for j in range(len(self.known) - 1)])

    @property
    def average(self) -> float:
        """Mean of the accuracies after each task."""
        return float(self.accuracy.mean())

    @property
    def last(self) -> float:
        """Accuracy after the last task."""
        return float(self.accuracy[-1])

    @property
    def forgetting(self) -> float:
        """Mean loss, over all tasks but the last, from the best accuracy to that at the end."""
        columns = np.arange(len(self.known) - 1)
        return float((self.tasks[self._best, columns] - self.tasks[-1, :-1]).mean())

    def after(self, number: int) -> Float:
        """Return the placements `[m]` of the accuracy after a task (from 0); see `zslbench.stats`.

        Their mean, each image weighing one over its class's images and the classes, is it.
        """
        known = self.known[number]
        right = 100.0 * self.hits[number] * (self.labels < known)
        return np.asarray(right * self.known[-1] / known)

    def placements(self, metric: IncrementalMetric) -> Float:
        """Return a metric's placements `[m]`; of forgetting, given where each best was."""
        if metric == "last":
            return self.after(len(self.known) - 1)
        if metric == "average":
            return np.asarray(np.mean([self.after(i) for i in range(len(self.known))], axis=0))
        return self._forgotten()

    def _forgotten(self) -> Float:
        task = np.searchsorted(self.known, self.labels, side="right")
        old = task < len(self.known) - 1
        sizes = np.diff([0, *self.known])
        items = np.flatnonzero(old)
        lost = self.hits[self._best[task[old]], items] - 1.0 * self.hits[-1, items]
        placed = np.zeros(len(self.labels))
        placed[old] = 100 * lost * self.known[-1] / sizes[task[old]] / (len(self.known) - 1)
        return placed


def outcome_of(labels: Int) -> Outcome:
    """Return what intervals need of test images that are all of one side, whatever was answered."""
    nothing = np.zeros(len(labels), dtype=bool)
    return Outcome(labels, 0, nothing, nothing, np.zeros(len(labels)))
