"""Images decoded once, into one memory-mapped file, found again by what the images hold."""

import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from functools import partial
from hashlib import file_digest
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from zslbench.data.types import OnProgress, content_digest, no_progress
from zslbench.errors import DataError
from zslbench.inputs import expanded

Fit = Literal["crop", "squash"]
Failures = dict[Path, str]

CACHE_VERSION = 1
CHUNK = 32
NAMED = 10
MAX_SCALED = 2**26
# PIL would hand an EPS file, whatever its name, to Ghostscript: only plain raster formats are read.
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "PPM", "TIFF", "WEBP")


def default_cache_dir() -> Path:
    """Return the folder of decoded images: `$ZSLBENCH_CACHE`, else `~/.cache/zslbench`."""
    fix = "Set ZSLBENCH_CACHE to the path of a folder, in full."
    return expanded(os.environ.get("ZSLBENCH_CACHE") or "~/.cache/zslbench", fix)


class Pixels:
    """Decoded images on disk; indexing with an integer array reads a batch `[b, h, w, 3]` uint8.

    Attributes:
        digest: SHA-256 of the image files' contents in order, the size, the fit and
            `CACHE_VERSION`: equal wherever the same images lie.
    """

    def __init__(self, path: Path, count: int, size: int, digest: str) -> None:
        self.digest = digest
        mapped = np.memmap(path, dtype=np.uint8, mode="r", shape=(count, size, size, 3))
        self._array: NDArray[np.uint8] = mapped.view(np.ndarray)

    def __len__(self) -> int:
        return len(self._array)

    def __getitem__(self, items: Any) -> NDArray[Any]:
        batch: NDArray[Any] = self._array[items]
        return batch


def decode(
    paths: Sequence[Path],
    size: int,
    *,
    fit: Fit = "crop",
    cache_dir: Path,
    workers: int | None = None,
    on_progress: OnProgress = no_progress,
) -> Pixels:
    """Return the decoded images, from the cache if the same images were decoded before.

    Images are converted to RGB and resampled bicubically from all their pixels (no JPEG
    shortcuts). Orientation tags are not applied, as in the published code of the field.

    Args:
        paths: The image files, in item order.
        size: Side of the decoded images, in pixels.
        fit: `crop` scales the shorter side to `size` and takes the centre; `squash` scales both
            sides to `size`.
        cache_dir: Where decoded images are kept; `default_cache_dir()` is the usual place.
        workers: Decoding processes; by default one for each processor.
        on_progress: Called with (done, total) after every few images decoded.

    Raises:
        DataError: If there are no images, if any cannot be read (all of them are found before
            this is raised, and nothing is kept), or if the cache cannot be written.
    """
    from filelock import FileLock

    if not paths:
        raise DataError("images", "none were given to decode", "Check the dataset's image list.")
    length = len(paths) * size * size * 3
    with reporting(cache_dir):
        cache_dir.mkdir(parents=True, exist_ok=True)
        hashes, failures = _hash_files(paths, cache_dir / "files.json")
        key = content_digest(CACHE_VERSION, size, fit, hashes)
        entry = cache_dir / f"{key}.u8"
        if not _is_complete(entry, length):
            with FileLock(entry.with_suffix(".lock")), _part_of(entry, length) as part:
                if not _is_complete(entry, length):
                    failures |= _decode_all(paths, part, size, fit, workers, on_progress)
                    _check_all_read(failures, len(paths))
                    part.replace(entry)
        return Pixels(entry, len(paths), size, key)


@contextmanager
def reporting(cache_dir: Path) -> Iterator[None]:
    """Turn trouble with the disk or with the decoding processes into a `DataError`."""
    try:
        yield
    except OSError as error:
        message = f"the cache cannot be written ({error.strerror or error})"
        fix = "Free some space there, or name another folder in ZSLBENCH_CACHE."
        raise DataError(cache_dir, message, fix) from error
    except BrokenProcessPool as error:
        message = "a decoding process was killed, most often for want of memory"
        raise DataError(cache_dir, message, "Free some memory and start again.") from error


def _is_complete(entry: Path, length: int) -> bool:
    return entry.is_file() and entry.stat().st_size == length


@contextmanager
def _part_of(entry: Path, length: int) -> Iterator[Path]:
    """Yield a file beside `entry`, `length` bytes long, that is gone afterwards."""
    part = entry.with_suffix(".part")
    try:
        with part.open("wb") as file:
            file.truncate(length)
        yield part
    finally:
        part.unlink(missing_ok=True)


def _decode_all(
    paths: Sequence[Path], part: Path, size: int, fit: Fit, workers: int | None, tell: OnProgress
) -> Failures:
    """Decode all images into `part`; return those that cannot be read, with the reason."""
    starts = range(0, len(paths), CHUNK)
    chunks = [paths[start : start + CHUNK] for start in starts]
    decode_chunk = partial(_decode_chunk, part, size, fit)
    failures: Failures = {}
    for start, failed in in_processes(decode_chunk, starts, chunks, workers=workers):
        failures |= failed
        tell(min(start + CHUNK, len(paths)), len(paths))
    with part.open("rb") as file:
        os.fsync(file)
    return failures


def in_processes(
    function: Callable[..., Any], starts: range, *more: Sequence[Any], workers: int | None = None
) -> Iterator[tuple[int, Any]]:
    """Yield each start, and what a function returns for it and for what is beside it in `more`."""
    workers = min(workers or processors(), len(starts))
    with ExitStack() as stack:
        run = stack.enter_context(ProcessPoolExecutor(workers)).map if workers > 1 else map
        yield from zip(starts, run(function, starts, *more), strict=True)


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _decode_chunk(part: Path, size: int, fit: Fit, start: int, paths: Sequence[Path]) -> Failures:
    failures: Failures = {}
    pixels = np.zeros((len(paths), size, size, 3), dtype=np.uint8)
    for target, path in zip(pixels, paths, strict=True):
        try:
            target[:] = decode_image(path, size, fit)
        except Exception as error:  # PIL's readers raise whatever a broken file leads them to
            failures[path] = _reason(error)
    with part.open("r+b") as file:
        file.seek(start * size * size * 3)
        file.write(pixels.data)
    return failures


def decode_image(path: Path, size: int, fit: Fit) -> NDArray[np.uint8]:
    """Return one image as `[size, size, 3]`; raises what PIL raises where it cannot be read.

    The pixels of `crop` are those of torchvision's `Resize` (bicubic) and `CenterCrop`.
    """
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(path, formats=FORMATS) as image:
            if image.mode.startswith(("I", "F")):
                raise ValueError(f"more than 8 bits a channel: mode {image.mode}")
            rgb = image.convert("RGB")
    shorter = min(rgb.size)
    width, height = (int(size * side / shorter) if fit == "crop" else size for side in rgb.size)
    if width * height > MAX_SCALED:
        raise ValueError(f"too elongated: {rgb.width} x {rgb.height}")
    x, y = round((width - size) / 2), round((height - size) / 2)
    scaled = rgb.resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(scaled.crop((x, y, x + size, y + size)))


def _reason(error: Exception) -> str:
    from PIL import Image, UnidentifiedImageError

    if isinstance(error, FileNotFoundError):
        return "missing"
    if isinstance(error, UnidentifiedImageError):
        return "not an image"
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return "too many pixels"
    return getattr(error, "strerror", None) or str(error)[:80] or type(error).__name__


def _check_all_read(failures: Failures, total: int) -> None:
    if not failures:
        return
    some = "; ".join(f"{path} ({reason})" for path, reason in sorted(failures.items())[:NAMED])
    more = f"; and {len(failures) - NAMED} more" if len(failures) > NAMED else ""
    raise DataError(
        os.path.commonpath([path.absolute().parent for path in failures]),
        f"{len(failures)} of {total} images cannot be read: {some}{more}",
        "Restore these files (8-bit JPEG, PNG, BMP, GIF, PPM, TIFF or WebP), or take them out of "
        "the dataset.",
    )


def _hash_files(paths: Sequence[Path], index: Path) -> tuple[list[str | None], Failures]:
    """Return each file's SHA-256, reading only files whose size or time differs from the index."""
    from filelock import FileLock

    known = _read_index(index)
    failures: Failures = {}

    def look_up(path: Path) -> list[Any] | None:
        try:
            status = path.stat()
            stamp = [status.st_size, status.st_mtime_ns]
            entry = known.get(str(path.absolute()), [])
            return entry if entry[:2] == stamp else [*stamp, _hash_file(path)]
        except OSError as error:
            failures[path] = _reason(error)
            return None

    with ThreadPoolExecutor() as pool:
        entries = list(pool.map(look_up, paths))
    found = {str(p.absolute()): e for p, e in zip(paths, entries, strict=True) if e is not None}
    if any(known.get(path) != entry for path, entry in found.items()):
        with FileLock(index.with_suffix(".lock")):
            part = index.with_suffix(".part")
            part.write_text(json.dumps(_read_index(index) | found))
            part.replace(index)
    return [None if entry is None else entry[2] for entry in entries], failures


def _hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _read_index(index: Path) -> dict[str, list[Any]]:
    """Return path -> [size, mtime_ns, sha256]; nothing where the index is missing or damaged."""
    try:
        content = json.loads(index.read_text())
    except (OSError, ValueError):
        return {}
    entries = content.items() if isinstance(content, dict) else ()
    return {path: entry for path, entry in entries if isinstance(entry, list) and len(entry) == 3}
