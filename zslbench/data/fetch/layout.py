"""From archives to the folders that the loaders read: splits and features, images, tables."""

import csv
import shutil
from collections.abc import Callable
from filecmp import cmp
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from zslbench.data.fetch.archives import Placing, unpack
from zslbench.data.fetch.download import download
from zslbench.data.fetch.sources import SPLITS, Source, find_source
from zslbench.data.formats.items import read_items
from zslbench.data.formats.xlsa17 import SPLITS_FILE, read_att_splits
from zslbench.data.load import find_datasets
from zslbench.data.parts import BOX, BOXES, FILE
from zslbench.data.texts import read_lines
from zslbench.errors import DataError, ZslbenchError
from zslbench.inputs import folded

ARCHIVES = ".archives"
IGNORED = "__MACOSX"
TABLES = "images.txt", "bounding_boxes.txt", "parts.txt", "part_locs.txt"  # CUB's

OnStage = Callable[[str, int, int], None]


def fetch(name: str, root: Path, on_stage: OnStage) -> list[str]:
    """Download a published dataset's archives, and make its folder of them.

    Args:
        name: `CUB`, `AWA2`, `SUN`, `APY`; or `xlsa17` for the splits and features of them all.
        root: Where dataset folders lie; archives are kept in `.archives` there.
        on_stage: Called with (stage, done, total) in megabytes.

    Returns:
        The names of the datasets that became folders.

    Raises:
        ZslbenchError: If something cannot be downloaded, is another file than before, or cannot be
            used.
    """
    source, splits = find_source(name), find_source(SPLITS)

    def archive_of(source: Source) -> Path:
        stage = f"downloading {source.archive} (MB)"
        return download(source, root / ARCHIVES, lambda done, n: on_stage(stage, done, n))

    images = archive_of(source) if source.images else None
    return import_archives(name, root, archive_of(splits), images, on_stage)


def import_archives(
    name: str, root: Path, splits: Path, images: Path | None, on_stage: OnStage
) -> list[str]:
    """Make a published dataset's folder of archives that lie here.

    What is in the folder already stays; a file that differs from the archive's is refused.

    Args:
        name: As of `fetch`, and so are root, stages and what is returned.
        root: Where dataset folders lie.
        splits: `xlsa17.zip`.
        images: The archive of the dataset's images; None to do without.
        on_stage: Called with (stage, done, total) in megabytes.

    Raises:
        DataError: If an archive or a file in it cannot be used; nothing is written then.
    """
    source = find_source(name)
    if images and not source.images:
        raise ZslbenchError(f"{source.name} is used without images: leave out {images}.")
    folder = root
    try:
        root.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".import-", dir=root) as temporary:
            staged = Path(temporary)
            _unpack_splits(source, splits, staged, on_stage)
            if images:
                _unpack_images(source, images, staged / source.name, on_stage)
            folders = {staged / name: _folder_of(name, root) for name in source.datasets}
            for made, folder in folders.items():
                _refuse_others(made, folder)
            for made, folder in folders.items():
                _settle(made, folder)
    except OSError as error:
        fix = "See that there is room, and that you may write there."
        raise DataError(folder, f"cannot be written ({error.strerror})", fix) from error
    return list(source.datasets)


def _unpack_splits(source: Source, path: Path, staged: Path, on_stage: OnStage) -> None:
    published = find_source(SPLITS)

    def place(name: PurePosixPath) -> PurePosixPath | None:
        wanted = name.parent.name in source.datasets and name.suffix in (".mat", ".txt")
        return PurePosixPath(name.parent.name, name.name) if wanted and _kept(name) else None

    _unpack(published, path, staged, place, on_stage)
    for dataset in source.datasets:
        if not (staged / dataset / SPLITS_FILE).is_file():
            fix = f"It should be xlsa17.zip, see {published.page}."
            raise DataError(path, f"holds no {dataset}/{SPLITS_FILE}", fix)


def _unpack_images(source: Source, path: Path, staged: Path, on_stage: OnStage) -> None:
    found = 0

    def place(name: PurePosixPath) -> PurePosixPath | None:
        nonlocal found
        if not _kept(name):
            return None
        if source.images in name.parts[:-1]:
            found += 1
            return name
        return PurePosixPath(name.name) if name.name in source.files else None

    _unpack(source, path, staged, place, on_stage)
    fix = f"It should be {source.archive}, see {source.page}."
    if not found:
        raise DataError(path, f"holds no folder {source.images} with images", fix)
    if TABLES[0] in source.files:
        for name in TABLES:
            if not (staged / name).is_file():
                raise DataError(path, f"holds no {name}", fix)
        _write_places(staged)


def _unpack(source: Source, path: Path, into: Path, place: Placing, on_stage: OnStage) -> None:
    stage = f"unpacking {path.name} (MB)"
    unpack(path, into, place, source.unpacked, lambda done, n: on_stage(stage, done, n))


def _kept(name: PurePosixPath) -> bool:
    """Return whether a file is the publisher's, not what a Mac adds to an archive."""
    return not name.name.startswith(".") and IGNORED not in name.parts


def _write_places(folder: Path) -> None:
    """Write `parts.csv` and `boxes.csv` of CUB's own tables, and remove these.

    The tables number the images; ours name them as the dataset's feature file does.
    """

    def rows(name: str) -> list[list[str]]:
        return [line.split(maxsplit=1) for line in read_lines(folder / name).values()]

    count = len(read_att_splits(folder).classes.names)
    listed = {"/".join(f.split("/")[-2:]): f for f in read_items(folder, None, count).files}
    images, boxes, parts, spots = map(rows, TABLES)
    image = {number: listed.get(path, path) for number, path in images}
    part = dict(parts)
    placed = [[image[number], *box.split()] for number, box in boxes]
    _write_csv(folder / BOXES, ["image_file", *BOX], placed)
    located = [(image[number], *spot.split()) for number, spot in spots]
    seen = [[name, part[kind], x, y] for name, kind, x, y, visible in located if visible == "1"]
    _write_csv(folder / FILE, ["image_file", "part", "x", "y"], seen)
    for name in TABLES:
        (folder / name).unlink()


def _write_csv(path: Path, header: list[str], rows: list[list[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


def _folder_of(dataset: str, root: Path) -> Path:
    """Return the folder that a dataset has, in whatever case, or gets."""
    known = {folded(name): path for name, path in find_datasets(root).items()}
    return known.get(folded(dataset), root / dataset)


def _refuse_others(staged: Path, folder: Path) -> None:
    """Refuse staged files that a dataset's folder has with another content."""
    for file in _files(staged):
        if (folder / file).exists() and not cmp(staged / file, folder / file, shallow=False):
            fix = f"Move {folder} elsewhere, or that file."
            raise DataError(folder / file, "is another file than the archive's", fix)


def _settle(staged: Path, folder: Path) -> None:
    """Move staged files into a dataset's folder, but for those that it has."""
    for file in _files(staged):
        if not (folder / file).exists():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.move(staged / file, folder / file)


def _files(folder: Path) -> list[Path]:
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
