"""Run folders: a finished record is a folder that appears whole, by one rename, and stays."""

import errno
import json
import os
import shutil
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

from pydantic_core import from_json

from zslbench.errors import DataError
from zslbench.records import (
    Choice,
    Failure,
    IncrementalRecord,
    Measurement,
    Record,
    RunRecord,
    Sweep,
    Trial,
    disagreement,
)

RECORD_FILE = "record.json"
RECORDS = (RunRecord, IncrementalRecord, Choice, Failure, Sweep, Trial, Measurement)
KINDS: dict[str, type[Record]] = {record.kind: record for record in RECORDS}
STALE_SECONDS = 3600


class RunFolders:
    """All finished records of a results folder, one folder `<kind>-<key>` each.

    Args:
        folder: `<results>/runs`; made when first needed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._choices: dict[str, Choice] = {}

    def path(self, kind: str, key: str) -> Path:
        """Return where a record is, or would be."""
        return self.folder / f"{kind}-{key}"

    def has(self, kind: str, key: str) -> bool:
        """Return whether a record is finished."""
        return os.path.exists(f"{self.folder}/{kind}-{key}")  # noqa: PTH110 - asked for thousands

    def names(self) -> list[str]:
        """Return the names of all finished records.

        Raises:
            DataError: If the folder cannot be read.
        """
        try:
            found = os.listdir(self.folder)  # noqa: PTH208 - names are all that is needed
        except FileNotFoundError:
            return []
        except OSError as error:
            what = f"cannot be read ({error.strerror})"
            raise DataError(self.folder, what, "Ask its owner for permission to read it.") from None
        return [name for name in found if name.partition("-")[0] in KINDS]

    def commit(self, record: Record, write: Callable[[Path], None] = lambda p: None) -> bool:
        """Commit a record with the files that `write` puts beside it.

        A run's record names its choice by key; the choice is committed first where it is missing.
        Where the choice of that key is another one, made on another machine, the record holds it.

        Returns:
            False where the same record had been committed before.
        """
        if isinstance(record, RunRecord) and not self.has("choice", record.choice.key):
            self.commit(record.choice)
        draft = self.draft()
        try:
            write(draft)
            text = record_json(record) if self._names_choice(record) else whole_json(record)
            (draft / RECORD_FILE).write_text(text, encoding="utf-8")
            return self.finish(draft, name_of(record))
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def draft(self) -> Path:
        """Make an empty folder in which a record is put together."""
        draft = self.folder / f".draft-{uuid4().hex}-{os.getpid()}-{socket.gethostname()}"
        draft.mkdir(parents=True)
        return draft

    def finish(self, draft: Path, name: str, *, replace: bool = False) -> bool:
        """Give a draft its name; return False where there is a record of that name already.

        Args:
            draft: Holds all files of the record.
            name: `<kind>-<key>`.
            replace: Take it in place of the record that is there.
        """
        for path in (*(path for path in draft.rglob("*") if path.is_file()), draft):
            _flush(path)
        target = self.folder / name
        if replace and target.exists():
            self._choices.pop(name.partition("-")[2], None)
            target.rename(self.folder / f".gone-{uuid4().hex}")
        committed = _rename(draft, target)
        _flush(self.folder)
        return committed

    def read(self, kind: str, key: str) -> Record:
        """Read a record.

        Raises:
            DataError: If it is not a record of this schema, or its choice cannot be read.
        """
        path = self.path(kind, key) / RECORD_FILE
        try:
            content = from_json(path.read_bytes())
            if kind == "run" and isinstance(content["choice"], str):
                content["choice"] = self._choice(content["choice"])
            return KINDS[kind].model_validate(content)
        except (OSError, ValueError, KeyError, TypeError) as error:
            reason = (str(error).splitlines() or [""])[0]
            raise DataError(
                path,
                f"is no {kind} record of this version ({reason})",
                "`zslbench doctor` lists such records; remove the folder to drop it.",
            ) from error

    def _choice(self, key: str) -> Choice:
        """Return a choice, read once for all its runs."""
        if key not in self._choices:
            choice = self.read("choice", key)
            assert isinstance(choice, Choice)
            self._choices[key] = choice
        return self._choices[key]

    def _names_choice(self, record: Record) -> bool:
        """Return whether the key is enough to find a run's choice."""
        if not isinstance(record, RunRecord):
            return True
        return disagreement(record.choice, self._choice(record.choice.key)) is None

    def clear(self) -> None:
        """Clear what killed processes left: never a finished record."""
        drafts = filter(_is_abandoned, self.folder.glob(".draft-*-*-*"))
        for path in (*self.folder.glob(".gone-*"), *drafts):
            shutil.rmtree(path, ignore_errors=True)


def name_of(record: Any) -> str:
    """Return the name of a record's folder."""
    return f"{record.kind}-{record.key}"


def record_json(record: Record) -> str:
    """Return a record as its file holds it: a run's choice by key alone."""
    if not isinstance(record, RunRecord):
        return whole_json(record)
    content = record.model_dump(mode="json", exclude={"choice"})
    return json.dumps({**content, "choice": record.choice.key}, indent=1, ensure_ascii=False)


def whole_json(record: Record) -> str:
    """Return a record with all that it holds."""
    return record.model_dump_json(indent=1)


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
