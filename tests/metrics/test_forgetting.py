"""Accuracy after each task, average, last, forgetting: against a naive loop."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from zslbench.metrics.forgetting import INCREMENTAL_METRICS, TaskPredictions, outcome_of


def naive(history):
    """The definitions, class by class and task by task."""
    known, labels = list(history.known), history.labels.tolist()
    tasks = len(known)
    firsts = [0, *known[:-1]]

    def on(after, classes):
        shares = []
        for c in classes:
            mine = [i for i, label in enumerate(labels) if label == c]
            right = sum(int(history.predicted[after, i]) == c for i in mine)
            shares.append(100 * right / len(mine))
        return sum(shares) / len(shares)

    accuracy = [on(t, range(known[t])) for t in range(tasks)]
    matrix = [[on(t, range(firsts[j], known[j])) for j in range(tasks)] for t in range(tasks)]
    lost = [
        max(matrix[t][j] for t in range(j, tasks - 1)) - matrix[-1][j] for j in range(tasks - 1)
    ]
    return {
        "accuracy": accuracy,
        "average": sum(accuracy) / tasks,
        "last": accuracy[-1],
        "forgetting": sum(lost) / len(lost),
    }


@st.composite
def histories(draw):
    sizes = draw(st.lists(st.integers(1, 3), min_size=2, max_size=4))
    known = np.cumsum(sizes).tolist()
    more = draw(st.lists(st.integers(0, known[-1] - 1), max_size=12))
    labels = np.array([*range(known[-1]), *more])
    parts = [
        draw(npst.arrays(np.int64, len(labels), elements=st.integers(0, k - 1))) for k in known
    ]
    return TaskPredictions(np.stack(parts), labels, known)


@given(histories())
def test_metrics_are_those_of_a_naive_loop(history):
    found = naive(history)
    np.testing.assert_allclose(history.accuracy, found["accuracy"])
    for metric in INCREMENTAL_METRICS:
        np.testing.assert_allclose(getattr(history, metric), found[metric], atol=1e-9)


@given(histories())
def test_placements_weighted_as_accuracies_are_the_metric(history):
    weights = outcome_of(history.labels).weights
    for metric in INCREMENTAL_METRICS:
        mean = float((weights * history.placements(metric)).sum())
        np.testing.assert_allclose(mean, getattr(history, metric), atol=1e-9)
    for number, accuracy in enumerate(history.accuracy):
        np.testing.assert_allclose((weights * history.after(number)).sum(), accuracy)


def test_answers_on_classes_yet_to_come_count_for_nothing():
    labels = np.array([0, 0, 1, 1])
    first = np.array([0, 0, 0, 0])
    history = TaskPredictions(np.stack([first, labels]), labels, (1, 2))
    assert history.accuracy.tolist() == [100, 100]
    assert history.forgetting == 0


def test_forgetting_all_but_the_last_task_is_a_hundred():
    labels = np.array([0, 1, 2])
    predicted = np.array([[0, 0, 0], [1, 1, 1], [2, 2, 2]])
    history = TaskPredictions(predicted, labels, (1, 2, 3))
    assert history.forgetting == 100
    assert history.accuracy.tolist() == pytest.approx([100, 50, 100 / 3])
