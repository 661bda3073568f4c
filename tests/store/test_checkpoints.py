"""Checkpoints: the last whole epoch, with everything scored so far, each summary written once."""

import numpy as np
import pytest
import torch

from zslbench.metrics import summarise
from zslbench.store import checkpoints
from zslbench.store.checkpoints import Progress, Slot


def summary(epoch):
    scores = np.random.default_rng(epoch).normal(size=(5, 4)).astype(np.float32)
    return summarise(scores, 2, 1.5)


def state(epoch):
    return {"weights": torch.full((3,), float(epoch))}


def follow(slot, progress, epochs):
    for epoch in epochs:
        progress.summaries[epoch] = summary(epoch)
        progress.losses.setdefault("loss", []).append(1 / epoch)
        slot.save(epoch, state(epoch), progress)


@pytest.fixture
def place(tmp_path):
    return tmp_path / "slot"


def check(place, epochs):
    """Check that a new process finds these epochs, and return its slot and progress."""
    slot = Slot(place)
    found, progress = slot.load()
    assert found["weights"].tolist() == [float(epochs[-1])] * 3
    assert list(progress.summaries) == list(epochs)
    for epoch, mine in progress.summaries.items():
        for name in mine.ARRAYS:
            np.testing.assert_array_equal(getattr(mine, name), getattr(summary(epoch), name))
    assert progress.losses == {"loss": [1 / epoch for epoch in epochs]}
    return slot, progress


def test_the_last_epoch_is_found_with_all_that_was_scored(place):
    follow(Slot(place), Progress(), range(1, 5))
    slot, progress = check(place, range(1, 5))
    follow(slot, progress, range(5, 7))
    check(place, range(1, 7))
    assert len(list(place.glob("epoch-*"))) == 1


def test_a_summary_is_written_once_whatever_comes_after_it(place, monkeypatch):
    written = []

    def write(folder, summaries, real=checkpoints.write_summaries):
        written.extend(summaries)
        real(folder, summaries)

    monkeypatch.setattr(checkpoints, "write_summaries", write)
    follow(Slot(place), Progress(), range(1, 5))
    slot, progress = check(place, range(1, 5))
    follow(slot, progress, range(5, 9))
    assert written == list(range(1, 9))


@pytest.mark.parametrize("step", ["write_summaries", "save"])
def test_a_kill_within_a_save_leaves_the_epoch_before(place, monkeypatch, step):
    slot, progress = Slot(place), Progress()
    follow(slot, progress, range(1, 4))

    def die(*_):
        raise SystemExit

    target = torch if step == "save" else checkpoints
    with monkeypatch.context() as patch:
        patch.setattr(target, step, die)
        with pytest.raises(SystemExit):
            follow(slot, progress, [4])
    slot, progress = check(place, range(1, 4))
    follow(slot, progress, [4, 5])
    check(place, range(1, 6))


def test_one_of_an_earlier_version_is_begun_anew(place):
    follow(Slot(place), Progress(), [1])
    (place / "epoch-1" / "progress.json").write_text('{"losses": {}, "fitting": 1.0}')
    found, progress = Slot(place).load()
    assert (found, progress) == (None, Progress())


def test_a_cleared_slot_is_empty(place):
    slot = Slot(place)
    follow(slot, Progress(), [1])
    slot.clear()
    assert not place.exists()
    assert Slot(place).load() == (None, Progress())
