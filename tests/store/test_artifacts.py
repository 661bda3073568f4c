"""Files beside a record: what is asked for is read, what cannot be read is named."""

import csv

import numpy as np
import pytest

from zslbench.errors import DataError
from zslbench.metrics import ScoreSummary, summarise
from zslbench.store import artifacts


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    summaries = {epoch: summarise(rng.normal(size=(5, 4)), 2, 1.5) for epoch in (3, 11)}
    artifacts.write_summaries(tmp_path, summaries)
    labels = np.array([0, 1, 2, 3, 3])
    artifacts.write_test(tmp_path, np.arange(5), np.arange(4), labels, 2, list("abcd"))
    return tmp_path


def test_one_epoch_reads_the_same_as_all(folder):
    every = artifacts.read_summaries(folder)
    assert list(every) == [3, 11]
    for epoch, summary in every.items():
        alone = artifacts.read_summary(folder, epoch)
        assert alone.scale == summary.scale == 1.5
        for name in ScoreSummary.ARRAYS:
            assert np.array_equal(getattr(alone, name), getattr(summary, name))


@pytest.mark.parametrize(
    ("file", "same"),
    [("/data/CUB/images/a.b/1.png", True), (r"C:\a.b\1.jpg", True), ("a.b/1", True),
     ("a.c/1.jpg", False), ("a.b/2.jpg", False), ("a.b", False)],
)  # fmt: skip
def test_photos_are_known_by_their_folder_and_name(folder, tmp_path, file, same):
    assert len(artifacts.read_photos(folder)) == 0  # no names, as in runs of older versions
    found = []
    for name in ("images/a.b/1.jpg", file):
        ones = np.ones(1, np.int64)
        artifacts.write_test(tmp_path, ones, ones, ones, 1, ["a"], files=["", name])
        found.append(artifacts.read_photos(tmp_path))
    assert artifacts.shared(*found) is same
    assert not artifacts.shared(found[0], np.array([], np.uint64))


def test_no_epochs_are_kept_as_such(tmp_path):
    artifacts.write_summaries(tmp_path, {})
    assert artifacts.read_summaries(tmp_path) == {}


def test_an_epoch_that_was_not_kept_is_named(folder):
    with pytest.raises(DataError, match=r"summaries.npy.*no epoch 4, only 3, 11"):
        artifacts.read_summary(folder, 4)


@pytest.mark.parametrize("content", [b"", b"no array", b"\x93NUMPY\x01\x00 half of one"])
def test_summaries_that_cannot_be_read_are_named(folder, content):
    (folder / artifacts.SUMMARIES).write_bytes(content)
    with pytest.raises(DataError, match=r"summaries.npy"):
        artifacts.read_summary(folder, 3)


@pytest.mark.filterwarnings("error")
def test_summaries_that_are_an_archive_of_arrays_are_named_and_closed(folder):
    (folder / artifacts.TEST).rename(folder / artifacts.SUMMARIES)
    with pytest.raises(DataError, match=r"summaries.npy"):
        artifacts.read_summaries(folder)


def test_test_items_that_are_compressed_are_refused(folder):
    """They may be of any size."""
    np.savez_compressed(folder / artifacts.TEST, labels=np.zeros(9, int), seen=np.array([1]))
    with pytest.raises(DataError, match=r"test.npz: cannot be read \(it is compressed\)"):
        artifacts.read_test(folder)


def test_an_array_that_holds_no_summaries_is_named(folder):
    np.save(folder / artifacts.SUMMARIES, np.zeros(3))
    with pytest.raises(DataError, match=r"summaries.npy"):
        artifacts.read_summaries(folder)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 half of one"])
def test_files_that_are_no_archives_are_named(folder, content):
    (folder / artifacts.TEST).write_bytes(content)
    for read in (artifacts.read_test, artifacts.read_class_names):
        with pytest.raises(DataError, match=r"test.npz"):
            read(folder)


def test_an_archive_without_labels_is_named(folder):
    np.savez(folder / artifacts.TEST, seen=np.array([1]))
    with pytest.raises(DataError, match=r"test.npz"):
        artifacts.read_test(folder)


def test_arrays_that_would_need_pickle_are_refused(folder):
    objects = np.array([{"code": print}], dtype=object)
    np.savez(folder / artifacts.TEST, labels=objects, seen=np.array([1]))
    with pytest.raises(DataError, match=r"test.npz"):
        artifacts.read_test(folder)


def test_predictions_hold_class_names_of_any_kind(tmp_path):
    names = ["Gull, Herring", 'the "Auk"', "Möwe", "two\nlines", "class_1"]
    artifacts.write_predictions(tmp_path, np.arange(5), names)
    with (tmp_path / artifacts.PREDICTIONS).open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [
            ["item", "predicted_class"], *([str(n), name] for n, name in enumerate(names)),
        ]  # fmt: skip
