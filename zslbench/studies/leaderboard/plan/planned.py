"""A table as it is planned, and the archive of what it is made of."""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from zslbench.engines.execute import Job
from zslbench.errors import DataError
from zslbench.records import RuleName, canonical_json
from zslbench.store import Store
from zslbench.studies.archive import FIX, SUFFIX, members_of, pack, restore
from zslbench.studies.leaderboard.plan.request import TableRequest
from zslbench.studies.leaderboard.selection_bias import condensed
from zslbench.studies.progress import say

TABLE, LEDGER = "table.json", "ledger.jsonl"


class PlannedRun(BaseModel):
    """A run that a table asks for, its choice, and what its row is called."""

    key: str
    choice: str
    dataset: str
    label: str


class PlannedTable(BaseModel):
    """A table: what is said above it, and its runs in the order of the plan."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str
    about: str
    rules: tuple[RuleName, ...]
    reference: str
    runs: tuple[PlannedRun, ...]

    @classmethod
    def of(cls, table: TableRequest, jobs: Sequence[Job], *, tuned: bool) -> Self:
        """Return a table that is asked for, with its runs."""
        return cls(
            name=f"{table.name}-tuned" if tuned else table.name,
            title=table.title,
            about=table.about,
            rules=table.rules,
            reference=table.reference,
            runs=tuple(
                PlannedRun(
                    key=job.spec.key,
                    choice=job.spec.choice_key,
                    dataset=job.spec.dataset,
                    label=job.label,
                )
                for job in jobs
            ),
        )

    @classmethod
    def read(cls, store: Store, path: Path) -> Self:
        """Return the table of an unpacked archive.

        Raises:
            DataError: If it has none.
        """
        try:
            return cls.model_validate_json((store.results / TABLE).read_bytes())
        except (OSError, ValidationError):
            raise DataError(path, f"has no {TABLE} of this version", FIX) from None

    def archive(self, store: Store, folder: Path) -> None:
        """Pack its finished runs and choices, their trials, and the ledger's entries."""
        keys = [run.key for run in self.runs]
        tests = {run.record.test_digest for run in store.runs(keys)}
        others = store.sharing(tests)  # without them nobody knows that they read the same photos
        runs = list(store.runs({*keys, *others.values()}))
        chosen = {run.choice for run in self.runs} | {run.record.choice.key for run in runs}
        choices = [f"choice-{key}" for key in chosen if not store.missing("choice", [key])]
        specs = [run.record.spec for run in runs]
        tuned = {(spec.method, spec.dataset) for spec in specs if spec.tuned}
        entries = [*store.index.entries("sweep"), *store.index.entries("trial")]
        tried = [entry.name for entry in entries if (entry.method, entry.dataset) in tuned]
        members = members_of(store, [*choices, *(f"run-{run.record.key}" for run in runs), *tried])
        for run in (run for run in runs if "published" in run.record.rules):
            where = f"runs/run-{run.record.key}"
            members |= {f"{where}/{name}": content for name, content in condensed(run).items()}
        read = {*tests, *others}
        lines = [line for line in store.openings().values() if line["test_digest"] in read]
        lines.sort(key=lambda line: (line.get("created", ""), line["key"]))
        members[LEDGER] = "".join(f"{canonical_json(line)}\n" for line in lines).encode()
        members[TABLE] = self.model_dump_json(indent=1).encode()
        pack(folder / f"{self.name}{SUFFIX}", members)
        say(f"{len(runs)} runs are in {folder / self.name}{SUFFIX}")


def restore_all(folder: Path, store: Store) -> None:
    """Bring what the archives of a study's folder have and a results folder lacks."""
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        restore(path, store)
