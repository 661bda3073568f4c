"""The incremental method: it learns a task sequence task by task and scores all known classes.

Between tasks an incremental method is rebuilt from its `state`, which is all that it carries: the
size of the state stands beside its accuracy in every table.
"""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from zslbench.data.types import BackboneSource, Inputs
from zslbench.method.base import AnyMethod, Epoch

IncrementalNeed = Literal["images", "descriptions", "old_images"]


@dataclass(frozen=True)
class Task:
    """What an incremental method gets of one task; nothing leads to another task's images.

    Classes are numbered in the order they are learnt.

    Attributes:
        number: From 1.
        inputs: n images, those of earlier tasks among them only with the need `old_images`.
        labels: `[n]`.
        old: Classes known before this task.
        known: Classes known after it.
        descriptions: Of each known class its sentences, with the need `descriptions`.
    """

    number: int
    inputs: Inputs
    labels: NDArray[np.int64]
    old: int
    known: int
    descriptions: tuple[tuple[str, ...], ...] | None = None


class IncrementalMethod(AnyMethod):
    """Learns task by task; its `state` is all that it carries to the next task.

    Attributes:
        needs: What it must be handed beyond a task's labels; `old_images` is marked in every table.
    """

    needs: ClassVar[frozenset[IncrementalNeed]] = frozenset({"images"})

    def __init__(self, config: Any, seed: int, source: BackboneSource) -> None:
        super().__init__(config, seed)
        self.source = source

    @abstractmethod
    def learn(self, task: Task) -> Iterator[Epoch]:
        """Learn a task, yielding at the end of every epoch."""

    @abstractmethod
    def scores(self, batch: NDArray[Any]) -> NDArray[np.floating]:
        """Return `[b, C]` scores of images over the classes known, in the order learnt."""
