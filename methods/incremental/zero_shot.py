"""Zero-shot CLIP along a task sequence: cosines with the classes' descriptions; nothing is learnt.

| point | CLIP (Radford et al., ICML 2021), as C3Box runs it | here |
|---|---|---|
| text | an ensemble of templates around the name | `template` around each description |
| classifier | sentences of length 1, averaged, of length 1 again | the same |
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from zslbench.method import Epoch, Settings
from zslbench.method.incremental import Task
from zslbench.nn.sentences import TEMPLATE, unit

from ._described import heads
from ._frozen import OnFrozen


class ZeroShot(OnFrozen):
    """Scores are cosines of the pooled image with each class's mean sentence."""

    class Config(Settings):
        """Config of zero-shot CLIP."""

        template: str = TEMPLATE

    version = 2
    needs = frozenset({"images", "descriptions"})
    learnt = ("heads",)
    heads: NDArray[np.float32]

    def learn(self, task: Task) -> Iterator[Epoch]:
        """Read the descriptions of the classes known."""
        assert task.descriptions is not None
        found = heads(self.frozen.network, task.descriptions, self.config.template)
        self.heads = found.cpu().numpy()
        yield Epoch(1)

    def scores(self, batch: NDArray[Any]) -> NDArray[np.floating]:
        """Return cosines with the descriptions."""
        pooled, classes = map(torch.from_numpy, (self.frozen(batch), self.state()["heads"]))
        return np.asarray(unit(pooled) @ classes.T)
