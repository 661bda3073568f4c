"""The files kept beside a run's record, written and read without pickle."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from zslbench.errors import DataError
from zslbench.metrics import Int, Outcome, ScoreSummary

SUMMARIES = "summaries.npz"
TEST = "test.npz"
PREDICTIONS = "predictions.csv"
CURVE = "gamma_curve.png"
ANSWERS = "answers.npz"


def write_summaries(folder: Path, summaries: dict[int, ScoreSummary]) -> None:
    """Write label-free score summaries by epoch."""
    arrays: dict[str, NDArray[np.generic]] = {}
    for epoch, summary in summaries.items():
        arrays |= {f"{epoch}/{name}": getattr(summary, name) for name in ScoreSummary.ARRAYS}
        arrays[f"{epoch}/scale"] = np.float64(summary.scale).reshape(1)
    np.savez(folder / SUMMARIES, **arrays)  # type: ignore[arg-type]


def read_summaries(folder: Path) -> dict[int, ScoreSummary]:
    """Read score summaries by epoch."""
    with _open(folder / SUMMARIES) as arrays:
        epochs = sorted({int(name.split("/")[0]) for name in arrays})
        return {epoch: _summary(arrays, epoch) for epoch in epochs}


def read_summary(folder: Path, epoch: int) -> ScoreSummary:
    """Read the score summary of one epoch, and no other."""
    with _open(folder / SUMMARIES) as arrays:
        return _summary(arrays, epoch)


def _summary(arrays: Mapping[str, NDArray[Any]], epoch: int) -> ScoreSummary:
    read = {name: arrays[f"{epoch}/{name}"] for name in ScoreSummary.ARRAYS}
    return ScoreSummary(**read, scale=float(arrays[f"{epoch}/scale"][0]))


def write_test(
    folder: Path, items: Int, classes: Int, labels: Int, seen: int, names: Sequence[str]
) -> None:
    """Write the test items with the labels opened for them, the class order and the class names."""
    np.savez(
        folder / TEST,
        items=items,
        classes=classes,
        labels=labels,
        seen=np.array([seen]),
        names=np.array(names),
    )


def read_test(folder: Path) -> tuple[Int, int]:
    """Return the labels `[m]` in the world's numbering, and the number of seen classes."""
    with _open(folder / TEST) as arrays:
        return arrays["labels"].astype(np.int64), int(arrays["seen"][0])


def read_class_names(folder: Path) -> tuple[str, ...]:
    """Return the names of the classes, seen first; numbers where a run was stored without names."""
    with _open(folder / TEST) as arrays:
        if "names" in arrays:
            return tuple(arrays["names"].tolist())
        return tuple(f"class {number}" for number in arrays["classes"].tolist())


def read_outcome(folder: Path, epoch: int) -> Outcome:
    """Return the outcome of one epoch of a stored run."""
    labels, seen = read_test(folder)
    return Outcome.of(read_summary(folder, epoch), labels, seen)


def write_predictions(folder: Path, items: Int, predicted: list[str]) -> None:
    """Write the class predicted for each test item (0-based, in the dataset's order)."""
    rows = [f"{item},{name}" for item, name in zip(items.tolist(), predicted, strict=True)]
    (folder / PREDICTIONS).write_text("\n".join(["item,predicted_class", *rows]) + "\n")


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
    with _open(folder / ANSWERS) as arrays:
        names = ("predicted", "labels", "order")
        predicted, labels, order = (arrays[name].astype(np.int64) for name in names)
        return predicted, labels, order


@contextmanager
def _open(path: Path) -> Iterator[Mapping[str, NDArray[Any]]]:
    """Open a file of arrays, each of which is read when it is asked for."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            yield arrays
    except (OSError, ValueError, EOFError, KeyError, BadZipFile) as error:
        raise DataError(path, f"cannot be read ({error})", "Run `zslbench doctor`.") from error
