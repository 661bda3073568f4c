"""What a method is: it learns a task sequence task by task, and scores all classes it knows.

Between tasks a method is made anew from its `state`, which is all that it carries: how large that
is stands beside its accuracy in every table.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from zslbench.data.types import BackboneSource, Inputs
from zslbench.method import Epoch, Settings

IncrementalNeed = Literal["images", "descriptions", "old_images"]


@dataclass(frozen=True)
class Task:
    """What a method is handed of one task. Nothing here leads to another task's images.

    Classes are numbered in the order they are learnt.

    Attributes:
        number: From 1.
        inputs: n images, those of earlier tasks among them only for who needs `old_images`.
        labels: `[n]`.
        old: Classes known before this task.
        known: Classes known after it.
        descriptions: Of each known class its sentences, for who needs `descriptions`.
    """

    number: int
    inputs: Inputs
    labels: NDArray[np.int64]
    old: int
    known: int
    descriptions: tuple[tuple[str, ...], ...] | None = None


class IncrementalMethod(ABC):
    """Learns task by task.

    Attributes:
        Config: Its config class.
        version: Raised by whoever changes its numbers.
        needs: What it must be handed beyond a task's labels; `old_images` is marked in every table.
        precision: The arithmetic of its training.
    """

    Config: ClassVar[type[Settings]]
    version: ClassVar[int] = 1
    needs: ClassVar[frozenset[IncrementalNeed]] = frozenset({"images"})
    precision: ClassVar[str] = "float32"

    def __init__(self, config: Any, seed: int, source: BackboneSource) -> None:
        self.config = config
        self.seed = seed
        self.source = source

    @classmethod
    def epochs(cls, config: Any) -> int:
        """Return how many epochs `learn` yields for a task."""
        return 1

    @abstractmethod
    def learn(self, task: Task) -> Iterator[Epoch]:
        """Learn a task, yielding at the end of every epoch."""

    @abstractmethod
    def scores(self, batch: NDArray[Any]) -> NDArray[np.floating]:
        """Return `[b, C]` scores of images over the classes known, in the order learnt."""

    @abstractmethod
    def state(self) -> dict[str, NDArray[Any]]:
        """Return all that it carries to the next task, as named arrays."""

    @abstractmethod
    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take back what `state` gave, into a method just made."""
