"""The store: commits go to the outbox at once, to MLflow when it can be reached."""

import os
import shutil
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlparse

from filelock import FileLock

from zslbench.errors import DataError, ZslbenchError
from zslbench.records import (
    Failure,
    IncrementalRecord,
    Measurement,
    Opening,
    Record,
    RunRecord,
)
from zslbench.store.garbage import uncollected
from zslbench.store.outbox import RECORD_FILE, Outbox, read_record
from zslbench.store.payload import PREFIX, payload
from zslbench.store.tracking import Tracking, finished

R = TypeVar("R", bound=Record)


@dataclass(frozen=True)
class Stored:
    """A run's record and the folder of its files; `run_id` is None before it is uploaded."""

    record: RunRecord
    folder: Path
    run_id: str | None = None


@dataclass(frozen=True)
class StoredIncremental:
    """The record of a run along a task sequence, and the folder of its files."""

    record: IncrementalRecord
    folder: Path


@dataclass(frozen=True)
class SyncReport:
    """What a sync did: records uploaded, records left in the outbox, and why."""

    uploaded: int
    left: int
    error: str | None = None


class Store:
    """Reads and writes records.

    Args:
        results: The results folder.
        uri: MLflow's tracking URI; by default `MLFLOW_TRACKING_URI`, else a SQLite file in
            `results`.
    """

    def __init__(self, results: Path, uri: str | None = None) -> None:
        self.results = results.resolve()
        self.outbox = Outbox(self.results / "outbox")
        self.tracking = Tracking(
            self.results, uri or os.environ.get("MLFLOW_TRACKING_URI"), self.lock
        )
        self.uri, self.is_local = self.tracking.uri, self.tracking.is_local
        self.error: str | None = None

    @property
    def client(self) -> Any:
        """MLflow's client."""
        return self.tracking.client

    def __reduce__(self) -> tuple[Any, ...]:
        """To another process it travels as its place; each process opens it once."""
        return _opened, (self.results, self.uri)

    # -- writing ---------------------------------------------------------------------------------

    def commit(self, record: Any, write: Callable[[Path], None] = lambda p: None) -> None:
        """Commit a record to the outbox; it is done from here on.

        Openings and the keys of finished runs are noted on this disk as well, where they stay: no
        server that is away makes a run look undone, or a look at test labels unseen.
        """
        if isinstance(record, Opening):
            self._note("ledger.jsonl", record.model_dump_json())
        self.outbox.commit(record.kind, record.key, record, write)
        if isinstance(record, RunRecord | IncrementalRecord):
            self._note("finished.txt", record.key)

    def attach(self, run: Stored, files: Sequence[Path], place: str) -> bool:
        """Put files beside a run's record in MLflow, in a folder there.

        Returns:
            False where MLflow cannot be reached, or does not have the run yet.
        """
        if run.run_id is None or self.error:
            return False
        put = self.client.log_artifact
        return all(self._try(partial(put, run.run_id, str(file), place)) for file in files)

    def _note(self, name: str, line: str) -> None:
        self.results.mkdir(parents=True, exist_ok=True)
        with (self.results / name).open("a") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())

    def _noted(self, name: str) -> list[str]:
        path = self.results / name
        return path.read_text().splitlines() if path.is_file() else []

    def sync(self, *, again: bool = False) -> SyncReport:
        """Upload what waits in the outbox; an unreachable server costs only a later sync.

        Args:
            again: Try even if MLflow could not be reached before.
        """
        self.error = None if again else self.error
        self.outbox.sweep()
        waiting = list(self.outbox)
        if not waiting:
            return SyncReport(0, 0, self.error)
        with self.lock("sync"):
            for path in waiting:
                if self.error:
                    break
                if path.exists():
                    self._try(partial(self._upload, path))
        left = sum(path.exists() for path in waiting)
        return SyncReport(len(waiting) - left, left, self.error)

    @contextmanager
    def lock(self, name: str, timeout: float = -1) -> Iterator[None]:
        """Keep other processes on this disk out; a process that dies lets go.

        Args:
            name: What is locked.
            timeout: Seconds to wait for it; negative: for ever.

        Raises:
            filelock.Timeout: If another process has it for longer.
        """
        folder = self.results / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f"{name}.lock", timeout):
            yield

    def _try(self, action: Callable[[], Any]) -> bool:
        """Run an action against MLflow; after one failure this process leaves MLflow alone."""
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            action()
        except (MlflowException, SQLAlchemyError, OSError) as error:
            self.error = str(error).strip().splitlines()[0][:300]
            return False
        return True

    def _upload(self, path: Path) -> None:
        kind, key = path.name.split("-", 1)
        if next(self.tracking.search(finished(kind, key)), None) is None:
            try:
                record = read_record(path, kind)
            except DataError:
                return  # stays where it is: `doctor` shows it, and others must not wait for it
            self.tracking.create(payload(record), path)
        self.outbox.remove(path)

    # -- reading ---------------------------------------------------------------------------------

    def get(self, kind: str, key: str) -> Record | None:
        """Return a finished record; MLflow's earliest FINISHED one goes before the outbox."""
        waiting = self._waiting(f"{kind}-{key}")
        for run in self._look(finished(kind, key)):
            folder = self._folder(run)
            if (folder / RECORD_FILE).is_file():
                return read_record(folder, kind)
        return next(iter(waiting.values()), None)

    def read(self, kind: type[R], key: str) -> R:
        """Return a record that is known to be finished.

        Raises:
            ZslbenchError: If it cannot be read back now.
        """
        record = self.get(kind.kind, key)
        if not isinstance(record, kind):
            why = self.error or "`zslbench doctor` says why"
            raise ZslbenchError(
                f"The {kind.kind} {key[:12]} is finished and cannot be read back now ({why}). "
                "When it can be, the same command goes on."
            )
        return record

    def has(self, kind: str, key: str) -> bool:
        """Return whether a record is finished, as far as can be known."""
        if self.outbox.path(kind, key).exists() or self._look(finished(kind, key)):
            return True
        return (
            bool(self.error) and kind in ("run", "sequence") and key in self._noted("finished.txt")
        )

    def runs(self) -> list[Stored]:
        """Return all finished runs, each key once: the earliest FINISHED, then the outbox."""
        return [Stored(_run(record), folder, i) for record, folder, i in self._all("run")]

    def sequences(self) -> list[StoredIncremental]:
        """Return all finished runs along task sequences, each key once, likewise."""
        return [
            StoredIncremental(_sequence(record), folder)
            for record, folder, _ in self._all("sequence")
        ]

    def _all(self, kind: str) -> list[tuple[Record, Path, str | None]]:
        """Return records of a kind that have files, with their folders and MLflow's ids."""
        waiting = self._waiting(f"{kind}-")
        found: dict[str, tuple[Record, Path, str | None]] = {}
        with uncollected():
            for run in self._look(finished(kind)):
                key, folder = run.data.tags[PREFIX + "key"], self._folder(run)
                if key not in found and (folder / RECORD_FILE).is_file():
                    found[key] = read_record(folder, kind), folder, run.info.run_id
        for path, record in waiting.items():
            found.setdefault(record.key, (record, path, None))
        return list(found.values())

    def measurements(self) -> list[Measurement]:
        """Return all measurements, each key once."""
        found = {record.key: record for record in self._waiting("measurement-").values()}
        for run in self._look(finished("measurement")):
            key, folder = run.data.tags[PREFIX + "key"], self._folder(run)
            if key not in found and (folder / RECORD_FILE).is_file():
                found[key] = read_record(folder, "measurement")
        return list(found.values())

    def failures(self, keys: Collection[str]) -> dict[str, Failure]:
        """Return the latest failure of each of some runs, by the run's key; most have none."""
        waiting = self._waiting("failure-")
        found: dict[str, Failure] = {}
        for run in self._look(finished("failure")):
            key = run.data.tags[PREFIX + "run_key"]
            if key in keys and ((folder := self._folder(run)) / RECORD_FILE).is_file():
                found[key] = _failure(read_record(folder, "failure"))
        for record in waiting.values():
            if record.spec.key in keys:
                found[record.spec.key] = record
        return found

    def ledger(self) -> Counter[tuple[str, str]]:
        """Return how often test labels were opened, by (method, test digest)."""
        whole = [line for line in self._noted("ledger.jsonl") if line.endswith("}")]
        noted = [Opening.model_validate_json(line) for line in whole]
        entries = self._waiting("opening-").values()
        known = [*noted, *(entry for entry in entries if isinstance(entry, Opening))]
        opened = {entry.key: (entry.method, entry.test_digest) for entry in known}
        with uncollected():
            for run in self._look(finished("opening")):
                tags = run.data.tags
                opened[tags[PREFIX + "key"]] = tags[PREFIX + "method"], tags[PREFIX + "test_digest"]
        return Counter(opened.values())

    def dead_links(self) -> list[str]:
        """Return ids of finished runs whose record is not where MLflow says it is."""
        runs = self._look(finished("run"))
        return [r.info.run_id for r in runs if not (self._folder(r) / RECORD_FILE).is_file()]

    def _waiting(self, prefix: str) -> dict[Path, Any]:
        """Return the outbox's records: read before MLflow is, for a record moves from here there.

        Whoever looked at MLflow first could miss one that is uploaded in between.
        """
        found = {}
        for path in self.outbox:
            if path.name.startswith(prefix):
                try:
                    found[path] = read_record(path, path.name.split("-", 1)[0])
                except DataError:
                    if path.exists():  # else another process has uploaded it meanwhile
                        raise
        return found

    def _look(self, filter_string: str) -> list[Any]:
        """Search, or find nothing where MLflow cannot be reached."""
        found: list[Any] = []
        if not self.error:
            self._try(lambda: found.extend(self.tracking.search(filter_string)))
        return found

    def _folder(self, run: Any) -> Path:
        """Return the folder of a run's artifacts, fetched once where it is not on this disk."""
        where = urlparse(str(run.info.artifact_uri))
        if where.scheme in ("", "file"):
            return Path(unquote(where.path))
        folder = self.results / "fetched" / str(run.info.run_id)
        with self.lock("fetched"):
            if not folder.exists() and not self.error:
                draft = folder.with_name(".draft")
                shutil.rmtree(draft, ignore_errors=True)
                draft.mkdir(parents=True)
                fetch = self.client.download_artifacts
                if self._try(lambda: fetch(run.info.run_id, "", str(draft))):
                    draft.rename(folder)
        return folder


@cache
def _opened(results: Path, uri: str) -> Store:
    return Store(results, uri)


def _run(record: Record) -> RunRecord:
    assert isinstance(record, RunRecord)
    return record


def _sequence(record: Record) -> IncrementalRecord:
    assert isinstance(record, IncrementalRecord)
    return record


def _failure(record: Record) -> Failure:
    assert isinstance(record, Failure)
    return record
