"""The files kept beside a run's record, written and read without pickle."""

import csv
import hashlib
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO
from zipfile import ZIP_STORED, ZipFile

import numpy as np
from numpy.typing import NDArray

from zslbench.errors import DataError, ZslbenchError
from zslbench.metrics import Int, ScoreSummary

SUMMARIES = "summaries.npy"
TEST = "test.npz"
PREDICTIONS = "predictions.csv"
ANSWERS = "answers.npz"
DOCTOR = "Run `zslbench doctor`."


def write_summaries(folder: Path, summaries: dict[int, ScoreSummary]) -> None:
    """Write label-free score summaries: a record for each epoch, with a row for each image."""
    images = max((len(summary.seen_class) for summary in summaries.values()), default=0)
    records = np.empty(len(summaries), dtype=_layout_of(images))
    for record, (epoch, summary) in zip(records, sorted(summaries.items()), strict=True):
        record["epoch"], record["scale"] = epoch, summary.scale
        for name in ScoreSummary.ARRAYS:
            record["images"][name] = getattr(summary, name)
    np.save(folder / SUMMARIES, records)


def _layout_of(images: int) -> np.dtype[Any]:
    """Return the layout of a record of one epoch."""
    kinds = [(n, np.int32 if n.endswith("class") else np.float32) for n in ScoreSummary.ARRAYS]
    return np.dtype([("epoch", np.int64), ("scale", np.float64), ("images", kinds, (images,))])


def read_summaries(folder: Path) -> dict[int, ScoreSummary]:
    """Read score summaries by epoch."""
    with _readable(folder / SUMMARIES):
        return {int(record["epoch"]): _summary(record) for record in _records(folder)}


def summaries_of(folder: Path, epochs: Collection[int]) -> bytes:
    """Return the file of score summaries as it would be of these epochs alone."""
    records, out = _records(folder), BytesIO()
    with _readable(folder / SUMMARIES):
        np.save(out, records[np.isin(records["epoch"], list(epochs))])
        return out.getvalue()


def read_summary(folder: Path, epoch: int) -> ScoreSummary:
    """Read the score summary of one epoch, and no other."""
    with _readable(folder / SUMMARIES) as path, path.open("rb") as file:
        layout, count = _layout(*_header(file))
        start, epochs = file.tell(), []
        for number in range(count):
            file.seek(start + number * layout.itemsize)
            epochs.append(int.from_bytes(file.read(8), "little", signed=True))
            if epochs[-1] == epoch:
                file.seek(-8, os.SEEK_CUR)
                return _summary(np.fromfile(file, layout, 1)[0])
    why = f"has no epoch {epoch}, only {', '.join(map(str, epochs))}"
    raise DataError(folder / SUMMARIES, why, DOCTOR)


def _header(file: BinaryIO) -> tuple[tuple[int, int], bytes]:
    """Return the version and the header of a .npy file, which is then at its first record."""
    version = np.lib.format.read_magic(file)
    width = 2 if version == (1, 0) else 4
    size = file.read(width)
    return version, size + file.read(int.from_bytes(size, "little"))


@lru_cache(maxsize=64)  # the runs of one dataset have all the same header
def _layout(version: tuple[int, int], header: bytes) -> tuple[np.dtype[Any], int]:
    """Return a record's layout and the number of records."""
    read = np.lib.format
    parse = read.read_array_header_1_0 if version == (1, 0) else read.read_array_header_2_0
    (count,), _, layout = parse(BytesIO(header))
    return layout, count


def _records(folder: Path) -> NDArray[Any]:
    """Open the records, each of which is read when it is looked at."""
    with _readable(folder / SUMMARIES) as path:
        records: NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
        if records.ndim != 1 or records.dtype != _layout_of(*records.dtype["images"].shape):
            raise ValueError("it holds something else")
    return records


def _summary(record: Any) -> ScoreSummary:
    columns = {name: np.array(record["images"][name]) for name in ScoreSummary.ARRAYS}
    return ScoreSummary(**columns, scale=float(record["scale"]))


def write_test(
    folder: Path,
    items: Int,
    classes: Int,
    labels: Int,
    seen: int,
    names: Sequence[str],
    files: Sequence[str] = (),
) -> None:
    """Write the test items with the labels opened for them, the class order and the class names.

    `files` are the image files of all items: those of the test items are kept as digests, so that
    datasets that share photos are known by their runs.
    """
    np.savez(
        folder / TEST,
        items=items,
        classes=classes,
        labels=labels,
        seen=np.array([seen]),
        names=np.array(names),
        photos=np.array([_photo(files[item]) for item in items] if files else [], np.uint64),
    )


def _photo(file: str) -> int:
    """Return a digest of an image file's folder and name, without what differs between copies."""
    path = PurePosixPath(file.replace("\\", "/"))
    name = f"{path.parent.name}/{path.stem}"
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8])


def read_photos(folder: Path) -> NDArray[np.uint64]:
    """Return digests of the test photos; none where their files are not known."""
    with _readable(folder / TEST) as path:
        found: NDArray[np.uint64] = _unpacked(path.read_bytes()).get("photos", np.array([], "u8"))
        return found


def shared(one: NDArray[np.uint64], other: NDArray[np.uint64]) -> bool:
    """Return whether two test sets have a photo in common."""
    return bool(np.isin(one, other).any())


def read_test(folder: Path) -> tuple[Int, int]:
    """Return the labels `[m]` in the world's numbering, and the number of seen classes."""
    with _readable(folder / TEST) as path:
        arrays = _unpacked(path.read_bytes())
        return arrays["labels"].astype(np.int64, copy=False), int(arrays["seen"][0])


def read_class_names(folder: Path) -> tuple[str, ...]:
    """Return the names of the classes, seen first; numbers where a run was stored without names."""
    with _readable(folder / TEST) as path:
        arrays = _unpacked(path.read_bytes())
        if "names" in arrays:
            return tuple(arrays["names"].tolist())
        return tuple(f"class {number}" for number in arrays["classes"].tolist())


@lru_cache(maxsize=8)  # the runs of one dataset have all the same file
def _unpacked(content: bytes) -> Mapping[str, NDArray[Any]]:
    with ZipFile(BytesIO(content)) as file:  # what is compressed may be of any size
        if any(entry.compress_type != ZIP_STORED for entry in file.infolist()):
            raise ValueError("it is compressed")
    with np.load(BytesIO(content), allow_pickle=False) as arrays:
        found = dict(arrays)
    for array in found.values():
        array.flags.writeable = False
    return found


def write_predictions(folder: Path, items: Int, predicted: list[str]) -> None:
    """Write the class predicted for each test item (0-based, in the dataset's order)."""
    with (folder / PREDICTIONS).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["item", "predicted_class"])
        writer.writerows(zip(items.tolist(), predicted, strict=True))


def write_answers(folder: Path, predicted: Int, labels: Int, items: Int, order: Int) -> None:
    """Write what a run along a task sequence answered after each task, with the truth.

    Args:
        folder: The record's.
        predicted: `[T, m]` classes, in the order they were learnt in.
        labels: `[m]` true classes, likewise.
        items: `[m]` test items.
        order: `[C]` the dataset's classes in that order.
    """
    np.savez(folder / ANSWERS, predicted=predicted, labels=labels, items=items, order=order)


def read_answers(folder: Path) -> tuple[Int, Int, Int]:
    """Return `[T, m]` answers, `[m]` labels, `[C]` the order, of a run along a task sequence."""
    predicted, labels, order = _whole_numbers(folder / ANSWERS, "predicted", "labels", "order")
    return predicted, labels, order


def read_tested(folder: Path) -> tuple[Int, Int, int, tuple[str, ...]]:
    """Return the test items, the classes in their order, how many are seen, and all their names."""
    items, classes, seen = _whole_numbers(folder / TEST, "items", "classes", "seen")
    with _readable(folder / TEST):
        (number,) = seen.tolist()
        return items, classes, number, read_class_names(folder)


def read_predicted(folder: Path) -> tuple[Int, Int, Int]:
    """Return `[T, m]` answers, `[m]` test items, `[C]` the order: what needs no label."""
    predicted, items, order = _whole_numbers(folder / ANSWERS, "predicted", "items", "order")
    return predicted, items, order


def _whole_numbers(path: Path, *names: str) -> list[Int]:
    with _readable(path):
        arrays = _unpacked(path.read_bytes())
        return [arrays[name].astype(np.int64, casting="safe", copy=False) for name in names]


def without_labels(content: bytes) -> bytes:
    """Return a file of test items or answers as it may be passed on.

    Without the labels, and without the digests of photos, which tell the class to whoever has the
    photos' names.
    """
    kept, out = dict(_unpacked(content)), BytesIO()
    for name in ("labels", "photos"):
        kept.pop(name, None)
    np.savez(out, **kept)  # type: ignore[arg-type]
    return out.getvalue()


@contextmanager
def _readable(path: Path) -> Iterator[Path]:
    """Name a file that cannot be read, and what to do about it.

    Readers of arrays and of zip files raise anything on bytes that they have not written.
    """
    try:
        yield path
    except ZslbenchError:
        raise
    except Exception as error:
        said = getattr(error, "strerror", None) or str(error)  # the former names no path
        reason = " ".join(said.split())[:150]
        raise DataError(path, f"cannot be read ({reason})", DOCTOR) from error
