"""Episodes: as many images as a batch has, some classes, the same few images of each."""

import numpy as np
import pytest

from zslbench.method.registry import load_method

LABELS = np.repeat(np.arange(10), 6)


def drawn(labels=LABELS, epoch=1, method="gem_zsl", **settings):
    """The items of an epoch's steps."""
    method = load_method(method)
    return method(method.Config(batch_size=8, **settings), 0).batches(labels, epoch)


@pytest.mark.parametrize("method", ["gem_zsl", "psvma"])
@pytest.mark.parametrize(("sampling", "shots", "ways"), [("2-shot", 2, 4), ("3-shot", 3, 2)])
def test_an_episode_has_as_many_images_of_each_class_drawn(method, sampling, shots, ways):
    episodes, size = drawn(method=method, sampling=sampling), shots * ways
    assert episodes.shape == (len(LABELS) // size, size)
    for items in episodes:
        classes, counts = np.unique(LABELS[items], return_counts=True)
        assert (len(classes), set(counts)) == (ways, {shots})
        assert len(set(items)) == size
    assert len({tuple(np.unique(LABELS[items])) for items in episodes}) > 1


def test_episodes_follow_from_seed_and_epoch():
    first, again, later = (drawn(epoch=epoch, sampling="2-shot") for epoch in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, later)


def test_an_only_image_comes_twice_and_few_classes_make_short_episodes():
    episodes = drawn(np.array([0, 0, 1]), sampling="2-shot")
    assert episodes.shape == (1, 4)
    assert sorted(episodes[0]) == [0, 1, 2, 2]


def test_batches_have_every_image_at_most_once():
    batches = drawn()
    assert batches.shape == (len(LABELS) // 8, 8)
    assert len(set(batches.flat)) == batches.size
