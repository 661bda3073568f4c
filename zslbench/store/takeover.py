"""Results folders of before: records of outbox and artifacts become run folders."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from zslbench.errors import ZslbenchError
from zslbench.records import Opening, Record
from zslbench.store.folders import KINDS, RECORD_FILE, RunFolders, name_of
from zslbench.store.journal import Journal

OUTBOX, ARTIFACTS = "outbox", "artifacts"


def is_of_before(results: Path) -> bool:
    """Return whether a results folder was last written by an earlier version.

    Raises:
        ZslbenchError: If it was, and cannot be written to now.
    """
    if not (results / OUTBOX).is_dir():
        return False
    if not os.access(results, os.W_OK):
        raise ZslbenchError(
            f"{results} was written by an earlier version and cannot be written to: have its "
            "owner run any command on it once, such as `zslbench leaderboard`."
        )
    return True


def take_over(results: Path, folders: RunFolders, ledger: Journal) -> None:
    """Move every record to its run folder, and MLflow's database out of the way; say so.

    A kill in between leaves the rest to the next command: each record is moved by one rename.
    """
    if not (results / OUTBOX).is_dir():
        return  # another process has done it
    moved, known = 0, {line["key"] for line in ledger.lines()}
    folders.folder.mkdir(exist_ok=True)
    for file in _records(results):
        record = _read(file)
        if isinstance(record, Opening):
            if record.key not in known:
                ledger.append(record.model_dump(mode="json"), durable=True)
            shutil.rmtree(file.parent)
        elif record is not None:
            moved += folders.finish(file.parent, name_of(record))
    database = results / "mlflow.db"
    if database.exists():
        database.rename(results / "mlflow.db.before")
    for name in ("fetched", "checkpoints"):
        shutil.rmtree(results / name, ignore_errors=True)
    (results / "finished.txt").unlink(missing_ok=True)
    print(
        f"{results} was written by an earlier version: {moved} records are now in "
        f"{folders.folder}. MLflow's former database is mlflow.db.before; a new one is filled "
        "from the run folders.",
        file=sys.stderr,
    )
    for name in (ARTIFACTS, OUTBOX):
        _put_away(results / name)


def _records(results: Path) -> Iterator[Path]:
    """Yield the files of all records but those half-written, the earliest first."""
    files = [f for name in (ARTIFACTS, OUTBOX) for f in (results / name).rglob(RECORD_FILE)]
    whole = [f for f in files if not any(p[0] == "." for p in f.relative_to(results).parts)]
    yield from sorted(whole, key=lambda file: file.stat().st_mtime_ns)


def _read(file: Path) -> Record | None:
    """Return a record of any kind: each refuses the fields of all others."""
    text = file.read_bytes()
    kinds: tuple[type[Record], ...] = (*KINDS.values(), Opening)
    for kind in kinds:
        with suppress(ValidationError):
            return kind.model_validate_json(text)
    return None


def _put_away(folder: Path) -> None:
    """Remove a folder's empty folders; what else is left is kept under another name."""
    for path in (*folder.glob(".draft-*"), *folder.glob(".gone-*")):
        shutil.rmtree(path, ignore_errors=True)
    for place, _, _ in os.walk(folder, topdown=False):
        with suppress(OSError):
            Path(place).rmdir()
    if folder.exists():
        folder.rename(folder.with_name(f"{folder.name}.before"))
