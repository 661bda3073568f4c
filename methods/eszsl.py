"""ESZSL: Romera-Paredes and Torr, "An embarrassingly simple approach to zero-shot learning",
ICML 2015.

| point | paper | public ports | here |
|---|---|---|---|
| targets Y | -1 / 1 | 0 / 1 | `targets`, tuning worlds |
| features | as they come | as they come | `features`, default rows L2-normalised |
| regularisers | validation classes | 10^-3..10^3, one class split | same grid, tuning worlds |
| third term beta | gamma * lambda | same | same |
| calibration | none | none | `published` has none; `validation` chooses it |
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
    option,
    tuned,
    undecided,
)

from ._features import Decomposition, Form, class_sums, row_norms, training_rows

GRID = tuple(10.0**power for power in range(-3, 4))


class ESZSL(ClosedFormMethod):
    """W = (X X' + reg_x I)^-1 X Y S' (S S' + reg_s I)^-1; the score of a class s is x' W s."""

    class Config(MethodConfig):
        """Config of ESZSL."""

        reg_x: float | None = tuned("gamma", "regulariser on the feature side", 1e-6, 1e6, GRID)
        reg_s: float | None = tuned("lambda", "regulariser on the attribute side", 1e-6, 1e6, GRID)
        features: Form = option("l2", "X", "rows L2-normalised, or as they come")
        targets: Literal["signed", "binary"] | None = undecided(
            "Y", "-1 and 1 (the paper's), or 0 and 1", "signed", "binary"
        )

    version = 2
    published = PublishedRule(gamma=0.0, source="section 3; no calibration in paper or ports")
    learnt = ("weights",)
    weights: Float

    @classmethod
    def prepare(cls, train: TrainSet, config: Any) -> dict[str, Decomposition]:
        """Diagonalise X X' and S S', so that each pair of regularisers costs two divisions.

        Targets differ in the middle alone: both are returned, over the same bases.
        """
        features = training_rows(train, config.features)
        attributes = train.class_attributes.astype(np.float64)
        by_class = class_sums(features, train.labels, len(attributes))
        targets = {"signed": 2 * by_class - by_class.sum(axis=0), "binary": by_class}
        feature_values, feature_basis = np.linalg.eigh(features.T @ features)
        attribute_values, attribute_basis = np.linalg.eigh(attributes.T @ attributes)
        bases = (feature_values, feature_basis, attribute_values, attribute_basis)
        return {
            name: Decomposition(*bases, (feature_basis.T @ sums.T) @ (attributes @ attribute_basis))
            for name, sums in targets.items()
        }

    def solve(self, prepared: dict[str, Decomposition]) -> None:
        """Equation 4 of the paper, in the eigenbases."""
        parts = prepared[self.config.targets]
        scaled = parts.middle / (parts.feature_values[:, None] + self.config.reg_x)
        scaled /= parts.attribute_values + self.config.reg_s
        self.weights = parts.feature_basis @ scaled @ parts.attribute_basis.T

    def scores(self, batch: NDArray[Any], class_attributes: Float) -> Float:
        """Return x' W s for each item and class."""
        features = np.asarray(batch, dtype=np.float64)
        raw: Float = np.linalg.multi_dot([features, self.weights, class_attributes.T])
        return raw / row_norms(features) if self.config.features == "l2" else raw
