"""The index of a results folder: what each finished record is about, without opening it."""

from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from zslbench.errors import DataError
from zslbench.records import Failure, Record, Trial
from zslbench.store.folders import RunFolders, name_of
from zslbench.store.journal import Journal


class IndexEntry(NamedTuple):
    """What the index says of a record; all but `name` is empty where it cannot be read.

    Attributes:
        name: Of its folder, `<kind>-<key>`.
        of: The run that a failure is of, or the sweep that a trial is of.
    """

    name: str
    method: str = ""
    dataset: str = ""
    of: str = ""
    created: str = ""

    @property
    def key(self) -> str:
        """The record's key."""
        return self.name.partition("-")[2]


class Index:
    """Entries of all finished records. The folders are the truth: what is missing here is added.

    Args:
        path: The file, beside the folders; it may be deleted at any time.
        folders: What it is the index of.
    """

    def __init__(self, path: Path, folders: RunFolders) -> None:
        self._journal, self._folders = Journal(path), folders
        self._entries: dict[str, IndexEntry] = {}
        self._seen = 0

    def add(self, *records: Record) -> None:
        """Enter records; one that cannot be entered now is entered when it is looked for."""
        with suppress(OSError):
            self._journal.append(*(_entry(record) for record in records))

    def entries(self, kind: str) -> list[IndexEntry]:
        """Return the entries of a kind, those made first first."""
        lines = self._journal.lines()
        if len(lines) < self._seen:
            self._seen, self._entries = 0, {}
        self._entries.update((line[0], IndexEntry(*line)) for line in lines[self._seen :])
        self._seen = len(lines)
        names = self._folders.names()
        self._enter([name for name in names if name not in self._entries])
        wanted = {name for name in names if name.startswith(kind + "-")}
        known = [entry for name, entry in self._entries.items() if name in wanted]
        unread = [IndexEntry(name) for name in sorted(wanted - self._entries.keys())]
        return sorted([*unread, *known], key=lambda entry: entry.created)  # else as committed

    def _enter(self, names: list[str]) -> None:
        """Enter records that nobody has entered: by an older version, by a process now killed."""
        found = []
        for name in names:
            kind, _, key = name.partition("-")
            with suppress(DataError):
                found.append(self._folders.read(kind, key))
        if found:
            self.add(*found)
            self._entries.update((entry.name, entry) for entry in map(_entry, found))


def _entry(record: Any) -> IndexEntry:
    about = getattr(record, "spec", record)
    of = record.spec.key if isinstance(record, Failure) else ""
    of = record.sweep if isinstance(record, Trial) else of
    return IndexEntry(name_of(record), about.method, about.dataset, of, record.created)
