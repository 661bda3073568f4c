"""Fixed features as the classic methods take them."""

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from zslbench.method import Float, TrainSet, pieces

Form = Literal["l2", "raw"]
WHOLE = 2**26  # numbers that are read at once, as sums of CUB, SUN and AWA2 have always been
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


def training_rows(train: TrainSet, form: Form) -> Iterator[tuple[slice, Float]]:
    """Yield the features of all training items, piece by piece, and which items they are."""
    for items, batch in pieces(train.inputs, WHOLE):
        yield items, rows_of(batch, form)


def moments(train: TrainSet, form: Form) -> tuple[Float, Float]:
    """Return the Gram matrix of the features `[d, d]`, and each class's sum of them `[C, d]`."""
    width = train.inputs[:1].shape[1]
    gram, sums = np.zeros((width, width)), np.zeros((len(train.class_attributes), width))
    for items, features in training_rows(train, form):
        gram += features.T @ features
        np.add.at(sums, train.labels[items], features)
    return gram, sums


def diagonalise(gram: Float) -> tuple[Float, Float]:
    """Return the eigenvalues of a Gram matrix that are above rounding, and their vectors."""
    values, basis = np.linalg.eigh(gram)
    kept = values > RANK_TOLERANCE * values[-1]
    return values[kept], basis[:, kept]
