"""The outbox: a finished record is a folder that appears whole, by one atomic rename."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

from pydantic import ValidationError

from zslbench.errors import DataError
from zslbench.records import Choice, Failure, Opening, Record, RunRecord

RECORD_FILE = "record.json"
KINDS: dict[str, type[Record]] = {
    record.kind: record for record in (RunRecord, Choice, Opening, Failure)
}
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
        draft = self.folder / f".draft-{uuid4().hex}"
        draft.mkdir(parents=True)
        try:
            write(draft)
            (draft / RECORD_FILE).write_text(record.model_dump_json(indent=1))
            for path in (*draft.iterdir(), draft):
                _flush(path)
            draft.rename(self.path(kind, key))
        except OSError:
            shutil.rmtree(draft, ignore_errors=True)
            if self.path(kind, key).exists():
                return False
            raise
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        _flush(self.folder)
        return True

    def path(self, kind: str, key: str) -> Path:
        """Return where a record is, or would be."""
        return self.folder / f"{kind}-{key}"

    def __iter__(self) -> Iterator[Path]:
        """Yield committed folders, oldest first: choices before the runs they led to."""
        if not self.folder.is_dir():
            return
        committed = [path for path in self.folder.iterdir() if not path.name.startswith(".")]
        yield from sorted(committed, key=lambda path: path.stat().st_mtime_ns)

    def remove(self, path: Path) -> None:
        """Remove a folder so that it is never seen half removed."""
        gone = path.with_name(f".gone-{uuid4().hex}")
        path.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)

    def sweep(self) -> None:
        """Clear what killed processes left: never a committed record."""
        for path in self.folder.glob(".*-*"):
            old = time.time() - path.stat().st_mtime > STALE_SECONDS
            if path.name.startswith(".gone-") or old:
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
