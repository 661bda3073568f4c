"""Nearest class mean on the frozen backbone's features (SimpleCIL: Zhou et al., IJCV 2025).

| point | SimpleCIL | here |
|---|---|---|
| classifier | class means as weights, cosine | the same; means of features of length 1 |
| backbone | frozen | frozen, its pooled token |
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.method import Epoch, Settings
from zslbench.method.incremental import Task

from ._frozen import OnFrozen

Rows = NDArray[np.float32]


class NearestMean(OnFrozen):
    """Scores are cosines with the mean feature of each class."""

    class Config(Settings):
        """It has no settings."""

    learnt = ("means",)
    means: Rows

    def learn(self, task: Task) -> Iterator[Epoch]:
        """Add the mean of each new class."""
        features = unit(self.frozen(task.inputs))
        new = range(task.old, task.known)
        found = np.stack([features[task.labels == c].mean(axis=0) for c in new])
        self.means = np.concatenate([self.means, found]) if task.old else found
        yield Epoch(1)

    def scores(self, batch: NDArray[Any]) -> Rows:
        """Return cosines with the class means."""
        return unit(self.frozen(batch)) @ unit(self.state()["means"]).T


def unit(rows: Rows) -> Rows:
    """Return rows of length 1."""
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12))
