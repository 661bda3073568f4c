"""Scores that someone else has made: the file they come in, checked before anything is opened.

It is a `.npz` file with `scores` `[n, C]` of the test items over all classes, `items` and `classes`
in the order of the template, and `gamma`, which is subtracted from the seen classes' scores before
U, S and H are read. There are no tuning worlds to choose a gamma in: without one it is 0.
"""

import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from zslbench.data.texts import nfc, refuse_twice
from zslbench.data.types import content_digest
from zslbench.errors import DataError, ZslbenchError
from zslbench.metrics import Float, Int
from zslbench.protocol import World

TEMPLATE = "Begin with a fresh file of `zslbench submit --template`, and fill in its `scores`."


@dataclass(frozen=True)
class Submission:
    """What a file holds, checked.

    Attributes:
        scores: `[n, C]` of the final world's test items over its classes, in its order.
        gamma: Subtracted from the seen classes' scores, in their own unit.
    """

    scores: Float
    gamma: float

    @property
    def digest(self) -> str:
        """What identifies it."""
        return content_digest(self.scores, self.gamma)


def write_template(path: Path, world: World) -> None:
    """Write a submission whose scores are yet to be filled in.

    Raises:
        ZslbenchError: If there is such a file already.
    """
    if path.exists():
        raise ZslbenchError(f"--template {path}: there is such a file. Name a new one.")
    names = _names(world)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{uuid4().hex}")
    with draft.open("wb") as file:
        np.savez(
            file,
            items=world.test,
            classes=np.array(names),
            scores=np.full((len(world.test), len(names)), np.nan, dtype=np.float32),
            gamma=np.float64(0),
        )
    draft.replace(path)


def _names(world: World) -> list[str]:
    return [world.dataset.classes.names[c] for c in world.classes]


def read_submission(path: Path, world: World) -> Submission:
    """Read a file and check it against the final world.

    Raises:
        DataError: If it is no such file, or its shape, order or a value is wrong.
    """
    n, classes = len(world.test), len(world.classes)
    arrays = _arrays(path, most=64 * n * classes + 2**24)
    for name in ("scores", "items", "classes"):
        if name not in arrays:
            _refuse(path, f"has no array `{name}`")
    _check_order(path, arrays["items"], world.test)
    _check_names(path, arrays["classes"], _names(world))
    scores, gamma = arrays["scores"], arrays.get("gamma", np.zeros(()))
    if scores.shape != (n, classes) or scores.dtype.kind not in "fiu":
        _refuse(
            path,
            f"`scores` is {scores.dtype} of shape {scores.shape}, not numbers of shape "
            f"{(n, classes)}: one row a test item, one column a class",
        )
    with np.errstate(over="ignore"):
        strange = np.argwhere(~np.isfinite(scores.astype(np.float32)))
    if len(strange):
        row, column = strange[0].tolist()
        _refuse(
            path,
            f"`scores` holds {len(strange)} values that are no finite float32, the first is "
            f"{scores[row, column]} in row {row}, column {column}",
        )
    if gamma.size != 1 or gamma.dtype.kind not in "fiu" or not np.isfinite(gamma).all():
        _refuse(path, "`gamma` is not one finite number")
    return Submission(scores.astype(np.float64), float(gamma.reshape(())))


def _arrays(path: Path, most: int) -> dict[str, NDArray[Any]]:
    """Read the arrays of a file, of `most` bytes in all, and nothing that would execute."""
    if not path.is_file():
        raise DataError(path, "there is no such file", TEMPLATE)
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
            refuse_twice(path, "array", dict(enumerate(archive.namelist(), start=1)), "places")
        if size > most:
            _refuse(path, f"holds {size} bytes, more than a submission to this dataset can")
        with np.load(path, allow_pickle=False) as content:
            return {name: content[name] for name in content.files}
    except (OSError, ValueError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error,
            NotImplementedError, RuntimeError) as error:  # fmt: skip
        reason = " ".join(str(error).split())[:150].rstrip(".")
        raise DataError(
            path, f"cannot be read as arrays in a .npz file ({reason})", TEMPLATE
        ) from error


def _refuse(path: Path, what: str) -> NoReturn:
    raise DataError(path, what, TEMPLATE)


def _check_order(path: Path, items: NDArray[Any], expected: Int) -> None:
    if items.dtype.kind not in "iu" or items.ndim != 1:
        _refuse(
            path, f"`items` is {items.dtype} of shape {items.shape}, not a list of item numbers"
        )
    values, counts = np.unique(items, return_counts=True)
    if len(values) < len(items):
        _refuse(path, f"`items` names item {values[counts > 1][0]} more than once")
    if len(items) != len(expected):
        _refuse(path, f"`items` names {len(items)} items; {len(expected)} are on test")
    wrong = np.flatnonzero(items != expected)
    if len(wrong):
        first = int(wrong[0])
        _refuse(path, f"`items` has {items[first]} at place {first}, not {expected[first]}")


def _check_names(path: Path, classes: NDArray[Any], expected: Sequence[str]) -> None:
    if classes.dtype.kind != "U" or classes.ndim != 1:
        _refuse(path, f"`classes` is {classes.dtype} of shape {classes.shape}, not a list of names")
    if len(classes) != len(expected):
        _refuse(path, f"`classes` names {len(classes)} classes; there are {len(expected)}")
    for place, (name, right) in enumerate(zip(classes.tolist(), expected, strict=True)):
        if nfc(name) != right:
            _refuse(path, f"`classes` has {name!r} at place {place}, not {right!r}")
