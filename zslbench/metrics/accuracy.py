"""Accuracies of classes and their harmonic mean, in percent. Pure numpy."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Int = NDArray[np.int64]
Bool = NDArray[np.bool_]
Space = Literal["logit", "probability"]
Average = Literal["class", "image"]


def harmonic_mean(u: float, s: float) -> float:
    """Return H = 2US / (U + S), 0 where both are 0."""
    return min(2 * u * s / (u + s), 100.0) if u + s > 0 else 0.0


def per_class_accuracy(predictions: Int, labels: Int) -> float:
    """Return the mean over the classes in `labels` of the share predicted right, in percent."""
    _, members = np.unique(labels, return_inverse=True)
    hits = np.bincount(members, weights=predictions == labels)
    return float(100 * np.mean(hits / np.bincount(members)))


def score_unit(scores: NDArray[np.floating]) -> float:
    """Return the standard deviation of scores `[n, C]` around each item's mean; never 0."""
    spread = float(np.std(scores - scores.mean(axis=1, keepdims=True)))
    return max(spread, float(np.finfo(np.float32).tiny))
