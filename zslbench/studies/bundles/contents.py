"""What a bundle holds: runs, their choices, the ledger's entries, and no test labels.

It is an archive as `zslbench.studies.archive` packs it; unpacked it is a results folder whose runs
lack what can be derived from data that the reader has.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from zslbench.errors import DataError, ZslbenchError
from zslbench.records import IncrementalRecord, Opening, RunRecord, canonical_json
from zslbench.store import Store, Stored, StoredIncremental, find_run
from zslbench.store.artifacts import ANSWERS, TEST, without_labels
from zslbench.store.folders import RECORD_FILE
from zslbench.studies.archive import FIX, SUFFIX, members_of, opened, pack
from zslbench.studies.groups import BY, NAME

LEDGER = "ledger.jsonl"
KINDS = ("run", "sequence", "choice")
AnyStored = Stored | StoredIncremental


@dataclass(frozen=True)
class Bundle:
    """A bundle that is unpacked for a while.

    Attributes:
        path: Its file.
        runs: Runs in seen/unseen worlds, then those along task sequences.
        openings: The ledger's entries by their keys.
    """

    path: Path
    runs: tuple[AnyStored, ...]
    openings: dict[str, Opening]


def write_bundle(path: Path, store: Store, names: Sequence[str], by: str = "") -> int:
    """Pack finished runs; return how many.

    Args:
        path: The file to write.
        store: What has the runs.
        names: The starts of the runs' keys; none: all.
        by: Who ran those that do not say so yet.

    Raises:
        ZslbenchError: If there is no such run, none at all, or one names a path of this machine.
    """
    if not path.name.endswith(SUFFIX):
        raise ZslbenchError(f"{path}: a bundle's name ends in {SUFFIX}.")
    if by and not NAME.fullmatch(by):
        raise ZslbenchError(
            f"--by {by!r}: write up to 40 letters, digits, blanks, dots, + or -, such as Lab-A."
        )
    chosen = [_find(store, name) for name in names] or [*store.runs(), *store.incremental()]
    records = list({run.record.key: run.record for run in chosen}.values())
    if not records:
        raise ZslbenchError(f"{store.results} has no finished runs to export.")
    runs = [f"{record.kind}-{record.key}" for record in records]
    used = {record.choice.key for record in records if isinstance(record, RunRecord)}
    members = members_of(store, [*runs, *(f"choice-{key}" for key in sorted(used))])
    for name, content in members.items():
        if name.endswith((TEST, ANSWERS)):
            members[name] = without_labels(content)
        elif by and not name.startswith("runs/choice"):
            members[name] = _signed(content, by) if name.endswith(RECORD_FILE) else content
    members[LEDGER] = _ledger_of(store, records)
    pack(path, members)
    return len(records)


def _find(store: Store, name: str) -> AnyStored:
    """Return the run, or the run along a task sequence, whose key begins with a name."""
    entries = store.index.entries("sequence")
    keys = [entry.key for entry in entries if entry.key.startswith(name.strip().lower())]
    return store.incremental(keys)[0] if name and len(keys) == 1 else find_run(store, name)


def _signed(content: bytes, by: str) -> bytes:
    """Return a run's record with who ran it, unless it says so."""
    record = json.loads(content)
    record["environment"].setdefault(BY, by)
    return json.dumps(record, indent=1, ensure_ascii=False).encode()


def _ledger_of(store: Store, records: Sequence[RunRecord | IncrementalRecord]) -> bytes:
    """Return all openings of the same test labels by the same methods, by whatever run."""
    read = {(record.spec.method, record.test_digest) for record in records}
    lines = [Opening.model_validate(line) for line in store.openings().values()]
    found = [line for line in lines if (line.method, line.test_digest) in read]
    found.sort(key=lambda line: (line.created, line.key))
    return "".join(f"{canonical_json(line.model_dump(mode='json'))}\n" for line in found).encode()


@contextmanager
def opened_bundle(path: Path) -> Iterator[Bundle]:
    """Unpack a bundle, and read its records; nothing in it is executed.

    Raises:
        DataError: If it is none, or a record or an entry of the ledger cannot be read.
    """
    with opened(path) as store:
        folder = store.folders.folder
        names = sorted(each.name for each in folder.iterdir()) if folder.exists() else []
        strange = [name for name in names if name.partition("-")[0] not in KINDS]
        if strange or not names:
            what = f"a {strange[0].partition('-')[0]}" if strange else "no runs"
            raise DataError(path, f"holds {what}: it is no bundle", FIX)
        yield Bundle(path, tuple(_runs(store, path)), _openings(store.results / LEDGER, path))


def _runs(store: Store, path: Path) -> Iterator[AnyStored]:
    for name in sorted(store.folders.names()):
        kind, _, key = name.partition("-")
        try:
            record = store.folders.read(kind, key)
        except DataError as error:
            raise DataError(path, f"{name[:20]} {error.what}", FIX) from None
        if isinstance(record, RunRecord):
            yield Stored(record, store.folders.path(kind, key))
        elif isinstance(record, IncrementalRecord):
            yield StoredIncremental(record, store.folders.path(kind, key))


def _openings(ledger: Path, path: Path) -> dict[str, Opening]:
    """Return the entries of a bundle's ledger."""
    found: dict[str, Opening] = {}
    for line in ledger.read_bytes().splitlines() if ledger.exists() else ():
        try:
            entry = Opening.model_validate_json(line)
        except ValidationError:
            entry = None
        if entry is None or {"key", "created"} - entry.model_fields_set or entry.key in found:
            raise DataError(path, f"has a line in its {LEDGER} that is no new entry", FIX)
        found[entry.key] = entry
    return found
