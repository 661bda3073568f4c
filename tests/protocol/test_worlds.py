"""Worlds: what may be learnt from, what is tested on, and what stays sealed."""

from dataclasses import replace

import numpy as np
import pytest

from zslbench.data.types import ClassSplit
from zslbench.errors import DataError
from zslbench.method.conformance import PER_CLASS, SEEN, UNSEEN, toy_dataset
from zslbench.methods.eszsl import ESZSL
from zslbench.protocol import final_world, tuning_worlds


def test_final_world_trains_on_trainval_and_tests_on_the_rest():
    dataset = toy_dataset()
    world = final_world(dataset)
    assert set(world.train) == set(dataset.splits.trainval)
    assert set(world.test) == set(dataset.splits.test_seen) | set(dataset.splits.test_unseen)
    assert world.seen == SEEN
    assert len(world.classes) == SEEN + UNSEEN


def test_final_world_labels_number_seen_classes_first():
    world = final_world(replace(toy_dataset()))
    labels = world.open_labels()
    assert set(world.train_labels) == set(range(SEEN))
    assert set(labels[: len(world.dataset.splits.test_seen)]) <= set(range(SEEN))
    assert set(labels[len(world.dataset.splits.test_seen) :]) == set(range(SEEN, SEEN + UNSEEN))


def test_opening_labels_announces_itself_first_and_is_counted():
    world = final_world(toy_dataset())
    seen_at_announcement = []
    world.open_labels(lambda: seen_at_announcement.append(world.sealed.openings))
    assert seen_at_announcement == [0]
    assert world.sealed.openings == 1


def test_labels_stay_shut_when_the_announcement_fails():
    world = final_world(toy_dataset())

    def ledger_is_full():
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        world.open_labels(ledger_is_full)
    assert world.sealed.openings == 0


def test_sealed_labels_do_not_show_themselves():
    sealed = toy_dataset().test_labels
    assert "sealed" in repr(sealed)
    assert not hasattr(sealed, "labels")
    assert not hasattr(sealed, "_labels")


@pytest.mark.parametrize("count", [1, 3, 5])
def test_tuning_worlds_never_touch_a_test_image(count):
    dataset = toy_dataset()
    worlds = tuning_worlds(dataset, count)
    tests = set(dataset.splits.test_seen) | set(dataset.splits.test_unseen)
    assert len(worlds) == count
    for world in worlds:
        assert not (set(world.train) | set(world.test)) & tests
        assert not set(world.classes) & set(dataset.unseen)


def test_tuning_world_holds_a_fifth_of_each_training_class_out():
    world = tuning_worlds(toy_dataset(), 1)[0]
    labels = world.open_labels()
    per_class = PER_CLASS * 4 // 5
    for c in range(world.seen):
        assert np.sum(labels == c) == round(0.2 * per_class)
        assert np.sum(world.train_labels == c) == per_class - round(0.2 * per_class)
    assert not set(world.train) & set(world.test)


def test_tuning_world_tests_on_all_images_of_validation_classes():
    dataset = toy_dataset()
    world = tuning_worlds(dataset, 1)[0]
    held = world.classes[world.seen :]
    of_held = dataset.splits.trainval[np.isin(dataset.train_labels, held)]
    assert set(of_held) <= set(world.test)
    assert not set(of_held) & set(world.train)


def test_official_splits_come_first_and_the_rest_is_drawn_in_their_ratio():
    dataset = toy_dataset()
    official = ClassSplit("official 1", np.arange(9), np.arange(9, 12))
    dataset = replace(dataset, splits=replace(dataset.splits, class_splits=(official,)))
    first, second = tuning_worlds(dataset, 2)
    assert (first.name, second.name) == ("official 1", "drawn 1")
    assert list(first.classes[first.seen :]) == [9, 10, 11]
    assert len(second.classes) - second.seen == 3


def test_worlds_are_the_same_every_time():
    one, other = tuning_worlds(toy_dataset(), 3), tuning_worlds(toy_dataset(), 3)
    for a, b in zip(one, other, strict=True):
        assert np.array_equal(a.train, b.train)
        assert np.array_equal(a.test, b.test)


def test_adding_a_world_moves_no_other():
    few, many = tuning_worlds(toy_dataset(), 2), tuning_worlds(toy_dataset(), 4)
    assert all(np.array_equal(a.train, b.train) for a, b in zip(few, many, strict=False))


def test_too_few_classes_to_tune_in_is_said():
    dataset = toy_dataset()
    small = replace(dataset, seen=np.arange(3))
    with pytest.raises(DataError, match="at least four seen classes"):
        tuning_worlds(small, 1)


def test_train_set_holds_what_the_method_declares_and_no_more():
    class Greedy(ESZSL):
        needs = frozenset({"features", "word_vectors", "unseen_attributes"})

    world = final_world(toy_dataset())
    plain, greedy = world.train_set(ESZSL), world.train_set(Greedy)
    assert plain.word_vectors is None
    assert plain.unseen_attributes is None
    assert len(plain.class_attributes) == SEEN
    assert greedy.word_vectors is not None
    assert len(greedy.unseen_attributes) == UNSEEN


def test_centred_attributes_use_the_mean_of_the_seen_classes_alone():
    dataset = toy_dataset()
    world = final_world(dataset)
    table = dataset.classes.attributes
    shifted = table - table[:SEEN].mean(axis=0)
    expected = shifted / np.linalg.norm(shifted, axis=1, keepdims=True)
    np.testing.assert_allclose(world.attributes("centred"), expected)
    np.testing.assert_array_equal(world.attributes("raw"), dataset.classes.raw_attributes)


def test_training_and_scoring_see_the_same_form_of_attributes():
    world = final_world(toy_dataset())
    for form in ("l2", "raw", "centred"):
        train = world.train_set(ESZSL, form)
        np.testing.assert_array_equal(train.class_attributes, world.attributes(form)[:SEEN])


def test_train_set_gives_no_way_to_other_items():
    train = final_world(toy_dataset()).train_set(ESZSL)
    assert not [name for name in vars(train.inputs) if not name.startswith("_Subset__")]
    assert not hasattr(train.inputs, "inputs")
    assert not hasattr(train.inputs, "items")
