"""Fixed features as the classic methods take them."""

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from zslbench.method import Float, TrainSet

Form = Literal["l2", "raw"]
RANK_TOLERANCE = 1e-12


class Decomposition(NamedTuple):
    """What all regularisers share: eigenvalues and vectors of both Gram matrices, and the middle.

    The middle is what the features say of the attributes, seen from both bases.
    """

    feature_values: Float
    feature_basis: Float
    attribute_values: Float
    attribute_basis: Float
    middle: Float


def row_norms(matrix: Float) -> Float:
    """Return the L2 norm of each row, `[n, 1]`, 1e-12 at the least."""
    norms: Float = np.sqrt(np.einsum("ij,ij->i", matrix, matrix))[:, None]
    return np.maximum(norms, 1e-12)


def unit_rows(matrix: Float) -> Float:
    """Return rows divided by their L2 norms; rows of zeros stay."""
    unit: Float = matrix / row_norms(matrix)
    return unit


def rows_of(batch: NDArray[Any], form: Form) -> Float:
    """Return features `[b, d]` in float64, as they come or as unit rows."""
    features = np.asarray(batch, dtype=np.float64)
    return unit_rows(features) if form == "l2" else features


def training_rows(train: TrainSet, form: Form) -> Float:
    """Return the features `[n, d]` of all training items."""
    return rows_of(train.inputs[np.arange(len(train.inputs))], form)


def class_sums(features: Float, labels: NDArray[np.int64], classes: int) -> Float:
    """Return the sum of each class's features, `[C, d]`."""
    sums = np.zeros((classes, features.shape[1]))
    np.add.at(sums, labels, features)
    return sums


def diagonalise(gram: Float) -> tuple[Float, Float]:
    """Return the eigenvalues of a Gram matrix that are above rounding, and their vectors."""
    values, basis = np.linalg.eigh(gram)
    kept = values > RANK_TOLERANCE * values[-1]
    return values[kept], basis[:, kept]
