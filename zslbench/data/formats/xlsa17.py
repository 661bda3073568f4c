"""The Proposed Splits (Xian et al., TPAMI 2018) as their authors ship them.

A dataset is a folder with `att_splits.mat`, beside it feature files such as `res101.mat` (see
`formats/features.py`) or an `index.csv`, and class lists `trainclasses1.txt`, `valclasses1.txt`,
... Items and classes keep xlsa17's order, which is neither that of `images.txt` nor 001..200 for
CUB; indices are 1-based in the files, 0-based here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.data.formats.matlab import (
    AGAIN,
    indices,
    read_variables,
    real_matrix,
    strings,
)
from zslbench.data.texts import find_text, read_lines, refuse_twice
from zslbench.data.types import ClassTable, Float, Int, Splits
from zslbench.errors import DataError

SPLITS_FILE = "att_splits.mat"
LOCS = ("trainval_loc", "test_seen_loc", "test_unseen_loc")


@dataclass(frozen=True)
class AttSplits:
    """The content of `att_splits.mat`; `leaks` counts test images inside train_loc and val_loc."""

    classes: ClassTable
    splits: Splits
    leaks: int
    tuning_locs: tuple[Int, Int] | None


def read_att_splits(folder: Path) -> AttSplits:
    """Read and check class table and splits.

    Raises:
        DataError: Where anything is missing, malformed, not finite, or splits overlap.
    """
    path = folder / SPLITS_FILE
    optional = ("allclasses_names", "original_att", "train_loc", "val_loc")
    variables = read_variables(path, ("att", *LOCS), optional)
    classes = _class_table(variables, path, _attribute_names(folder))
    locs = [indices(variables[name], name, path) for name in LOCS]
    _check_partition(locs, path)
    tuning, leaks = None, 0
    if "train_loc" in variables and "val_loc" in variables:
        total = sum(map(len, locs))
        train, val = (indices(variables[n], n, path, total) for n in ("train_loc", "val_loc"))
        tuning = train, val
        leaks = len(np.intersect1d(np.concatenate(tuning), np.concatenate(locs[1:])))
    return AttSplits(classes, Splits(locs[0], locs[1], locs[2]), leaks, tuning)


def _class_table(
    variables: dict[str, NDArray[Any]], path: Path, attribute_names: tuple[str, ...]
) -> ClassTable:
    att = real_matrix(variables["att"], "att", path).T.astype(np.float64)
    names = [str(number) for number in range(1, len(att) + 1)]  # FLO's file has no names
    if "allclasses_names" in variables:
        names = strings(variables["allclasses_names"], "allclasses_names", path)
    if len(names) != len(att):
        message = f"`allclasses_names` has {len(names)} names for {len(att)} columns of `att`"
        raise DataError(path, message, "Give each class a name, and a column of `att`.")
    refuse_twice(path, "class", dict(enumerate(names, start=1)), "entries")
    original = variables.get("original_att", variables["att"])
    raw = real_matrix(original, "original_att", path).T.astype(np.float64)
    if raw.shape != att.shape:
        message = f"`original_att` is {raw.shape[::-1]}, `att` is {att.shape[::-1]}"
        raise DataError(path, message, AGAIN)
    attributes, expected = _unit_rows(att, names, path), _unit_rows(raw, names, path)
    if not np.allclose(attributes, expected, rtol=0, atol=1e-6):
        worst = int(np.abs(attributes - expected).max(axis=1).argmax())
        message = f"`att` is not `original_att` with unit columns (class {names[worst]})"
        raise DataError(path, message, AGAIN)
    if attribute_names and len(attribute_names) != att.shape[1]:
        message = f"{len(attribute_names)} attribute names for {att.shape[1]} attributes"
        raise DataError(path.parent, message, "Fix or remove the file of attribute names.")
    return ClassTable(tuple(names), attributes, raw, attribute_names)


def _unit_rows(table: Float, names: Sequence[str], path: Path) -> Float:
    largest = np.abs(table).max(axis=1, keepdims=True)
    if not largest.all():
        message = f"class {names[int(np.argmin(largest))]} has no attribute other than 0"
        raise DataError(path, message, "Give every class at least one attribute.")
    scaled = table / largest
    unit: Float = scaled / np.linalg.norm(scaled, axis=1, keepdims=True)
    return unit


def _check_partition(locs: Sequence[Int], path: Path) -> None:
    """Check that the splits are disjoint and cover 1..n."""
    for i, name in enumerate(LOCS):
        if len(np.unique(locs[i])) != len(locs[i]):
            raise DataError(path, f"`{name}` names items twice", AGAIN)
        for j in range(i):
            shared = len(np.intersect1d(locs[i], locs[j]))
            if shared:
                message = f"`{name}` and `{LOCS[j]}` overlap in {shared} items"
                raise DataError(path, message, "Use the published splits file, unaltered.")
    covered = np.concatenate(locs)
    if covered.max() + 1 != len(covered):
        message = f"the splits hold {len(covered)} items but name item {covered.max() + 1}"
        raise DataError(path, message, AGAIN)


def _attribute_names(folder: Path) -> tuple[str, ...]:
    """Read attribute names from `attributes.txt` or `predicates.txt`, numbered or not."""
    paths = filter(
        None, (find_text(folder, f"{kind}.txt") for kind in ("attributes", "predicates"))
    )
    found = {path: _names(path) for path in paths}
    if len(set(found.values())) > 1:
        one, other = found
        raise DataError(one, f"names other attributes than {other.name}", "Remove one of the two.")
    return next(iter(found.values()), ())


def _names(path: Path) -> tuple[str, ...]:
    """Read names, one a line; the numbers before them, where all have one, are dropped."""
    lines = read_lines(path)
    parts = {number: line.split(maxsplit=1) for number, line in lines.items()}
    if parts and all(len(part) == 2 and part[0].isdecimal() for part in parts.values()):
        for count, (number, (first, name)) in enumerate(parts.items(), start=1):
            if int(first) != count:
                message = f"line {number} is numbered {first}, and {count} is expected"
                raise DataError(path, message, "Number all names from 1 on, or none.")
            lines[number] = name
    refuse_twice(path, "attribute", lines)
    return tuple(lines.values())
