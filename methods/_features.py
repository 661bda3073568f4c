"""Fixed features as the classic methods take them."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from zslbench.method import Float, TrainSet

Form = Literal["l2", "raw"]
RANK_TOLERANCE = 1e-12


def unit_rows(matrix: Float) -> Float:
    """Return rows divided by their L2 norms; rows of zeros stay."""
    norms = np.sqrt(np.einsum("ij,ij->i", matrix, matrix))[:, None]
    unit: Float = matrix / np.maximum(norms, 1e-12)
    return unit


def rows_of(batch: NDArray[Any], form: Form) -> Float:
    """Return features `[b, d]` in float64, as they come or as unit rows."""
    features = np.asarray(batch, dtype=np.float64)
    return unit_rows(features) if form == "l2" else features


def training_rows(train: TrainSet, form: Form) -> Float:
    """Return the features `[n, d]` of all training items."""
    return rows_of(train.inputs[np.arange(len(train.inputs))], form)


def diagonalise(gram: Float) -> tuple[Float, Float]:
    """Return the eigenvalues of a Gram matrix that are above rounding, and their vectors."""
    values, basis = np.linalg.eigh(gram)
    kept = values > RANK_TOLERANCE * values[-1]
    return values[kept], basis[:, kept]
