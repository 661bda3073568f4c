"""What ALE, DeViSE and SJE share: F(x, y) = x' W a_y, and stochastic descent on a ranking loss.

Each is a hinge on v_y = max(0, margin + F(x, y) - F(x, y_n)), y_n the true class and y another, and
they differ in the weights of the v_y alone.
"""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from zslbench.method import (
    Epoch,
    Float,
    Inputs,
    Method,
    MethodConfig,
    Need,
    TrainSet,
    hyper,
    option,
    tuned,
)
from zslbench.seeding import generator

from ._features import Form, rows_of

Single = NDArray[np.float32]
Int = NDArray[np.int64]


class BilinearConfig(MethodConfig):
    """What all three may be set to."""

    lr: float | None = tuned(
        "eta", "learning rate, of batch means", 1e-4, 1e4, (0.1, 1.0, 10.0, 100.0)
    )
    margin: float = hyper(1.0, "Delta", "margin", 1e-3, 1e3, log=True)
    weight_decay: float = hyper(0.0, "wd", "decay of W, as a proximal step", 0.0, 1.0)
    epochs: int = hyper(30, "epochs", "length of the fit", 1, 1000)
    batch_size: int = hyper(32, "B", "items a step", 1, 4096)
    features: Form = option("l2", "x", "rows L2-normalised, or as they come")


@dataclass(frozen=True)
class TrainItems:
    """Features `[n, d]` as they come, labels `[n]` and class attributes `[Cs, K]`."""

    features: Inputs
    labels: Int
    table: Single


class Bilinear(Method):
    """A bilinear compatibility between features and class attributes, learnt by ranking.

    A fit takes seconds, so that an interrupted one starts again.
    """

    Config: ClassVar[type[MethodConfig]] = BilinearConfig
    needs: ClassVar[frozenset[Need]] = frozenset({"features"})
    learnt = ("weights",)
    weights: Single

    @abstractmethod
    def weigh(self, violations: Single) -> Single:
        """Return the weight of each violation `[B, Cs]`; the weights are constants to descent."""

    @classmethod
    def prepare(cls, train: TrainSet, config: Any) -> TrainItems:
        """Leave the features where they are: a step reads its own."""
        return TrainItems(train.inputs, train.labels, train.class_attributes.astype(np.float32))

    def fit(self, prepared: TrainItems, after: Mapping[str, Any] | None = None) -> Iterator[Epoch]:
        """Descend from a random W, yielding the mean loss at every epoch's end."""
        d, k = prepared.features[:1].shape[1], prepared.table.shape[1]
        drawn = generator(self.seed, "initialisation").normal(0, d**-0.5, (d, k))
        self.weights = drawn.astype(np.float32)
        for epoch in range(1, self.config.epochs + 1):
            order = generator(self.seed, "order", epoch).permutation(len(prepared.labels))
            batches = np.array_split(order, -(-len(order) // self.config.batch_size))
            total = sum(self._step(prepared, batch) * len(batch) for batch in batches)
            yield Epoch(epoch, {"loss": total / len(order)})

    def _step(self, train: TrainItems, batch: Int) -> float:
        features, table = self._read(train.features[batch]), train.table
        scores: Single = np.linalg.multi_dot([features, self.weights, table.T])
        loss, gradient = self.loss(scores, train.labels[batch])
        moved = self.weights - self.config.lr * (features.T @ (gradient @ table))
        self.weights = moved / np.float32(1 + self.config.lr * self.config.weight_decay)
        return loss

    def _read(self, batch: NDArray[Any]) -> Single:
        return rows_of(batch, self.config.features).astype(np.float32)

    def loss(self, scores: Single, labels: Int) -> tuple[float, Single]:
        """Return the mean loss of scores `[B, Cs]`, and its gradient in them."""
        rows = np.arange(len(labels))
        violations = np.maximum(self.config.margin + scores - scores[rows, labels][:, None], 0)
        violations[rows, labels] = 0
        gradient = self.weigh(violations) * (violations > 0)
        loss = float(np.sum(gradient * violations)) / len(labels)
        gradient[rows, labels] = -gradient.sum(axis=1)
        return loss, gradient / np.float32(len(labels))

    def scores(self, batch: NDArray[Any], class_attributes: Float) -> Single:
        """Return x' W a for each item and class."""
        scores: Single = self._read(batch) @ self.weights @ class_attributes.T.astype(np.float32)
        return scores
