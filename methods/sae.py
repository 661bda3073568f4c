"""SAE: Kodirov, Xiang and Gong, "Semantic autoencoder for zero-shot learning", CVPR 2017.

| point | paper | public ports | here |
|---|---|---|---|
| S, one column a training item | class attributes | same | same |
| features in training | as they come | unit rows | `features`, default unit rows |
| equation | Sylvester, dense solver | same | the same, in both eigenbases |
| equation singular (few items or classes) | not discussed | what the solver returns | least norm |
| lambda | by class-wise validation | doubled from a start by hand | 10^-2..10^2.5, tuning worlds |
| direction at test | both, S to F ahead | both, a lambda each | `direction`, tuning worlds |
| rows of W at test | as solved | unit | `atoms`, default as solved |
| distance | cosine or other, left open | cosine | cosine |
| calibration | none | none | `published` has none; `validation` chooses it |
"""

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

from ._features import (
    Decomposition,
    Form,
    class_sums,
    diagonalise,
    rows_of,
    training_rows,
    unit_rows,
)

GRID = tuple(10.0 ** (power / 2) for power in range(-4, 6))


class SAE(ClosedFormMethod):
    """W `[K, d]` solves S S' W + W (lambda X X') = (1 + lambda) S X'; scores are cosines."""

    class Config(MethodConfig):
        """Config of SAE."""

        lambda_: float | None = tuned(
            "lambda", "weight of encoding against decoding", 1e-6, 1e6, GRID
        )
        direction: Literal["s_to_f", "f_to_s"] | None = undecided(
            "W' or W", "attributes to features at the test, or the reverse", "s_to_f", "f_to_s"
        )
        features: Form = option("l2", "X", "rows L2-normalised, or as they come")
        atoms: Literal["raw", "l2"] = option("raw", "W", "rows of W as solved, or L2-normalised")

    version = 2
    published = PublishedRule(gamma=0.0, source="no calibration in paper or ports")
    learnt = ("weights",)
    weights: Float

    @classmethod
    def prepare(cls, train: TrainSet, config: Any) -> Decomposition:
        """Diagonalise S S' and X X' once, so that a lambda costs one division an entry."""
        features = training_rows(train, config.features)
        attributes = train.class_attributes.astype(np.float64)
        by_class = class_sums(features, train.labels, len(attributes))
        counts = np.bincount(train.labels, minlength=len(attributes))
        gram = attributes.T @ (counts[:, None] * attributes)
        attribute_values, attribute_basis = diagonalise(gram)
        feature_values, feature_basis = diagonalise(features.T @ features)
        middle = (attribute_basis.T @ attributes.T) @ (by_class @ feature_basis)
        return Decomposition(
            feature_values, feature_basis, attribute_values, attribute_basis, middle
        )

    def solve(self, prepared: Decomposition) -> None:
        """Solve the Sylvester equation in the eigenbases, where its two products are diagonal.

        Where either Gram matrix is null so is S X', hence the least-norm solution.
        """
        parts, lambda_ = prepared, self.config.lambda_
        sums = parts.attribute_values[:, None] + lambda_ * parts.feature_values
        inner = (1 + lambda_) * parts.middle / sums
        weights = parts.attribute_basis @ inner @ parts.feature_basis.T
        self.weights = unit_rows(weights) if self.config.atoms == "l2" else weights

    def scores(self, batch: NDArray[Any], class_attributes: Float) -> Float:
        """Return cosines, of features (S to F) or of attributes (F to S)."""
        features = rows_of(batch, self.config.features)
        if self.config.direction == "f_to_s":
            found, truth = features @ self.weights.T, class_attributes
        else:
            found, truth = features, class_attributes @ self.weights
        scores: Float = unit_rows(found) @ unit_rows(truth).T
        return scores
