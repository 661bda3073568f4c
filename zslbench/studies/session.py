"""What every study does around its work: where results go, what it runs on, what it reports."""

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from zslbench.engines import Engine, Ticks, open_engine
from zslbench.engines.execute import Report
from zslbench.errors import ZslbenchError
from zslbench.records import Failure
from zslbench.startup import supply_missing
from zslbench.store import Store
from zslbench.studies.progress import Display, say


class EngineChoice(TypedDict, total=False):
    """Where the runs of a study are done.

    Attributes:
        jobs: How many at once; by default one here, and on Ray one for each GPU or node.
        engine: `local` or `ray`.
        address: Of a Ray cluster, such as `HOST:6379`.
    """

    jobs: int | None
    engine: str
    address: str | None


@dataclass(frozen=True)
class Session:
    """A study at work: its store, its engine, and where progress is shown."""

    store: Store
    engine: Engine
    tick: Ticks

    def reading(self, done: int, total: int) -> None:
        """Show how far the images of a dataset are decoded, or a frozen network has seen them."""
        self.tick("reading images", done, total)


@contextmanager
def session(
    results: Path, jobs: int | None = None, engine: str = "local", address: str | None = None
) -> Iterator[Session]:
    """Open what a study works with.

    Raises:
        ZslbenchError: If nothing can be written to the results folder, or there is no such engine.
    """
    supply_missing()
    check_writable(results)
    store = Store(results)
    with Display() as display, open_engine(jobs, display.tick, engine, address) as opened:
        yield Session(store, opened, display.tick)


def check_writable(folder: Path, what: str = "results", fix: str = "Name a folder.") -> None:
    """Refuse a folder that nothing can be written to, before any work is done."""
    there = next(path for path in (folder, *folder.resolve().parents) if path.exists())
    if not (there.is_dir() and os.access(there, os.W_OK)):
        raise ZslbenchError(f"{what} {folder}: nothing can be written there. {fix}")


def report(done: Report, store: Store) -> None:
    """Print what was run, what failed, and what still waits for the server."""
    say(f"{done.done} run, {done.reused} reused, {len(done.failures)} failed")
    report_failures(done.failures, store)


def reference_done(reference: str, done: Collection[str]) -> str:
    """Return a reference if runs of it are done; else say so, and return none."""
    if not reference or reference in done:
        return reference
    say(f"no run of the reference {reference} is done: there are no differences to show")
    return ""


def report_failures(failures: Sequence[Failure], store: Store) -> None:
    """Print what failed, and what still waits for the server."""
    for failure in failures:
        say(f"failed: {failure.spec.method} on {failure.spec.dataset}, seed {failure.spec.seed}: "
            f"{failure.error}")  # fmt: skip
    if notice := store.notice():
        say(notice)
