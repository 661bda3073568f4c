"""The Proposed Splits (Xian et al., TPAMI 2018) as their authors ship them.

A dataset is a folder with `att_splits.mat`, beside it feature files of the shape of `res101.mat`
(`features [d, n]`, `labels [n, 1]`, `image_files [n, 1]`) or an `index.csv`, and class lists
`trainclasses1.txt`, `valclasses1.txt`, ... Items and classes keep xlsa17's order, which is neither
that of `images.txt` nor 001..200 for CUB; indices are 1-based in the files, 0-based here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.data.matlab import AGAIN, indices, read_variables, real_matrix, require, strings
from zslbench.data.types import ClassSplit, ClassTable, Float, Int, Splits
from zslbench.errors import DataError, unknown

SPLITS_FILE = "att_splits.mat"
LOCS = ("trainval_loc", "test_seen_loc", "test_unseen_loc")


@dataclass(frozen=True)
class AttSplits:
    """The content of `att_splits.mat`; `leaks` counts test images inside train_loc and val_loc."""

    classes: ClassTable
    splits: Splits
    leaks: int
    tuning_locs: tuple[Int, Int] | None


@dataclass(frozen=True)
class Items:
    """Class and file name of every item, in item order; features `[n, d]` where read."""

    labels: Int
    files: list[str]
    source: Path
    features: NDArray[Any] | None = None


def read_att_splits(folder: Path) -> AttSplits:
    """Read and check class table and splits.

    Raises:
        DataError: Where anything is missing, malformed, not finite, or splits overlap.
    """
    path = folder / SPLITS_FILE
    variables = read_variables(path)
    classes = _class_table(variables, path, _attribute_names(folder))
    locs = [indices(require(variables, name, path), name, path) for name in LOCS]
    _check_partition(locs, path)
    tuning = None
    leaks = 0
    if "train_loc" in variables and "val_loc" in variables:
        total = sum(map(len, locs))
        tuning = (
            indices(variables["train_loc"], "train_loc", path, total),
            indices(variables["val_loc"], "val_loc", path, total),
        )
        leaks = len(np.intersect1d(np.concatenate(tuning), np.concatenate(locs[1:])))
    return AttSplits(classes, Splits(locs[0], locs[1], locs[2]), leaks, tuning)


def _class_table(
    variables: dict[str, NDArray[Any]], path: Path, attribute_names: tuple[str, ...]
) -> ClassTable:
    att = real_matrix(require(variables, "att", path), "att", path).T.astype(np.float64)
    names = strings(require(variables, "allclasses_names", path), "allclasses_names", path)
    if len(names) != len(att) or len(set(names)) != len(names):
        message = f"`allclasses_names` has {len(set(names))} names for {len(att)} columns of `att`"
        raise DataError(path, message, AGAIN)
    raw = att
    if "original_att" in variables:
        raw = real_matrix(variables["original_att"], "original_att", path).T.astype(np.float64)
    if raw.shape != att.shape:
        message = f"`original_att` is {raw.shape[::-1]}, `att` is {att.shape[::-1]}"
        raise DataError(path, message, AGAIN)
    attributes, expected = _unit_rows(att, names, path), _unit_rows(raw, names, path)
    if not np.allclose(attributes, expected, atol=1e-6):
        worst = int(np.abs(attributes - expected).max(axis=1).argmax())
        message = f"`att` is not `original_att` with unit columns (class {names[worst]})"
        raise DataError(path, message, AGAIN)
    if attribute_names and len(attribute_names) != att.shape[1]:
        message = f"{len(attribute_names)} attribute names for {att.shape[1]} attributes"
        raise DataError(path.parent, message, "Mend or remove the file of attribute names.")
    return ClassTable(tuple(names), attributes, raw, attribute_names)


def _unit_rows(table: Float, names: Sequence[str], path: Path) -> Float:
    norms = np.linalg.norm(table, axis=1, keepdims=True)
    if not (np.isfinite(norms) & (norms > 0)).all():
        name = names[int(np.argmin(norms.ravel()))]
        message = f"class {name} has no attribute other than 0"
        raise DataError(path, message, "Give every class at least one attribute.")
    unit: Float = table / norms
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
    for name in ("attributes.txt", "predicates.txt"):
        path = folder / name
        if path.is_file():
            lines = read_lines(path)
            numbered = all(line.split(maxsplit=1)[0].isdigit() for line in lines)
            return tuple(line.split(maxsplit=1)[-1] if numbered else line for line in lines)
    return ()


def read_lines(path: Path) -> list[str]:
    """Return the lines of a text file that are not blank, stripped."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise DataError(path, "is not a text file (UTF-8)", AGAIN) from None
    return [line.strip() for line in text.splitlines() if line.strip()]


def read_class_splits(folder: Path, classes: ClassTable, seen: Int) -> tuple[ClassSplit, ...]:
    """Read `trainclassesN.txt` and `valclassesN.txt`, N = 1, 2, ..., as far as there are any.

    Raises:
        DataError: On a name that is no seen class, or one in both lists.
    """
    found: list[ClassSplit] = []
    while (train := folder / f"trainclasses{len(found) + 1}.txt").is_file():
        number = len(found) + 1
        validation = folder / f"valclasses{number}.txt"
        if not validation.is_file():
            raise DataError(validation, "there is no such file", f"It belongs to {train.name}.")
        lists = tuple(_class_list(path, classes, seen) for path in (train, validation))
        shared = np.intersect1d(lists[0], lists[1])
        if len(shared):
            name = classes.names[shared[0]]
            raise DataError(validation, f"{name} is in {train.name} too", "Remove it from one.")
        found.append(ClassSplit(f"official {number}", lists[0], lists[1]))
    return tuple(found)


def _class_list(path: Path, classes: ClassTable, seen: Int) -> Int:
    numbers = {name: number for number, name in enumerate(classes.names)}
    listed = read_lines(path)
    seen_names = {classes.names[c] for c in seen}
    for name in listed:
        if name not in numbers:
            raise DataError(path, str(unknown("class", name, numbers))[:400], "Correct the name.")
        if name not in seen_names:
            message = f"{name} is an unseen class, which tuning must not touch"
            raise DataError(path, message, "Remove it from the list.")
    return np.sort(np.array([numbers[name] for name in set(listed)], dtype=np.int64))


def read_items(folder: Path, features: str | None, classes: int) -> Items:
    """Read labels and file names, and features if a feature file is named.

    Raises:
        DataError: If no file says which item is of which class, or what it says cannot be right.
    """
    if features is not None:
        return _items_from_mat(folder / f"{features}.mat", classes, with_features=True)
    for name in ("index.csv", "index.csv.gz"):
        if (folder / name).is_file():
            return _items_from_csv(folder / name, classes)
    feature_files = find_feature_files(folder)
    if feature_files:
        return _items_from_mat(folder / f"{feature_files[0]}.mat", classes, with_features=False)
    raise DataError(
        folder,
        "has neither a feature file (such as res101.mat) nor an index.csv, "
        "so nothing says which item is of which class",
        "Put res101.mat of the same dataset beside att_splits.mat.",
    )


def find_feature_files(folder: Path) -> list[str]:
    """Return the names of `.mat` files that may hold features, `res101` first."""
    names = [path.stem for path in folder.glob("*.mat") if path.name != SPLITS_FILE]
    return sorted(names, key=lambda name: (name != "res101", name))


def _items_from_mat(path: Path, classes: int, *, with_features: bool) -> Items:
    wanted = ("labels", "image_files") + (("features",) if with_features else ())
    variables = read_variables(path, wanted)
    labels = indices(require(variables, "labels", path), "labels", path, classes)
    files = (
        strings(variables["image_files"], "image_files", path)
        if len(variables) > 1 and ("image_files" in variables)
        else []
    )
    if not with_features:
        return Items(labels, files, path)
    matrix = real_matrix(require(variables, "features", path), "features", path).T
    if len(matrix) != len(labels):
        message = f"`features` has {len(matrix)} columns for {len(labels)} labels"
        raise DataError(path, message, AGAIN)
    return Items(labels, files, path, np.ascontiguousarray(matrix))


def _items_from_csv(path: Path, classes: int) -> Items:
    import pandas as pd

    columns = ["index_1based", "label_1based", "image_file"]
    try:
        table = pd.read_csv(path, usecols=columns, dtype={"image_file": str})
        table = table.sort_values("index_1based")
        numbers = table[columns[:2]].to_numpy(dtype=np.float64)
    except (ValueError, OSError, EOFError) as error:
        message = f"is not a table with the columns {', '.join(columns)} ({error})"[:200]
        raise DataError(path, message, "Write it again with `zslbench data build`.") from error
    if not np.array_equal(numbers[:, 0], np.arange(1, len(numbers) + 1)):
        raise DataError(path, "`index_1based` is not 1..n", AGAIN)
    labels = indices(numbers[:, 1:], "label_1based", path, classes)
    return Items(labels, table["image_file"].tolist(), path)


def locate_images(files: Sequence[str], root: Path) -> list[Path]:
    """Find image files, listed under foreign absolute paths, by their suffix below `root`.

    Raises:
        DataError: If any is missing, with the first ones named and their number.
    """
    found, missing, drop = [], [], 0
    for file in files:
        parts = [part for part in file.replace("\\", "/").split("/") if part not in ("", ".")]
        if ".." in parts:
            raise DataError(root, f"image file {file!r} points outside", "Correct the list.")
        tries = [drop, *(k for k in range(len(parts)) if k != drop)]
        path = next((p for k in tries if (p := root.joinpath(*parts[k:])).is_file()), None)
        if path is None:
            missing.append(file)
        else:
            drop = len(parts) - len(path.relative_to(root).parts)
            found.append(path)
    if missing:
        some = "; ".join(missing[:5]) + (" ..." if len(missing) > 5 else "")
        raise DataError(
            root,
            f"{len(missing)} of {len(files)} image files are not below this folder: {some}",
            "Put the images there, or name their folder with --images.",
        )
    return found
