"""The store: run folders are what is finished, MLflow mirrors them."""

import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from itertools import permutations
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock

from zslbench.errors import ZslbenchError
from zslbench.records import (
    Failure,
    IncrementalRecord,
    Measurement,
    Opening,
    Record,
    RunRecord,
)
from zslbench.store.artifacts import TEST, read_photos, shared
from zslbench.store.folders import RunFolders
from zslbench.store.garbage import uncollected
from zslbench.store.index import Index
from zslbench.store.journal import Journal
from zslbench.store.mirror import Mirror
from zslbench.store.takeover import is_of_before, take_over

R = TypeVar("R", bound=Record)


@dataclass(frozen=True)
class Stored:
    """A run's record and the folder of its files; `run_id` is MLflow's, None before it is there."""

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
    """What a push to MLflow did: records pushed, records that still wait, and why."""

    uploaded: int
    left: int
    error: str | None = None


class Store:
    """Reads and writes records.

    Args:
        results: The results folder. One of an earlier version is taken over.
        uri: MLflow's tracking URI; by default `MLFLOW_TRACKING_URI`. Empty: a SQLite file in
            `results`.
    """

    def __init__(self, results: Path, uri: str | None = None) -> None:
        self.results = results.resolve()
        self.folders = RunFolders(self.results / "runs")
        self.index = Index(self.results / "index.jsonl", self.folders)
        self._ledger = Journal(self.results / "ledger.jsonl")
        uri = os.environ.get("MLFLOW_TRACKING_URI") if uri is None else uri
        self.mirror = Mirror(self.results, uri or None, self.folders, self.lock)
        if is_of_before(self.results):
            with self.lock("takeover"):
                take_over(self.results, self.folders, self._ledger)

    def __reduce__(self) -> tuple[Any, ...]:
        """To another process it travels as its place; each process opens it once."""
        return _opened, (self.results, self.mirror.server or "")

    @property
    def uri(self) -> str:
        """Where MLflow is, for messages."""
        return self.mirror.place

    @property
    def error(self) -> str | None:
        """Why MLflow is left alone; None while it answers."""
        return self.mirror.error

    @property
    def client(self) -> Any:
        """MLflow's client."""
        return self.mirror.client

    @property
    def writable(self) -> bool:
        """Whether anything can be written to the results folder."""
        return os.access(self.results, os.W_OK)

    def check(self) -> None:
        """Refuse, before any work is done, a mirror that can never take it.

        Raises:
            ZslbenchError: If the tracking URI is malformed, or the database damaged or not ours.
        """
        fault = self.mirror.fault()
        if fault:
            raise ZslbenchError(fault)

    # -- writing ---------------------------------------------------------------------------------

    def commit(self, record: Any, write: Callable[[Path], None] = lambda p: None) -> None:
        """Commit a record with the files that `write` puts beside it; it is finished from here on.

        An opening is a line of the ledger, on the disk when this returns.
        """
        if isinstance(record, Opening):
            with self.lock("ledger"):
                self._ledger.append(record.model_dump(mode="json"), durable=True)
        elif self.folders.commit(record, write):
            self.index.add(record)

    def attach(self, run: Stored, files: Sequence[Path], place: str) -> bool:
        """Put files beside a run's record, in a folder there, for MLflow to show.

        Returns:
            False where MLflow cannot be reached, or does not have the run yet.
        """
        return self.mirror.attach(f"run-{run.record.key}", files, place)

    def waiting(self) -> list[str]:
        """Return the names of what MLflow does not have yet, oldest first."""
        pushed = self.mirror.pushed()
        names = [name for name in self.folders.names() if name not in pushed]
        folder = self.folders.folder
        names.sort(key=lambda name: (_age(folder / name), name))
        openings = [f"opening-{line['key']}" for line in self._ledger.lines()]
        return names + [name for name in openings if name not in pushed]

    def sync(self, *, again: bool = False) -> SyncReport:
        """Push to MLflow what it does not have; where it is away, a later command does.

        Args:
            again: Try even if MLflow could not be reached before.
        """
        if again:
            self.mirror.error = None
            self.folders.clear()
        if not self.writable:
            return SyncReport(0, 0)
        self.mirror.error = self.error or self.mirror.fault()
        before = self.waiting()
        if before and not self.error:
            with self.lock("sync"):
                names = self.waiting()  # before the ledger is read, which may grow meanwhile
                openings = {line["key"]: line for line in self._ledger.lines()}
                for name in names:
                    if self.error:
                        break
                    self._push(name, openings)
        pushed = self.mirror.pushed() if before else {}
        left = sum(name not in pushed for name in before)
        return SyncReport(len(before) - left, left, self.error)

    def _push(self, name: str, openings: dict[str, Any]) -> None:
        kind, _, key = name.partition("-")
        if kind == "opening":
            record: Record = Opening.model_validate(openings[key])
            self.mirror.attempt(partial(self.mirror.push, name, record, None))
            return
        try:
            record = self.folders.read(kind, key)
        except ZslbenchError:
            return  # stays where it is: `doctor` shows it, and others must not wait for it
        self.mirror.attempt(partial(self.mirror.push, name, record, self.folders.path(kind, key)))

    def notice(self) -> str | None:
        """Return what is wrong with MLflow and what waits for it; None where all is well."""
        if not self.error:
            return None
        left = len(self.waiting())
        rest = f" {left} records wait in {self.folders.folder}; the next command pushes them."
        return self.error + (rest if left else "")

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

    # -- reading ---------------------------------------------------------------------------------

    def has(self, kind: str, key: str) -> bool:
        """Return whether this folder has a finished record."""
        return self.folders.has(kind, key)

    def missing(self, kind: str, keys: Collection[str]) -> set[str]:
        """Return the keys of records that neither this folder nor the server has."""
        self.pull(kind, keys)
        return {key for key in keys if not self.folders.has(kind, key)}

    def pull(self, kind: str, keys: Collection[str] | None = None, tag: str = "key") -> None:
        """Bring records that the server has and this folder lacks; see `Mirror.pull`."""
        if self.mirror.server and (self.writable or not self.results.exists()):
            self.mirror.pull(kind, keys, tag)

    def get(self, kind: str, key: str) -> Record | None:
        """Return a finished record, None where there is none."""
        return None if self.missing(kind, [key]) else self.folders.read(kind, key)

    def read(self, kind: type[R], key: str) -> R:
        """Return a record that is known to be finished.

        Raises:
            ZslbenchError: If it cannot be read back now.
        """
        record = self.get(kind.kind, key)
        if not isinstance(record, kind):
            why = self.error or "it was removed meanwhile"
            raise ZslbenchError(
                f"The {kind.kind} {key[:12]} is finished and cannot be read back now ({why}). "
                "Run the same command again."
            )
        return record

    def _read(self, kind: type[R], keys: Collection[str] | None) -> list[R]:
        """Return records of a kind, those made first first; of all that the server has too."""
        self.pull(kind.kind, keys)
        if keys is None:
            keys = [entry.key for entry in self.index.entries(kind.kind)]
        with uncollected():
            found = [self.folders.read(kind.kind, key) for key in keys if self.has(kind.kind, key)]
        records: list[Any] = [record for record in found if isinstance(record, kind)]
        return sorted(records, key=lambda record: (record.created, record.key))

    def runs(self, keys: Collection[str] | None = None) -> list[Stored]:
        """Return finished runs, those made first first.

        Args:
            keys: Which; None: all.
        """
        ids = self.mirror.pushed()
        return [
            Stored(record, self.folders.path("run", record.key), ids.get(f"run-{record.key}"))
            for record in self._read(RunRecord, keys)
        ]

    def incremental(self, keys: Collection[str] | None = None) -> list[StoredIncremental]:
        """Return finished runs along task sequences, likewise."""
        return [
            StoredIncremental(record, self.folders.path("sequence", record.key))
            for record in self._read(IncrementalRecord, keys)
        ]

    def measurements(self) -> list[Measurement]:
        """Return all measurements."""
        return self._read(Measurement, None)

    def failures(self, keys: Collection[str]) -> dict[str, Failure]:
        """Return the latest failure of each of some runs, by the run's key; most have none."""
        self.pull("failure", keys, "run_key")
        entries = [entry for entry in self.index.entries("failure") if entry.of in keys]
        return {entry.of: self.read(Failure, entry.key) for entry in entries}

    def openings(self) -> dict[str, dict[str, Any]]:
        """Return the ledger's entries by their keys; a server's lack the time."""
        return {line["key"]: line for line in [*self.mirror.openings(), *self._ledger.lines()]}

    def ledger(self) -> Counter[tuple[str, str]]:
        """Return how often test labels were opened, by (method, test digest).

        To open a test set is to open every other that has one of its photos, as far as runs of both
        are here: their folders hold what tells photos apart.
        """
        opened = self.openings().values()
        tested = {test: self.folders.path("run", key) for test, key in self._tested(opened).items()}
        return counted(((line["method"], line["test_digest"]) for line in opened), tested)

    def sharing(self, tests: Collection[str]) -> dict[str, str]:
        """Return a run of each other test set that shares a photo with one of some."""
        runs = self._tested(self.openings().values())
        pairs = _sharing({test: self.folders.path("run", key) for test, key in runs.items()})
        return {two: runs[two] for one, two in pairs if one in tests and two not in tests}

    def _tested(self, openings: Iterable[Mapping[str, Any]]) -> dict[str, str]:
        """Return a run that is here of each test set that was opened: the set's digest -> key."""
        found: dict[str, str] = {}
        for line in openings:
            kept = self.folders.path("run", line["run_key"]) / TEST
            if line["test_digest"] not in found and kept.exists():
                found[line["test_digest"]] = line["run_key"]
        return found


def counted(
    openings: Iterable[tuple[str, str]], tested: Mapping[str, Path]
) -> Counter[tuple[str, str]]:
    """Return how often each method opened each test set, or one that shares a photo with it.

    Args:
        openings: Method and test digest of each.
        tested: The folder of a run on each test set, as far as there is one.
    """
    counts = Counter(openings)
    found = counts.copy()
    for one, other in _sharing(tested):
        found.update({(m, one): n for (m, test), n in counts.items() if test == other})
    return found


def _sharing(tested: Mapping[str, Path]) -> list[tuple[str, str]]:
    """Return the digests of every two test sets that share a photo, in both orders."""
    photos = {test: read_photos(folder) for test, folder in tested.items()}
    return [pair for pair in permutations(photos, 2) if shared(*(photos[t] for t in pair))]


def _age(folder: Path) -> int:
    try:
        return folder.stat().st_mtime_ns
    except FileNotFoundError:  # another machine's is taken in its place
        return 0


@cache
def _opened(results: Path, uri: str) -> Store:
    return Store(results, uri)
