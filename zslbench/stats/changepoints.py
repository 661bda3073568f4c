"""Steps in a series of values by commit: where a level changed, and by how much."""

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr

from zslbench.metrics import Float

LEVEL, MOVED = 0.01, 1e-6


@dataclass(frozen=True)
class Step:
    """A change of level.

    Attributes:
        place: Of the first commit after it.
        size: Mean after minus mean before.
        p: Two-sided, over seeds, corrected for the places where it could have been.
    """

    place: int
    size: float
    p: float


def find_steps(values: Float) -> list[Step]:
    """Return the steps of a series, by binary segmentation.

    A step can only be where a value moved at all. In a stretch of commits it is looked for where it
    would leave the smallest residual (the CUSUM's maximum), and is there if a t test over seeds
    says so: seeds are the only repetitions, since commits that change no number repeat each other.

    Args:
        values: `[commits, seeds]`, in the order of history.
    """
    return sorted(_within(values, 0, len(values)), key=lambda step: step.place)


def _within(values: Float, first: int, last: int) -> list[Step]:
    part = values[first:last]
    moved = np.abs(np.diff(part, axis=0)).max(axis=1, initial=0.0) > MOVED
    places = np.flatnonzero(moved) + 1
    if not len(places):
        return []
    gaps = np.array([part[k:].mean(axis=0) - part[:k].mean(axis=0) for k in places])
    weights = np.sqrt(places * (len(part) - places) / len(part))
    best = int(np.argmax(weights * np.abs(gaps.mean(axis=1))))
    p = min(1.0, _two_sided(gaps[best]) * len(places))
    if p > LEVEL:
        return []
    place = first + int(places[best])
    here = Step(place, float(gaps[best].mean()), p)
    return [*_within(values, first, place), here, *_within(values, place, last)]


def _two_sided(gap: Float) -> float:
    """Return p of a mean of 0 over seeds; one seed, or none that differs, speaks for itself."""
    n = len(gap)
    error = float(np.std(gap, ddof=1)) / n**0.5 if n > 1 else 0.0
    if error < MOVED:
        return float(abs(gap.mean()) <= MOVED)
    return float(2 * stdtr(n - 1, -abs(gap.mean()) / error))
