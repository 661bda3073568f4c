"""Items of a dataset: which class and image file each is of, and the feature files beside them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from os.path import isfile
from pathlib import Path

import numpy as np

from zslbench.data.formats.features import (
    FIX,
    READERS,
    NoFeaturesError,
    read_features,
    read_labels,
)
from zslbench.data.formats.matlab import indices, names_in
from zslbench.data.formats.xlsa17 import SPLITS_FILE
from zslbench.data.rows import FeatureRows
from zslbench.data.texts import find_text, nfc, read_table, refuse_twice
from zslbench.data.types import Int
from zslbench.errors import DataError, unknown
from zslbench.inputs import expanded, on_disk


@dataclass(frozen=True)
class Items:
    """Class and file name of every item, in item order; features `[n, d]` where read."""

    labels: Int
    files: list[str]
    source: Path
    features: FeatureRows | None = None


def check_folders(items: Items, names: Sequence[str]) -> None:
    """Check labels against the class folders that images lie in, where these bear class names.

    SUN's folders are nested: `bakery/kitchen` is that of the class `bakery_kitchen`. Names that are
    numbers say nothing: folders may be counted in another order.

    Raises:
        DataError: On an image in the folder of another class.
    """
    classes = {name: label for label, name in enumerate(names) if not name.isdecimal()}
    folders = [_split(file)[0] for file in items.files]
    owners: dict[str, int | None] = {}
    for folder in set(folders):
        parts = folder.split("/")
        joined = ("_".join(parts[k:]) for k in range(len(parts)))
        owners[folder] = next((classes[name] for name in joined if name in classes), None)
    for item, (folder, label) in enumerate(zip(folders, items.labels.tolist(), strict=False)):
        if owners[folder] not in (None, label):
            message = f"item {item + 1} is labelled {names[label]} and lies in {folder}"
            fix = "Take class names, labels and image files from one source."
            raise DataError(items.source, message, fix)


def check_same_items(one: Items, other: Items) -> None:
    """Check that two files of a dataset give its items the same labels and image files.

    Raises:
        DataError: With the first item that differs.
    """
    fix = "Take both files from the same source."
    if len(one.labels) != len(other.labels):
        message = f"holds {len(one.labels)} items, {other.source.name} {len(other.labels)}"
        raise DataError(one.source, message, fix)
    labels = [(items.labels + 1).tolist() for items in (one, other)]
    names = [[_split(file)[1] for file in items.files] for items in (one, other)]
    for what, pair in (("label", labels), ("image file", names)):
        for item, (here, there) in enumerate(zip(*pair, strict=False), start=1):
            if here != there:
                message = f"item {item} has {what} {here} here and {there} in {other.source.name}"
                raise DataError(one.source, message, fix)


def _split(file: str) -> tuple[str, str]:
    """Return folder and name of a file, by slashes of either kind."""
    folder, _, name = file.replace("\\", "/").rpartition("/")
    return folder, name


def read_items(folder: Path, features: Path | None, classes: int) -> Items:
    """Read labels and file names, and features if a feature file is named.

    A feature file without labels, such as a `.npy`, takes those of the dataset, whose image files
    its own must be, if it names any.

    Raises:
        NoFeaturesError: If the file named holds something else.
        DataError: If no file says which item is of which class, or what it says cannot be right,
            or two files say differently.
    """
    if features is not None:
        rows, labels, files = read_features(features, classes)
        if labels is not None:
            return Items(labels, files, features, rows)
        items = read_items(folder, None, classes)
        if len(rows) != len(items.labels):
            message = (
                f"has {len(rows)} rows for the {len(items.labels)} items of {items.source.name}"
            )
            raise NoFeaturesError(features, message, FIX)
        found = Items(items.labels, files or items.files, features, rows)
        check_same_items(found, items)
        return found
    if (index := find_index(folder)) is not None:
        return _items_from_csv(index, classes)
    for path in find_feature_files(folder).values():
        labels, files = read_labels(path, classes)
        if labels is not None:
            return Items(labels, files, path)
    raise DataError(
        folder,
        "has neither a feature file with labels (such as res101.mat) nor an index.csv, "
        "so nothing says which item is of which class",
        "Put res101.mat of the same dataset beside att_splits.mat.",
    )


def find_index(folder: Path) -> Path | None:
    """Return the file that lists the items, packed or not, where there is one."""
    return find_text(folder, "index.csv")


def find_feature_files(folder: Path) -> dict[str, Path]:
    """Return name -> path of the files that may hold features, `res101` first.

    `NAME.mat` is called NAME, and a file of another format by its whole name. A `.mat` that holds
    neither features nor labels, as AWA2's own `binaryAtt_splits.mat`, is none of them.
    """
    paths = [path for path in folder.iterdir() if path.suffix in READERS]
    named = {path.name.removesuffix(".mat"): path for path in paths if _may_hold_features(path)}
    return dict(sorted(named.items(), key=lambda item: (item[0] != "res101", item[0])))


def _may_hold_features(path: Path) -> bool:
    if path.suffix != ".mat" or path.name == SPLITS_FILE:
        return path.name != SPLITS_FILE
    try:
        return not names_in(path).isdisjoint(("features", "labels"))
    except DataError:  # what is wrong with it shows where it is read
        return True


def find_features(folder: Path, name: str) -> Path:
    """Return a feature file of a dataset: by its name, or by a path anywhere.

    Raises:
        DataError: If there is no file at that path, or it is of no format that is read.
        ZslbenchError: If no file of the folder has that name.
    """
    known = find_feature_files(folder)
    if name in known:
        return known[name]
    path = expanded(name)
    if len(path.parts) == 1 and not path.is_file():
        raise unknown("feature file", name, known, where=f" in {folder}")
    if not path.is_file():
        fix = f"Name another, or one of the dataset's own: {', '.join(known) or 'none'}."
        raise DataError(path, "there is no such feature file", fix)
    if path.suffix not in READERS:
        raise DataError(path, "is of no format for features", f"Use {', '.join(READERS)}.")
    return path


def _items_from_csv(path: Path, classes: int) -> Items:
    fix = "Write `index_1based,label_1based,image_file`, then a line for each image."
    (names,), numbers = read_table(path, ["image_file"], ["index_1based", "label_1based"], fix)
    order = np.argsort(numbers[:, 0])
    numbers, files = numbers[order], [names[row] for row in order]
    if "" in files:
        number = numbers[files.index(""), 0]
        raise DataError(path, f"names no image file for item {number:g}", fix)
    if not np.array_equal(numbers[:, 0], np.arange(1, len(numbers) + 1)):
        raise DataError(path, "`index_1based` is not 1..n", fix)
    labels = indices(numbers[:, 1:], "label_1based", path, classes)
    refuse_twice(path, "image file", dict(enumerate(files, start=1)), "items")
    return Items(labels, files, path)


def locate_images(files: Sequence[str], root: Path) -> list[Path]:
    """Find image files, listed under foreign absolute paths, by their suffix below `root`.

    Raises:
        DataError: If any is missing, with the first ones named and their number, or is that of two
            items.
    """
    found, missing, drop = [], [], 0
    names: dict[Path, dict[str, Path]] = {}
    for file in files:
        parts = [part for part in file.replace("\\", "/").split("/") if part not in ("", ".")]
        if ".." in parts:
            raise DataError(root, f"image file {file!r} points outside", "Correct the list.")
        tries = [drop, *(k for k in range(len(parts)) if k != drop)]
        ways = [parts, [*parts[:-1], on_disk(parts[-1])]] if "%" in file else [parts]
        below = (root.joinpath(*way[k:]) for way in ways for k in tries)
        spelt = (_spelt(root, parts[k:], names) for k in tries if not file.isascii())
        # `isfile` is false, and no error, where a name is too long.
        path = next(filter(isfile, chain(below, spelt)), None)
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
    fix = "Give each item an image of its own; items that share photos, as aPY's do, need features."
    refuse_twice(root, "image file", dict(enumerate(map(str, found), start=1)), "items", fix)
    return found


def _spelt(root: Path, parts: Sequence[str], names: dict[Path, dict[str, Path]]) -> Path:
    """Return a path whose folders and file may be on disk in another normal form, as macOS has it.

    Args:
        root: Where the path begins.
        parts: The rest of it.
        names: What was listed of folders so far.
    """
    path = root
    for part in parts:
        if path not in names:
            names[path] = {nfc(p.name): p for p in path.iterdir()} if path.is_dir() else {}
        path = names[path].get(nfc(part), path / part)
    return path
