"""ESZSL: Romera-Paredes and Torr, "An embarrassingly simple approach to zero-shot learning",
ICML 2015.

| point | paper | public ports | here |
|---|---|---|---|
| targets Y | -1 / 1 | 0 / 1 | `targets`, default the paper's |
| features | as they come | as they come | `features`, default rows L2-normalised |
| regularisers | validation classes | 10^-3..10^3, one class split | same grid, tuning worlds |
| third term beta | gamma * lambda | same | same |
| calibration | none | none | `published` has none; `validation` chooses it |
"""  # noqa: D205

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from zslbench.method import ClosedFormMethod, Float, MethodConfig, PublishedRule, TrainSet
from zslbench.method.settings import option, tuned

from ._features import Decomposition, Form, moments, row_norms

GRID = tuple(10.0**power for power in range(-3, 4))


class ESZSL(ClosedFormMethod):
    """W = (X X' + reg_x I)^-1 X Y S' (S S' + reg_s I)^-1; the score of a class s is x' W s."""

    class Config(MethodConfig):
        """Config of ESZSL."""

        reg_x: float | None = tuned("gamma", "regulariser on the feature side", 1e-6, 1e6, GRID)
        reg_s: float | None = tuned("lambda", "regulariser on the attribute side", 1e-6, 1e6, GRID)
        features: Form = option("l2", "X", "rows L2-normalised, or as they come")
        targets: Literal["signed", "binary"] = option("signed", "Y", "-1 and 1, or 0 and 1")

    published = PublishedRule(gamma=0.0, source="section 3; no calibration in paper or ports")
    learnt = ("weights",)
    weights: Float

    @classmethod
    def prepare(cls, train: TrainSet, config: Any) -> Decomposition:
        """Diagonalise X X' and S S', so that each pair of regularisers costs two divisions."""
        gram, by_class = moments(train, config.features)
        attributes = train.class_attributes.astype(np.float64)
        if config.targets == "signed":
            by_class = 2 * by_class - by_class.sum(axis=0)
        feature_values, feature_basis = np.linalg.eigh(gram)
        attribute_values, attribute_basis = np.linalg.eigh(attributes.T @ attributes)
        middle = (feature_basis.T @ by_class.T) @ (attributes @ attribute_basis)
        return Decomposition(
            feature_values, feature_basis, attribute_values, attribute_basis, middle
        )

    def solve(self, prepared: Decomposition) -> None:
        """Equation 4 of the paper, in the eigenbases."""
        parts = prepared
        scaled = parts.middle / (parts.feature_values[:, None] + self.config.reg_x)
        scaled /= parts.attribute_values + self.config.reg_s
        self.weights = parts.feature_basis @ scaled @ parts.attribute_basis.T

    def scores(self, batch: NDArray[Any], class_attributes: Float) -> Float:
        """Return x' W s for each item and class."""
        features = np.asarray(batch, dtype=np.float64)
        raw: Float = np.linalg.multi_dot([features, self.weights, class_attributes.T])
        return raw / row_norms(features) if self.config.features == "l2" else raw
