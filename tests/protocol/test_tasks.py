"""Task sequences: how classes are cut into tasks, and what a method can reach."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zslbench.errors import DataError
from zslbench.method.conformance import toy_dataset
from zslbench.protocol.tasks import TaskSequence, said, task_sizes

CASES = [
    # classes, base, increment, sizes
    (60, 0, 12, [12, 12, 12, 12, 12]),
    (100, 50, 10, [50, 10, 10, 10, 10, 10]),
    (12, 0, 5, [5, 5, 2]),
    (12, 7, 2, [7, 2, 2, 1]),
    (12, 7, 100, [7, 5]),
]


@pytest.mark.parametrize(("classes", "base", "increment", "sizes"), CASES)
def test_tasks_have_the_sizes_of_the_protocol(classes, base, increment, sizes):
    assert task_sizes(classes, base, increment) == sizes


@given(st.integers(2, 300), st.integers(0, 300), st.integers(1, 300))
def test_every_class_is_in_one_task_and_only_the_last_may_be_smaller(classes, base, increment):
    if (base or increment) >= classes:
        with pytest.raises(DataError):
            task_sizes(classes, base, increment)
        return
    sizes = task_sizes(classes, base, increment)
    assert sum(sizes) == classes
    assert sizes[0] == (base or increment)
    assert set(sizes[1:-1]) <= {increment}
    assert 1 <= sizes[-1] <= increment


@pytest.mark.parametrize(
    ("base", "increment", "words"),
    [(0, 0, "without classes"), (-1, 3, "without classes"), (12, 3, "leaves one task"),
     (0, 12, "leaves one task"), (0, 40, "leaves one task")],
)  # fmt: skip
def test_tasks_that_cannot_be_cut_are_refused_in_one_paragraph(base, increment, words):
    with pytest.raises(DataError, match=words) as refused:
        task_sizes(12, base, increment, "tiny")
    assert "\n" not in str(refused.value)
    assert str(refused.value).startswith("tiny: has 12 classes")


def test_a_smaller_last_task_is_said():
    assert "the last task is smaller" in said([5, 5, 2], 5)
    assert "the last task is smaller" in said([40, 20], 40)
    assert "smaller" not in said([4, 4, 4], 4)
    assert "smaller" not in said([20, 10], 10)


def test_the_seed_orders_the_classes():
    data = toy_dataset()
    orders = [TaskSequence.of(data, 0, 3, seed).order.tolist() for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    assert all(sorted(order) == data.seen.tolist() for order in orders)


def test_a_task_reaches_its_own_training_images_and_no_others():
    data = toy_dataset()
    sequence = TaskSequence.of(data, 0, 5, 0)
    mine = dict(zip(data.splits.trainval.tolist(), data.train_labels.tolist(), strict=True))
    reached = Counter()
    for number, size in enumerate(sequence.sizes, start=1):
        task = sequence.task(number)
        classes = sequence.order[task.old : task.known]
        items = [item for item, label in mine.items() if label in classes]
        assert task.known - task.old == size
        assert len(task.inputs) == len(task.labels) == len(items)
        np.testing.assert_array_equal(task.inputs[:], data.inputs[items])
        assert sequence.order[task.labels].tolist() == [mine[item] for item in items]
        assert not any(hasattr(task.inputs, name) for name in ("inputs", "items", "base"))
        with pytest.raises(IndexError):
            task.inputs[np.array([len(items)])]
        reached.update(items)
    assert reached == Counter(mine.keys())


def test_only_who_asks_gets_old_images_and_nobody_later_ones():
    sequence = TaskSequence.of(toy_dataset(), 0, 4, 0)
    task = sequence.task(2, frozenset({"images", "old_images"}))
    assert sorted(set(task.labels.tolist())) == list(range(8))
    assert task.known == 8


def test_tests_are_the_held_out_images_of_the_classes_learnt():
    data = toy_dataset()
    sequence = TaskSequence.of(data, 0, 4, 3)
    announced = []
    labels = sequence.open_labels(lambda: announced.append(1))
    assert len(sequence.test) == len(labels) == len(data.splits.test_seen)
    assert set(labels.tolist()) == set(range(len(data.seen)))
    assert announced == [1]
