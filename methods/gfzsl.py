"""GFZSL: Verma and Rai, "A Simple Exponential Family Framework for Zero-Shot Learning", ECML-PKDD
2017 (arXiv 1707.08040).

| point | paper | public ports | here |
|---|---|---|---|
| class | Gaussian, diagonal covariance | the same | the same |
| its mean and variance | MAP, priors not said | as counted | and `prior` items of all features' |
| from attributes to mean, log variance | ridge, linear or kernel | the same | the same, `kernel` |
| kernel | - | Gaussian | linear or Gaussian, tuning worlds; its width the median distance |
| regularisers | validation classes | one for each data set | one grid, tuning worlds |
| seen classes at test | their own Gaussians | the same | from their attributes, as unseen ones |
| unlabelled test images | used by the transductive variant | the same | never |
| calibration | none | none | `published` has none; `validation` chooses it |

"-" is where the paper's text was not at hand.
"""  # noqa: D205

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from zslbench.method import (
    ClosedFormMethod,
    Float,
    MethodConfig,
    PublishedRule,
    TrainSet,
    hyper,
    option,
    tuned,
    undecided,
)

from ._features import Form, rows_of, training_rows

GRID = tuple(10.0**power for power in range(-3, 3))
FLOOR = 1e-3


class GFZSL(ClosedFormMethod):
    """A Gaussian for each class, whose mean and log variance are regressed from its attributes."""

    class Config(MethodConfig):
        """Config of GFZSL."""

        reg: float | None = tuned("lambda", "regulariser of both regressions", 1e-6, 1e6, GRID)
        kernel: Literal["linear", "gaussian"] | None = undecided(
            "k", "kernel of class attributes", "linear", "gaussian"
        )
        prior: float = hyper(
            10.0, "nu", "items of the variance of all features in each class's", 1e-3, 1e4, log=True
        )
        features: Form = option("l2", "x", "rows L2-normalised, or as they come")

    published = PublishedRule(gamma=0.0, source="no calibration in paper or ports")
    learnt = ("weights", "table", "width")
    weights: Float
    table: Float
    width: Float

    @classmethod
    def prepare(cls, train: TrainSet, config: Any) -> tuple[Float, Float]:
        """Return class attributes `[Cs, K]`; mean and log variance of each class `[Cs, 2 d]`."""
        classes, d = len(train.class_attributes), train.inputs[:1].shape[1]
        counts = np.bincount(train.labels, minlength=classes)[:, None]
        sums, squares = np.zeros((classes, d)), np.zeros((classes, d))
        for items, features in training_rows(train, config.features):
            np.add.at(sums, train.labels[items], features)
            np.add.at(squares, train.labels[items], features**2)
        means = sums / counts
        scatter = np.maximum(squares - counts * means**2, 0.0)
        n = counts.sum()
        overall = np.maximum(squares.sum(axis=0) / n - (sums.sum(axis=0) / n) ** 2, 0.0)
        overall += FLOOR * overall.mean()  # a feature may be 0 in all items
        variances = (scatter + config.prior * overall) / (counts + config.prior)
        return train.class_attributes.astype(np.float64), np.hstack([means, np.log(variances)])

    def solve(self, prepared: tuple[Float, Float]) -> None:
        """Regress the Gaussians' parameters on class attributes, in the kernel's dual form."""
        self.table, targets = prepared
        between = _squared_distances(self.table, self.table)[np.triu_indices(len(self.table), 1)]
        self.width = np.array([np.median(between) if len(between) else 1.0])
        gram = self._kernel(self.table)
        self.weights = np.linalg.solve(gram + self.config.reg * np.eye(len(gram)), targets)

    def _kernel(self, classes: Float) -> Float:
        """Return `[C, Cs]` the kernel of classes `[C, K]` and the seen ones."""
        if self.config.kernel == "linear":
            return np.asarray(classes @ self.table.T)
        return np.exp(-_squared_distances(classes, self.table) / self.width)

    def scores(self, batch: NDArray[Any], class_attributes: Float) -> Float:
        """Return each item's log density `[b, C]` under each class, up to a constant."""
        mean, log_variance = np.hsplit(self._kernel(class_attributes) @ self.weights, 2)
        precision = np.exp(-log_variance)
        features = rows_of(batch, self.config.features)
        linear, square = features @ (mean * precision).T, features**2 @ precision.T
        of_class = (mean**2 * precision + log_variance).sum(axis=1)
        return np.asarray(linear - (square + of_class) / 2)


def _squared_distances(ours: Float, theirs: Float) -> Float:
    """Return `[n, m]` of rows `[n, K]` and `[m, K]`."""
    found: Float = ((ours[:, None] - theirs[None]) ** 2).sum(axis=2)
    return found
