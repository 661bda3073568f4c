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
def test_an_episode_has_two_images_of_each_of_four_classes(method):
    episodes = drawn(method=method, sampling="episodes")
    assert episodes.shape == (len(LABELS) // 8, 8)
    for items in episodes:
        classes, counts = np.unique(LABELS[items], return_counts=True)
        assert (len(classes), set(counts)) == (4, {2})
        assert len(set(items)) == 8
    assert len({tuple(np.unique(LABELS[items])) for items in episodes}) > 1


def test_episodes_follow_from_seed_and_epoch():
    first, again, later = (drawn(epoch=epoch, sampling="episodes") for epoch in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, later)


def test_an_only_image_comes_twice_and_few_classes_make_short_episodes():
    episodes = drawn(np.array([0, 0, 1]), sampling="episodes")
    assert episodes.shape == (1, 4)
    assert sorted(episodes[0]) == [0, 1, 2, 2]


def test_batches_have_every_image_at_most_once():
    batches = drawn()
    assert batches.shape == (len(LABELS) // 8, 8)
    assert len(set(batches.flat)) == batches.size
