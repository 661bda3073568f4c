"""Anyone's images and class attributes made into a dataset folder of the shape of xlsa17's."""

import csv
import difflib
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from zslbench.data.texts import nfc, read_csv, refuse_twice
from zslbench.data.types import Float, Int
from zslbench.errors import DataError, unknown
from zslbench.inputs import finite, one_line
from zslbench.seeding import generator

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".ppm", ".tif", ".tiff", ".webp")
CLASS_SPLITS = 3
FEWEST_CLASSES = 6
FEWEST_IMAGES = 3
NAMED = 5

_Faults = dict[str, list[str]]  # what to do -> what is wrong


@dataclass(frozen=True)
class FolderSummary:
    """What `build_dataset` wrote; counts of images but for `attributes`.

    Attributes:
        ignored: Files inside class folders that are not named like images.
    """

    folder: Path
    seen: tuple[str, ...]
    unseen: tuple[str, ...]
    attributes: int
    trainval: int
    test_seen: int
    test_unseen: int
    ignored: int


class _Table(NamedTuple):
    """The classes in alphabetical order, the attributes, their values `[C, K]`."""

    classes: list[str]
    attributes: list[str]
    values: Float


def build_dataset(
    images: Path,
    attributes: Path,
    out: Path,
    *,
    unseen: float | Sequence[str] = 0.25,
    test_seen: float = 0.2,
    seed: int = 0,
) -> FolderSummary:
    """Write `att_splits.mat`, `index.csv`, class lists and a link `images` into the folder `out`.

    Classes are put in alphabetical order. Every seen class keeps at least two images for training
    and gives at least one to `test_seen`. What is drawn for one class does not depend on the
    images of another.

    Args:
        images: A folder for each class, its images directly inside.
        attributes: CSV with a header; the first column names the class, the others are numbers.
        out: The folder to write; it must not exist or be empty.
        unseen: The share of classes to make unseen, drawn at random, or their names.
        test_seen: The share of each seen class's images to keep for `test_seen`.
        seed: What all draws derive from.

    Raises:
        DataError: Where images or attributes cannot be used as they are, or `out` is taken;
            nothing is written then.
    """
    out = out.absolute()
    _check_out(out, images)
    faults: _Faults = {}
    table = _read_attributes(attributes, faults)
    names = table.classes
    files, ignored = _find_images(images, names, faults)
    _refuse(images, attributes, faults)
    hidden = _choose_unseen(names, unseen, seed, attributes)
    labels = np.repeat(np.arange(len(names)), [len(files[name]) for name in names])
    seen = np.setdiff1d(np.arange(len(names)), hidden)
    class_splits = _split_classes(seen, len(hidden) / len(names), seed)
    locs = _split_items(names, labels, hidden, test_seen, seed)
    with _new_folder(out) as part:
        _write_splits(part / "att_splits.mat", table, locs)
        _write_index(part / "index.csv", labels, [path for name in names for path in files[name]])
        (part / "images").symlink_to(images.resolve(), target_is_directory=True)
        _write_lines(part / "attributes.txt", table.attributes)
        for number, (train, validation) in enumerate(class_splits, start=1):
            _write_lines(part / f"trainclasses{number}.txt", [names[c] for c in train])
            _write_lines(part / f"valclasses{number}.txt", [names[c] for c in validation])
    return FolderSummary(
        folder=out,
        seen=tuple(names[c] for c in seen),
        unseen=tuple(names[c] for c in hidden),
        attributes=len(table.attributes),
        ignored=ignored,
        **{name.removesuffix("_loc"): len(loc) for name, loc in locs.items()},
    )


def _check_out(out: Path, images: Path) -> None:
    if out.is_symlink() or (out.exists() and (not out.is_dir() or any(out.iterdir()))):
        raise DataError(out, "exists and is not an empty folder", "Name a new folder.")
    if out.resolve().is_relative_to(images.resolve()):
        raise DataError(out, f"lies inside the images' folder {images}", "Name one outside.")


def _read_attributes(path: Path, faults: _Faults) -> _Table:
    header, *rows = _read_rows(path)
    columns = header[1:]
    if len(rows) < FEWEST_CLASSES:
        message = f"describes {len(rows)} classes, and {FEWEST_CLASSES} are needed"
        fix = "Two unseen, two validation and two training classes are the least to work with."
        raise DataError(path, message, fix)
    rows.sort(key=lambda row: row[0])
    table = np.array([[finite(cell) or 0.0 for cell in cells] for _, *cells in rows])
    faults["Put a number there, with a point for decimals."] = [
        f"class {name}, attribute {attribute}: {cell!r} is no finite number"
        for name, *cells in rows
        for attribute, cell in zip(columns, cells, strict=True)
        if finite(cell) is None
    ]
    faults["Give every class at least one attribute."] = [
        f"class {name} has no attribute other than 0"
        for name, *cells in rows
        if not any(finite(cell) != 0 for cell in cells)
    ]
    return _Table([row[0] for row in rows], columns, table)


def _read_rows(path: Path) -> list[list[str]]:
    """Return header and rows, all of one length, with single blanks inside cells."""
    fix = "Write a CSV: `class,attribute,...` in the first line, then a line for each class."
    header, rows = read_csv(path, fix)
    if len(header) < 2 or not all(header[1:]):
        message = "its first line does not name the attributes, separated by commas"
        raise DataError(path, message, fix)
    tidy = {line: [" ".join(cell.split()) for cell in row] for line, row in rows.items()}
    for line, row in tidy.items():
        if not row[0]:
            raise DataError(path, f"line {line} names no class", fix)
    refuse_twice(path, "class", {line: row[0] for line, row in tidy.items()})
    return [header, *tidy.values()]


def _find_images(
    root: Path, names: list[str], faults: _Faults
) -> tuple[dict[str, list[Path]], int]:
    """Return each class's image files in alphabetical order, and how many files are no images."""
    below = [(nfc(path.name), path) for path in _listing(root) if path.is_dir()]
    refuse_twice(root, "folder", dict(enumerate((name for name, _ in below), start=1)), "places")
    folders = dict(below)
    lineless = [name for name in folders if name not in names]
    missing = [name for name in names if name not in folders]
    files, ignored = {}, 0
    for name in (name for name in names if name in folders):
        found = [path for path in _listing(folders[name]) if path.is_file()]
        files[name] = [path for path in found if path.suffix.lower() in SUFFIXES]
        ignored += len(found) - len(files[name])
    faults["Add a line for each such folder, or move it away."] = [
        f"folder {name} has no line there{_near(name, missing)}" for name in lineless
    ]
    faults["Make a folder of images for each such class, or remove its line."] = [
        f"class {name} has no folder{_near(name, lineless)}" for name in missing
    ]
    faults[f"Put at least {FEWEST_IMAGES} there ({', '.join(SUFFIXES)}), or remove both."] = [
        f"folder {name} holds {len(found)} images"
        for name, found in files.items()
        if len(found) < FEWEST_IMAGES
    ]
    return files, ignored


def _refuse(images: Path, attributes: Path, faults: _Faults) -> None:
    """Refuse all that is wrong with a folder of images and its table at once."""
    told = []
    for fix, all_alike in faults.items():
        more = [f"and {len(all_alike) - NAMED} more"] if len(all_alike) > NAMED else []
        if all_alike:
            told.append(("; ".join([*all_alike[:NAMED], *more]), fix))
    if told:
        (what, fix), *others = told
        fixes = " ".join([fix, *(f"Also: {what}. {fix}" for what, fix in others)])
        raise DataError(f"{images} and {attributes}", what, fixes)


def _listing(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        fix = "Name the folder that holds a folder of images for each class."
        raise DataError(folder, f"is no readable folder ({error.strerror})", fix) from error


def _near(name: str, names: Iterable[str]) -> str:
    folded = {known.casefold(): known for known in names}
    near = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.5)
    return f" (is it {folded[near[0]]}?)" if near else ""


def _choose_unseen(names: list[str], unseen: float | Sequence[str], seed: int, path: Path) -> Int:
    """Return the unseen classes, at least two and leaving at least four, in order."""
    if isinstance(unseen, int | float):
        count = max(2, round(unseen * len(names))) if 0 < unseen < 1 else 0
        chosen = generator(seed, "unseen classes").permutation(len(names))[:count]
    else:
        unseen = [nfc(name) for name in unseen]
        strange = [name for name in unseen if name not in names]
        if strange:
            raise DataError(path, f"{unknown('class', strange[0], names)}"[:400], "Correct it.")
        chosen = np.array([i for i, name in enumerate(names) if name in unseen], dtype=np.int64)
    if not 2 <= len(chosen) <= len(names) - 4:
        message = f"unseen = {unseen!r} makes {len(chosen)} of {len(names)} classes unseen"
        raise DataError(path, message, f"Choose 2 to {len(names) - 4} classes.")
    return np.sort(chosen)


def _split_classes(seen: Int, share: float, seed: int) -> list[tuple[Int, Int]]:
    """Draw training and validation classes from the seen ones, in the share of unseen classes."""
    held = min(max(2, round(share * len(seen))), len(seen) - 2)
    splits = []
    for number in range(1, CLASS_SPLITS + 1):
        order = generator(seed, "class split", number).permutation(seen)
        splits.append((np.sort(order[held:]), np.sort(order[:held])))
    return splits


def _split_items(
    names: list[str], labels: Int, unseen: Int, test_seen: float, seed: int
) -> dict[str, Int]:
    if not 0 < test_seen < 1:
        raise DataError("test_seen", f"{test_seen} is no share", "Choose one between 0 and 1.")
    train, test = [], []
    for label in np.setdiff1d(labels, unseen):
        members = np.flatnonzero(labels == label)
        order = generator(seed, "test seen", names[label]).permutation(members)
        held = min(max(1, round(test_seen * len(members))), len(members) - 2)
        test.append(order[:held])
        train.append(order[held:])
    # Some published code never shuffles: in order of classes its batches would hold one class.
    trainval = generator(seed, "trainval order").permutation(np.concatenate(train))
    return {
        "trainval_loc": trainval,
        "test_seen_loc": np.sort(np.concatenate(test)),
        "test_unseen_loc": np.flatnonzero(np.isin(labels, unseen)),
    }


@contextmanager
def _new_folder(out: Path) -> Iterator[Path]:
    """Yield a folder beside `out` that becomes `out` if all goes well, and is gone otherwise."""
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        part.mkdir(parents=True)
        yield part
        part.replace(out)
    except (OSError, UnicodeError) as error:
        message = f"cannot be written ({error})"[:200]
        fix = "Check space, rights, and for file names that are not UTF-8."
        raise DataError(out, message, fix) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _write_splits(path: Path, table: _Table, locs: dict[str, Int]) -> None:
    from scipy.io import savemat

    original = table.values.T
    content = {
        "att": original / np.linalg.norm(original, axis=0),
        "original_att": original,
        "allclasses_names": np.array(table.classes, dtype=object)[:, None],
        **{name: loc[:, None] + 1 for name, loc in locs.items()},
    }
    savemat(path, content, do_compression=True)


def _write_index(path: Path, labels: Int, files: list[Path]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["index_1based", "label_1based", "image_file"])
        for number, (label, image) in enumerate(zip(labels, files, strict=True), start=1):
            writer.writerow(
                [number, label + 1, f"images/{image.parent.name}/{one_line(image.name)}"]
            )


def _write_lines(path: Path, lines: Sequence[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
