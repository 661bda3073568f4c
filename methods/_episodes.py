"""Episodes: steps on some classes with a few images of each, as GEM-ZSL and PSVMA were trained."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from zslbench.method import option
from zslbench.method.trained import TrainedConfig, TrainedMethod
from zslbench.seeding import generator

Sampling = Literal["batches", "2-shot", "3-shot"]


class EpisodicConfig(TrainedConfig):
    """What a method that may be trained by episodes may be set to."""

    sampling: Sampling = option(
        "batches",
        "episode",
        "every image once an epoch, or as many in episodes of classes drawn, 2 or 3 of each",
    )


class EpisodicMethod(TrainedMethod):
    """A trained method whose steps may be episodes of as many images as a batch has."""

    def batches(self, labels: NDArray[np.int64], epoch: int) -> NDArray[np.int64]:
        """Return the items `[steps, B]` of an epoch's steps; in episodes some may come again."""
        if self.config.sampling == "batches":
            return super().batches(labels, epoch)
        chance, shots = generator(self.seed, "order", epoch), int(self.config.sampling[0])
        members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
        ways = min(max(1, self.config.batch_size // shots), len(members))

        def episode() -> NDArray[np.int64]:
            chosen = chance.choice(len(members), ways, replace=False)
            drawn = [
                chance.choice(members[c], shots, replace=len(members[c]) < shots) for c in chosen
            ]
            return np.concatenate(drawn)

        return np.stack([episode() for _ in range(max(1, len(labels) // (ways * shots)))])
