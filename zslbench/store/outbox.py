"""The outbox: a finished record is a folder that appears whole, by one atomic rename."""

import errno
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from pydantic import ValidationError

from zslbench.errors import DataError
from zslbench.records import (
    Choice,
    Failure,
    IncrementalRecord,
    Measurement,
    Opening,
    Record,
    RunRecord,
    Sweep,
    Trial,
)

RECORD_FILE = "record.json"
RECORDS = (RunRecord, IncrementalRecord, Choice, Opening, Failure, Sweep, Trial, Measurement)
KINDS: dict[str, type[Record]] = {record.kind: record for record in RECORDS}
STALE_SECONDS = 3600


class Outbox:
    """Committed records that wait to be uploaded, one folder `<kind>-<key>` each.

    Args:
        folder: `<results>/outbox`; made when first needed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def commit(
        self, kind: str, key: str, record: Record, write: Callable[[Path], None] = lambda p: None
    ) -> bool:
        """Commit a record with the files that `write` puts beside it.

        Returns:
            False where the same record had been committed already.
        """
        draft = self.folder / f".draft-{uuid4().hex}-{os.getpid()}-{socket.gethostname()}"
        draft.mkdir(parents=True)
        try:
            write(draft)
            (draft / RECORD_FILE).write_text(record.model_dump_json(indent=1))
            for path in (*draft.iterdir(), draft):
                _flush(path)
            committed = _rename(draft, self.path(kind, key))
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        _flush(self.folder)
        return committed

    def path(self, kind: str, key: str) -> Path:
        """Return where a record is, or would be."""
        return self.folder / f"{kind}-{key}"

    def __iter__(self) -> Iterator[Path]:
        """Yield committed folders, oldest first: a choice or sweep before what came of it."""
        found = []
        for path in (p for p in self.folder.glob("*-*") if p.name.split("-")[0] in KINDS):
            with suppress(FileNotFoundError):  # another process has uploaded it meanwhile
                found.append((path.stat().st_mtime_ns, path))
        yield from (path for _, path in sorted(found))

    def remove(self, path: Path) -> None:
        """Remove a folder so that it is never seen half removed."""
        gone = path.with_name(f".gone-{uuid4().hex}")
        path.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)

    def sweep(self) -> None:
        """Clear what killed processes left: never a committed record."""
        drafts = filter(_is_abandoned, self.folder.glob(".draft-*-*-*"))
        for path in (*self.folder.glob(".gone-*"), *drafts):
            shutil.rmtree(path, ignore_errors=True)


def read_record(folder: Path, kind: str) -> Record:
    """Read the record in a folder.

    Raises:
        DataError: If it is not a record of this schema.
    """
    path = folder / RECORD_FILE
    try:
        return KINDS[kind].model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(
            path,
            f"is no {kind} record of this version ({reason})",
            "`zslbench doctor` lists such records; remove the folder to drop it.",
        ) from error


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _rename(draft: Path, target: Path) -> bool:
    """Rename a folder; return False where the target is there already."""
    try:
        draft.rename(target)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
            return False
        raise
    return True


def _is_abandoned(draft: Path) -> bool:
    """Return whether nobody writes a draft any more: its process is gone, or it is very old."""
    _, _, pid, host = draft.name.split("-", 3)
    try:
        if host == socket.gethostname():
            os.kill(int(pid), 0)
        return time.time() - draft.stat().st_mtime > STALE_SECONDS
    except ProcessLookupError:
        return True
    except (FileNotFoundError, PermissionError):
        return False
