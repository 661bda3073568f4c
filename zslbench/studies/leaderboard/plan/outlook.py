"""What a table would run, what of it is done or failed, and how long it may take."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from zslbench.engines.execute import Job
from zslbench.report.shown import Shown
from zslbench.report.table import Document, Table
from zslbench.store import Store
from zslbench.studies.groups import called
from zslbench.studies.leaderboard.plan.request import TableRequest
from zslbench.studies.session import session
from zslbench.studies.status import Estimate, PastRuns, Status, status_of


@dataclass(frozen=True)
class OutlookLine:
    """One row on one dataset; `seconds` of what would run."""

    row: str
    dataset: str
    done: int
    failed: int
    missing: int
    seconds: float
    unknown: int
    errors: tuple[str, ...]


@dataclass(frozen=True, repr=False)
class Outlook(Shown):
    """What a table would run.

    Attributes:
        retry: Whether what failed before would be run again.
    """

    title: str
    lines: list[OutlookLine]
    retry: bool

    @property
    def estimate(self) -> Estimate:
        """How long all of it may take."""
        each = (Estimate(line.seconds, line.unknown) for line in self.lines)
        return sum(each, Estimate(0.0, 0))

    def document(self) -> Document:
        """Return a line for each row on each dataset, what failed, and the sum."""
        errors = [
            f"failed: {line.row} on {line.dataset}: {error}"
            for line in self.lines
            for error in line.errors
        ]
        return Document(parts=[_table(self.title, self.lines), *errors, _sum(self)])

    def records(self) -> list[dict[str, Any]]:
        """Return the lines as flat records."""
        return [asdict(line) for line in self.lines]

    def to_dict(self) -> dict[str, Any]:
        """Return it as one JSON document."""
        return {"plan": self.records(), "estimate": asdict(self.estimate)}


def outlook(table: TableRequest, results: Path, *, retry: bool) -> Outlook:
    """Return what a table would run; nothing is run."""
    with session(results) as at:
        jobs = table.jobs(at.reading)
    return Outlook(table.title, _lines(jobs, at.store, retry=retry), retry)


def _lines(jobs: Sequence[Job], store: Store, *, retry: bool) -> list[OutlookLine]:
    rows: dict[tuple[str, str], list[Job]] = {}
    for job in jobs:
        rows.setdefault((called(job.spec, job.label), job.spec.dataset), []).append(job)
    history, status = PastRuns(store), status_of(jobs, store)
    return [_line(*row, members, history, status, retry=retry) for row, members in rows.items()]


def _line(
    row: str, dataset: str, jobs: Sequence[Job], history: PastRuns, status: Status, *, retry: bool
) -> OutlookLine:
    done = [job for job in jobs if job.spec.key in status.done]
    failed = [job for job in jobs if job.spec.key in status.failed]
    known = status.done | status.failed.keys()
    missing = [job for job in jobs if job.spec.key not in known]
    left = history.estimate([*missing, *(failed if retry else [])])
    counts = len(done), len(failed), len(missing)
    errors = tuple(f"seed {j.spec.seed}: {status.failed[j.spec.key].error}" for j in failed)
    return OutlookLine(row, dataset, *counts, left.seconds, left.unknown, errors)


def _table(title: str, lines: Sequence[OutlookLine]) -> Table:
    rows = [
        [line.row, line.dataset, str(line.done), str(line.failed), str(line.missing),
         duration(Estimate(line.seconds, line.unknown))]
        for line in lines
    ]  # fmt: skip
    columns = ("row", "dataset", "done", "failed", "missing", "time left")
    return Table(title, columns, rows, words=("dataset",))


def _sum(found: Outlook) -> str:
    done, failed, missing = (
        sum(getattr(line, name) for line in found.lines) for name in ("done", "failed", "missing")
    )
    again = f", {failed} failed" + (" and to be run again" if found.retry else "") if failed else ""
    total = found.estimate
    time = f"; time left: {duration(total)}" if total.seconds or total.unknown else ""
    return f"{missing} to run, {done} done{again}{time}"


def duration(estimate: Estimate) -> str:
    """Return an estimate in words; `unknown` where no past run tells."""
    known = ""
    for unit, length in (("h", 3600), ("min", 60), ("s", 1)):
        if estimate.seconds >= length or (unit == "s" and estimate.seconds > 0):
            known = f"about {estimate.seconds / length:.{int(unit == 'h')}f} {unit}"
            break
    unknown = f"unknown for {estimate.unknown} runs" if known else "unknown"
    return ", ".join(filter(None, (known, unknown if estimate.unknown else "")))
