"""The metrics of generalised zero-shot learning for any matrix of scores."""

from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import ArrayLike

from zslbench.errors import ZslbenchError, unknown
from zslbench.metrics.accuracy import Average, Bool, Int, Space
from zslbench.metrics.curve import Outcome, SeenUnseenCurve
from zslbench.metrics.summary import summarise
from zslbench.records import Scores


@dataclass(frozen=True)
class GZSLMetrics:
    """T1, U, S and H in percent, AUSUC in [0, 1].

    Attributes:
        t1: Accuracy on images of unseen classes, among the unseen classes alone.
        u: Accuracy on images of unseen classes, among all classes.
        s: Accuracy on images of seen classes, among all classes.
        h: Harmonic mean of U and S.
        ausuc: Area under the curve of S over U.
        gamma: What was subtracted from the seen classes' scores for U, S and H.
        curve: U, S and H at every gamma.
    """

    t1: float
    u: float
    s: float
    h: float
    ausuc: float
    gamma: float
    curve: SeenUnseenCurve


def gzsl_metrics(
    scores: ArrayLike,
    labels: ArrayLike,
    seen_classes: ArrayLike,
    *,
    gamma: float = 0.0,
    space: Space = "logit",
    average: Average = "class",
) -> GZSLMetrics:
    """Return the metrics of generalised zero-shot learning for a matrix of scores.

    A tie between a seen and an unseen class goes to the seen one. Scores are compared in single
    precision.

    Args:
        scores: `[n, C]` a score for each test image and each class.
        labels: `[n]` true classes, 0..C-1.
        seen_classes: The seen classes: their numbers, or `[C]` booleans. All others are unseen.
        gamma: Subtracted from the seen classes' scores (calibrated stacking) for U, S and H.
        space: Where gamma acts: on the scores as they are (`logit`), or on their softmax.
        average: Means over classes, or over images.

    Raises:
        ZslbenchError: If shapes or classes do not fit together, a score or gamma is not finite, one
            side has no test image, or there is no such space or average.

    Example:
        >>> import zslbench as zsl
        >>> scores = [[2, 1, 0], [0, 1, 2], [3, 0, 1]]
        >>> found = zsl.gzsl_metrics(scores, labels=[0, 2, 2], seen_classes=[0, 1])
        >>> found.u, found.s, round(found.h, 1)
        (50.0, 100.0, 66.7)
    """
    for kind, said, known in (("space", space, Space), ("average", average, Average)):
        if said not in get_args(known):
            raise unknown(kind, str(said), get_args(known))
    number = np.asarray(gamma)
    if number.dtype.kind not in "iuf" or number.ndim or not np.isfinite(number):
        raise ZslbenchError(f"gamma={gamma!r}: give a finite number.")
    try:
        matrix, true, named = np.asarray(scores), np.asarray(labels), np.asarray(seen_classes)
    except ValueError as ragged:
        raise ZslbenchError(f"scores, labels or seen_classes are no array: {ragged}") from None
    seen = _seen(matrix, true, named)
    order = np.concatenate([np.flatnonzero(seen), np.flatnonzero(~seen)])
    place = np.argsort(order).astype(np.int64)
    summary = summarise(matrix[:, order], int(seen.sum()), 1.0)
    outcome = Outcome.of(summary, place[true], int(seen.sum()), space, average)
    found: Scores = outcome.scores(gamma)
    return GZSLMetrics(**found.model_dump(), gamma=gamma, curve=outcome.curve)


def _seen(scores: np.ndarray, labels: Int, named: np.ndarray) -> Bool:
    """Check what is given; return `[C]` which classes are seen."""
    if scores.ndim != 2 or not np.issubdtype(scores.dtype, np.number) or scores.size == 0:
        raise ZslbenchError(f"scores are an array [n, C] of numbers, not of shape {scores.shape}.")
    images, classes = scores.shape
    if not np.isfinite(scores).all():
        raise ZslbenchError("scores are not all finite: replace what is infinite or no number.")
    if named.dtype != bool:
        _check("seen_classes", named, classes)
        named = np.isin(np.arange(classes), named)
    if named.shape != (classes,):
        raise ZslbenchError(f"seen_classes has shape {named.shape}; scores have {classes} classes.")
    if labels.shape != (images,):
        raise ZslbenchError(f"labels have shape {labels.shape}; scores are of {images} images.")
    _check("labels", labels, classes)
    for side, members in (("seen", named), ("unseen", ~named)):
        if not members[labels].any():
            raise ZslbenchError(f"labels name no {side} class: U and S need test images of both.")
    return named


def _check(what: str, values: np.ndarray, classes: int) -> None:
    """Refuse numbers that are no classes."""
    if (
        not np.issubdtype(values.dtype, np.integer)
        or not ((values >= 0) & (values < classes)).all()
    ):
        raise ZslbenchError(
            f"{what} are whole numbers from 0 to {classes - 1}, one for each class."
        )
