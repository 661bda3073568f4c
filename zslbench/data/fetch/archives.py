"""Archives from elsewhere, unpacked without trust: files and folders alone, below one folder.

Links, devices, paths that lead outside, and archives that unpack to more than they may are refused,
wherever in the archive they are, wanted or not.
"""

import gzip
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from filecmp import cmp
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, cast

from zslbench.data.types import OnProgress, no_progress
from zslbench.errors import DataError

GZIP = b"\x1f\x8b"
MB = 1_000_000
BLOCK = 1 << 20
HEADERS = 32 << 10  # what tar may read to find the next member: longer headers stall its parser
MEMBERS = 200_000
DAMAGED = (
    EOFError, zlib.error, gzip.BadGzipFile, tarfile.TarError, zipfile.BadZipFile,
    NotImplementedError, RuntimeError, UnicodeError, ValueError,
)  # fmt: skip

Placing = Callable[[PurePosixPath], PurePosixPath | None]


@dataclass(frozen=True)
class _Member:
    name: str
    size: int
    folder: bool
    content: IO[bytes] | None  # None for what is neither file nor folder


class _RefusedError(Exception):
    """What is wrong with a member of an archive."""


def is_archive(path: Path) -> bool:
    """Return whether a file is a zip archive, or begins as a tar archive does."""
    try:
        if zipfile.is_zipfile(path):
            return True
        with _opened(path) as file:
            tarfile.TarInfo.frombuf(file.read(tarfile.BLOCKSIZE), "utf-8", "surrogateescape")
    except (*DAMAGED, OSError):
        return False
    return True


def unpack(
    path: Path, into: Path, place: Placing, limit: float, on_progress: OnProgress = no_progress
) -> int:
    """Write what is wanted of a zip or tar archive into a folder; return how many files.

    Args:
        path: The archive.
        into: The folder.
        place: Where in the folder a file goes, by its name in the archive; None to leave it out.
        limit: The most gigabytes that all its files may have, wanted or not.
        on_progress: Called with (done, about how many) in megabytes.

    Raises:
        DataError: If the archive is damaged, or holds what it may not.
        OSError: If a file cannot be written.
    """
    if not path.is_file():
        raise DataError(path, "there is no such archive", "Check its path.")
    if not is_archive(path):
        raise DataError(path, "is neither a zip nor a tar archive", "Name the file as published.")
    members = _zipped if zipfile.is_zipfile(path) else _tarred
    most, total, written = int(limit * 1e9), 0, 0
    expected = max(1, path.stat().st_size // MB)  # photos are hardly smaller when packed
    try:
        for number, member in enumerate(members(path), start=1):
            total += member.size
            _check(member, number, total, most)
            target = None if member.folder else place(PurePosixPath(member.name))
            if target is not None:
                written += 1
                _write(cast(IO[bytes], member.content), into / target)
            on_progress(min(total // MB, expected - 1), expected)
    except _RefusedError as error:
        fix = "Do not use it; get the archive from its publisher."
        raise DataError(path, str(error), fix) from None
    except DAMAGED as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise DataError(path, f"is damaged ({reason})", "Delete it and get it again.") from error
    on_progress(expected, expected)
    return written


def _check(member: _Member, number: int, total: int, most: int) -> None:
    if member.content is None and not member.folder:
        raise _RefusedError(f"holds {member.name!r}, which is no file: a link or a device")
    for parts in (PurePosixPath(member.name), PureWindowsPath(member.name)):
        if parts.anchor or ".." in parts.parts or "\0" in member.name:
            raise _RefusedError(f"holds {member.name!r}, a path that leads outside")
    if total > most:
        raise _RefusedError(f"unpacks to more than the {most / 1e9:g} GB that it may have")
    if number > MEMBERS:
        raise _RefusedError(f"holds more than {MEMBERS} files")


def _write(content: IO[bytes], target: Path) -> None:
    """Write a file; one that is in the archive twice must be the same twice."""
    again = target.with_name(f"{target.name}.again") if target.exists() else target
    again.parent.mkdir(parents=True, exist_ok=True)
    with again.open("xb") as file:
        shutil.copyfileobj(content, file, BLOCK)
    if again != target:
        if not cmp(again, target, shallow=False):
            raise _RefusedError(f"holds two files {target.name!r} that differ")
        again.unlink()


def _zipped(path: Path) -> Iterator[_Member]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            plain = kind in (0, stat.S_IFREG, stat.S_IFDIR)
            if not plain or info.is_dir():
                yield _Member(info.filename, 0, plain, None)
                continue
            with archive.open(info) as content:
                yield _Member(info.filename, info.file_size, False, content)


class _Metered:
    """A file that may be read no further than what its reader is due."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.due = file, HEADERS

    def read(self, size: int) -> bytes:
        """Read, or refuse: a header of gigabytes would be read into memory."""
        data = self.file.read(size)
        self.due -= len(data)
        if self.due < 0:
            raise _RefusedError("has a header of a size that none can have")
        return data


def _opened(path: Path) -> IO[bytes]:
    with path.open("rb") as raw:
        packed = raw.read(len(GZIP)) == GZIP
    return cast(IO[bytes], gzip.open(path)) if packed else path.open("rb")


def _tarred(path: Path) -> Iterator[_Member]:
    with _opened(path) as file:
        metered = _Metered(file)
        with tarfile.open(fileobj=cast(IO[bytes], metered), mode="r|") as archive:
            for info in archive:
                metered.due = info.size + HEADERS
                plain = info.isreg() and not info.issparse()
                content = archive.extractfile(info) if plain else None
                yield _Member(info.name, info.size, info.isdir(), content)
                while content and content.read(BLOCK):
                    pass  # so that what is read next is a header
                metered.due = HEADERS
        while file.read(BLOCK):
            pass  # the checksum of a gzip file is at its end
