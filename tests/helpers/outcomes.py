"""Outcomes of runs that never were, for the statistics."""

import numpy as np

from zslbench.metrics import Outcome


def outcome_of(labels, seen, right, margin, average="class"):
    """An outcome from whether the best class of an image's own side is its true one."""
    labels, right = np.asarray(labels), np.asarray(right, dtype=bool)
    is_seen = labels < seen
    return Outcome(labels, seen, right & is_seen, right & ~is_seen, np.asarray(margin), average)


def random_outcome(rng, seen_classes, unseen_classes, images, average="class"):
    """Classes differ in difficulty and in lean; margins are of one decimal, so that many tie."""
    classes = seen_classes + unseen_classes
    labels = np.repeat(np.arange(classes), images)
    right = rng.random(len(labels)) < rng.beta(4, 2, classes)[labels]
    lean = np.where(labels < seen_classes, 0.7, -0.7) + rng.normal(0, 0.6, classes)[labels]
    margin = np.round(lean + rng.normal(size=len(labels)), 1) + 0.05
    return outcome_of(labels, seen_classes, right, margin, average)
