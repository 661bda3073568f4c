"""Class lists beside `att_splits.mat`, such as `trainclasses1.txt`: one name a line."""

from pathlib import Path

import numpy as np

from zslbench.data.texts import find_text, read_lines, refuse_twice
from zslbench.data.types import ClassSplit, ClassTable, Int
from zslbench.errors import DataError, unknown


def read_class_splits(folder: Path, classes: ClassTable, seen: Int) -> tuple[ClassSplit, ...]:
    """Read `trainclassesN.txt` and `valclassesN.txt`, N = 1, 2, ..., as far as there are any.

    Raises:
        DataError: On a name that is no seen class, or one in both lists.
    """
    found: list[ClassSplit] = []
    while True:
        number = len(found) + 1
        names = [f"{side}classes{number}.txt" for side in ("train", "val")]
        train, validation = (find_text(folder, name) for name in names)
        if train is None and validation is None:
            return tuple(found)
        if train is None or validation is None:
            absent, other = names if train is None else reversed(names)
            raise DataError(folder / absent, "there is no such file", f"It belongs to {other}.")
        listed, held = (_class_list(path, classes, seen) for path in (train, validation))
        shared = np.intersect1d(listed, held)
        if len(shared):
            name = classes.names[shared[0]]
            raise DataError(validation, f"{name} is in {train.name} too", "Remove it from one.")
        found.append(ClassSplit(f"official {number}", listed, held))


def _class_list(path: Path, classes: ClassTable, seen: Int) -> Int:
    numbers = {name: number for number, name in enumerate(classes.names)}
    listed = _listed(path)
    if not listed:
        raise DataError(path, "names no class", "Name one class a line, or remove both lists.")
    seen_names = {classes.names[c] for c in seen}
    for name in listed:
        if name not in numbers:
            raise DataError(path, str(unknown("class", name, numbers))[:400], "Correct the name.")
        if name not in seen_names:
            message = f"{name} is an unseen class, which tuning must not touch"
            raise DataError(path, message, "Remove it from the list.")
    return np.sort(np.array([numbers[name] for name in listed], dtype=np.int64))


def _listed(path: Path) -> list[str]:
    """Read the names of a class list, no one twice."""
    lines = read_lines(path)
    refuse_twice(path, "class", lines)
    return list(lines.values())


def check_sides(folder: Path, classes: ClassTable, seen: Int, unseen: Int) -> None:
    """Check `trainvalclasses.txt` and `testclasses.txt`, where there are any.

    Raises:
        DataError: If they do not name the classes that are seen, or unseen, by the items' labels.
    """
    for file, side, loc in (
        ("trainvalclasses.txt", seen, "trainval_loc"),
        ("testclasses.txt", unseen, "test_unseen_loc"),
    ):
        if (path := find_text(folder, file)) is None:
            continue
        names = {classes.names[c] for c in side}
        differ = sorted(names ^ set(_listed(path)))
        if differ:
            less, more = ("not named", "has") if differ[0] in names else ("named", "has no")
            message = f"class {differ[0]} is {less} here but {more} items in {loc}"
            raise DataError(path, message, "Take class lists, labels and splits from one source.")
