"""The Proposed Splits (Xian et al., TPAMI 2018) as their authors ship them.

A dataset is a folder with `att_splits.mat`, beside it feature files of the shape of `res101.mat`
(`features [d, n]`, `labels [n, 1]`, `image_files [n, 1]`) or an `index.csv`, and class lists
`trainclasses1.txt`, `valclasses1.txt`, ... Items and classes keep xlsa17's order, which is neither
that of `images.txt` nor 001..200 for CUB; indices are 1-based in the files, 0-based here.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from os.path import isfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.data.formats.matlab import AGAIN, indices, read_variables, real_matrix, strings
from zslbench.data.types import ClassSplit, ClassTable, Float, Int, Splits
from zslbench.errors import DataError, reading, unknown

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
    if "allclasses_names" not in variables:  # such as FLO's file
        message = "has no variable `allclasses_names`"
        raise DataError(path, message, "Add it: a cell array, one name for each column of `att`.")
    names = strings(variables["allclasses_names"], "allclasses_names", path)
    if len(names) != len(att) or len(set(names)) != len(names):
        message = f"`allclasses_names` has {len(set(names))} names for {len(att)} columns of `att`"
        raise DataError(path, message, AGAIN)
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
    for name in ("attributes.txt", "predicates.txt"):
        path = folder / name
        if path.is_file():
            lines = read_lines(path)
            firsts = [line.split(maxsplit=1)[0] for line in lines]
            numbered = firsts == [str(number) for number in range(1, len(lines) + 1)]
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
        listed, held = (_class_list(path, classes, seen) for path in (train, validation))
        shared = np.intersect1d(listed, held)
        if len(shared):
            name = classes.names[shared[0]]
            raise DataError(validation, f"{name} is in {train.name} too", "Remove it from one.")
        found.append(ClassSplit(f"official {number}", listed, held))
    return tuple(found)


def _class_list(path: Path, classes: ClassTable, seen: Int) -> Int:
    numbers = {name: number for number, name in enumerate(classes.names)}
    listed = read_lines(path)
    if not listed:
        raise DataError(path, "names no class", "Name one class a line, or remove both lists.")
    seen_names = {classes.names[c] for c in seen}
    for name in listed:
        if name not in numbers:
            raise DataError(path, str(unknown("class", name, numbers))[:400], "Correct the name.")
        if name not in seen_names:
            message = f"{name} is an unseen class, which tuning must not touch"
            raise DataError(path, message, "Remove it from the list.")
    return np.sort(np.array([numbers[name] for name in set(listed)], dtype=np.int64))


def check_sides(folder: Path, classes: ClassTable, seen: Int, unseen: Int) -> None:
    """Check `trainvalclasses.txt` and `testclasses.txt`, where there are any.

    Raises:
        DataError: If they do not name the classes that are seen, or unseen, by the items' labels.
    """
    for file, side, loc in (
        ("trainvalclasses.txt", seen, "trainval_loc"),
        ("testclasses.txt", unseen, "test_unseen_loc"),
    ):
        path = folder / file
        names = {classes.names[c] for c in side}
        differ = sorted(names ^ set(read_lines(path))) if path.is_file() else []
        if differ:
            less, more = ("not named", "has") if differ[0] in names else ("named", "has no")
            message = f"class {differ[0]} is {less} here but {more} items in {loc}"
            raise DataError(path, message, "Take class lists, labels and splits from one source.")


def read_items(folder: Path, features: str | None, classes: int) -> Items:
    """Read labels and file names, and features if a feature file is named.

    Raises:
        DataError: If no file says which item is of which class, or what it says cannot be right.
    """
    if features is not None:
        return _items_from_mat(find_features(folder, features), classes, with_features=True)
    if (index := find_index(folder)) is not None:
        return _items_from_csv(index, classes)
    if feature_files := find_feature_files(folder):
        return _items_from_mat(folder / f"{feature_files[0]}.mat", classes, with_features=False)
    raise DataError(
        folder,
        "has neither a feature file (such as res101.mat) nor an index.csv, "
        "so nothing says which item is of which class",
        "Put res101.mat of the same dataset beside att_splits.mat.",
    )


def find_index(folder: Path) -> Path | None:
    """Return the file that lists the items, compressed or not, where there is one."""
    return next(filter(isfile, (folder / name for name in ("index.csv", "index.csv.gz"))), None)


def find_feature_files(folder: Path) -> list[str]:
    """Return the names of `.mat` files that may hold features, `res101` first."""
    names = [path.stem for path in folder.glob("*.mat") if path.name != SPLITS_FILE]
    return sorted(names, key=lambda name: (name != "res101", name))


def find_features(folder: Path, name: str) -> Path:
    """Return a feature file of a dataset: by its name without `.mat`, or by a path anywhere.

    Raises:
        DataError: If there is no file at that path.
        ZslbenchError: If no file of the folder has that name.
    """
    known = find_feature_files(folder)
    if name in known:
        return folder / f"{name}.mat"
    path = Path(name).expanduser()
    if path.is_file():
        return path
    if len(path.parts) == 1:
        raise unknown("feature file", name, known, where=f" in {folder}")
    fix = f"Name another, or one of the dataset's own: {', '.join(known) or 'none'}."
    raise DataError(path, "there is no such feature file", fix)


def _items_from_mat(path: Path, classes: int, *, with_features: bool) -> Items:
    required = ("labels", "features") if with_features else ("labels",)
    variables = read_variables(path, required, ("image_files",))
    labels = indices(variables["labels"], "labels", path, classes)
    files = []
    if "image_files" in variables:
        files = strings(variables["image_files"], "image_files", path)
        if len(files) != len(labels):
            message = f"`image_files` names {len(files)} files for {len(labels)} labels"
            raise DataError(path, message, AGAIN)
    if not with_features:
        return Items(labels, files, path)
    matrix = real_matrix(variables["features"], "features", path).T
    if len(matrix) != len(labels):
        message = f"`features` has {len(matrix)} columns for {len(labels)} labels"
        raise DataError(path, message, AGAIN)
    return Items(labels, files, path, np.ascontiguousarray(matrix))


def _items_from_csv(path: Path, classes: int) -> Items:
    again = "Write it again with `zslbench data build`."
    table, numbers = read_table(path, ["image_file"], ["index_1based", "label_1based"], again)
    order = np.argsort(numbers[:, 0])
    table, numbers = table.iloc[order], numbers[order]
    nameless = numbers[table["image_file"].isna(), 0]
    if len(nameless):
        raise DataError(path, f"names no image file for item {nameless[0]:g}", AGAIN)
    if not np.array_equal(numbers[:, 0], np.arange(1, len(numbers) + 1)):
        raise DataError(path, "`index_1based` is not 1..n", AGAIN)
    labels = indices(numbers[:, 1:], "label_1based", path, classes)
    return Items(labels, table["image_file"].tolist(), path)


def read_table(path: Path, texts: list[str], numbers: list[str], fix: str) -> tuple[Any, Float]:
    """Return a CSV's columns of texts as a data frame, and its columns of numbers.

    Raises:
        DataError: If it lacks one of them, or is no such table.
    """
    import pandas as pd

    columns = [*texts, *numbers]
    failing = f"is not a table with the columns {', '.join(columns)}"
    with reading(path, failing, fix, TypeError, EOFError, zlib.error):
        table = pd.read_csv(path, usecols=columns, dtype=dict.fromkeys(texts, str))
        return table, table[numbers].to_numpy(dtype=np.float64)


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
        below = (root.joinpath(*parts[k:]) for k in tries)
        path = next(filter(isfile, below), None)  # false, no error, where a name is too long
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
