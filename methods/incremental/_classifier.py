"""A backbone with a row of weights for each class, trained by the project's one loop.

The rows of new classes begin as the means of their images' features (imprinted weights, Qi et al.,
CVPR 2018): from the first step on the network knows what nearest class means do.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import normalize

from zslbench.arithmetic import device
from zslbench.method import Epoch, Inputs, Subset, TrainSet
from zslbench.method.incremental import IncrementalMethod, Task
from zslbench.method.trained import TrainedMethod, TrainedSettings
from zslbench.seeding import derive_seed

HEAD = "head.weight"


class Network(nn.Module):
    """A backbone, and a class's weights in each row of the head."""

    def __init__(self, backbone: Any, classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(backbone.width, classes, bias=False)


class Classifier(TrainedMethod):
    """Cross-entropy over the classes of the class table, whose attributes it does not use."""

    carried: Mapping[str, NDArray[Any]] = {}
    network: Network

    def build(self, train: TrainSet) -> nn.Module:
        """Return a network with what is carried in it; new rows begin as their classes' means."""
        network = Network(self.source.build(), len(train.class_attributes))
        state = {name: torch.from_numpy(array) for name, array in self.carried.items()}
        old = len(state.get(HEAD, ()))
        if state:
            fresh = network.head.weight.detach()[old:]
            network.load_state_dict({**state, HEAD: torch.cat([state[HEAD], fresh])})
        self.network = network.to(device())
        for c in range(old, len(train.class_attributes) if len(train.labels) else 0):
            network.head.weight.data[c] = self._mean(
                Subset(train.inputs, np.flatnonzero(train.labels == c))
            )
        return network

    def _mean(self, inputs: Inputs) -> Tensor:
        """Return the mean `[D]` of the pooled tokens of images, of length 1 each."""
        (pooled,) = self.piecewise(
            inputs, lambda images: (normalize(self.network.backbone.feature(images), dim=-1),)
        )
        return torch.from_numpy(pooled.mean(axis=0)).to(self.network.head.weight)

    def logits(self, images: Tensor, class_attributes: Tensor) -> Tensor:
        """Return scaled similarities of pooled tokens and class weights."""
        return self.compare(self.network.backbone.feature(images), self.network.head.weight)


class IncrementalClassifier(IncrementalMethod):
    """Trains a classifier over all classes known on the images it is handed.

    Attributes:
        anew: Whether every task begins from the pretrained backbone.
    """

    class Config(TrainedSettings):
        """Config of a method that is trained."""

    precision = TrainedMethod.precision
    anew = False
    model: Classifier | None = None

    def learn(self, task: Task) -> Iterator[Epoch]:
        """Train on the task's images."""
        known = {} if self.anew or self.model is None else self.state()
        self.model = Classifier(self.config, derive_seed(self.seed, "task", task.number))
        self.model.carried = known
        table = np.zeros((task.known, 1))
        yield from self.model.fit(TrainSet(task.inputs, task.labels, table, backbone=self.source))

    def scores(self, batch: NDArray[Any]) -> NDArray[np.floating]:
        """Return logits over the classes known."""
        if self.model is None:
            raise ValueError("no task has been learnt")
        return self.model.scores(batch, np.zeros((1, 1)))

    def state(self) -> dict[str, NDArray[Any]]:
        """Return the network."""
        if self.model is None:
            raise ValueError("no task has been learnt")
        return self.model.state()

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take the network back."""
        self.model = Classifier(self.config, self.seed)
        self.model.carried = state
        self.model.setup(TrainSet.empty(np.zeros((len(state[HEAD]), 1)), self.source))
