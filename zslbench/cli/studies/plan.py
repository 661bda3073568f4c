"""`--plan`: what a table would run, what of it is done or failed, and how long it may take."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from zslbench.cli.output import print_document, print_json
from zslbench.cli.studies.table import TableRequest
from zslbench.engines.execute import Job
from zslbench.report.document import Document
from zslbench.report.table import Table
from zslbench.store import Store
from zslbench.studies.groups import title_of
from zslbench.studies.leaderboard.measure import check_rules, check_writable, jobs_of
from zslbench.studies.progress import Display
from zslbench.studies.status import Estimate, PastRuns, Status, status_of


@dataclass(frozen=True)
class Line:
    """What a plan says of one row on one dataset; `seconds` of what would run."""

    row: str
    dataset: str
    done: int
    failed: int
    missing: int
    seconds: float
    unknown: int
    errors: tuple[str, ...]


def show_plan(table: TableRequest, results: Path, *, retry: bool, json: bool) -> None:
    """Print what would run, what is done, what failed, and how long it may take; run nothing."""
    check_writable(results)
    rules = check_rules(table.rules)
    with Display() as display:
        jobs = jobs_of(table.methods, table.requests, {}, table.seeds, table.worlds, rules, display)
    lines = _lines(jobs, Store(results), retry=retry)
    total = sum((Estimate(line.seconds, line.unknown) for line in lines), Estimate(0.0, 0))
    if json:
        print_json({"plan": [asdict(line) for line in lines], "estimate": asdict(total)})
        return
    print_document(Document(parts=[_plan_table(table.title, lines)]))
    for line in lines:
        for error in line.errors:
            print(f"failed: {line.row} on {line.dataset}: {error}")
    print(_sum(lines, total, retry=retry))


def _lines(jobs: Sequence[Job], store: Store, *, retry: bool) -> list[Line]:
    rows: dict[tuple[str, str], list[Job]] = {}
    for job in jobs:
        title = job.label or title_of(job.spec.method, job.spec.settings)
        rows.setdefault((title, job.spec.dataset), []).append(job)
    history, status = PastRuns(store), status_of(jobs, store)
    return [_line(*row, members, history, status, retry=retry) for row, members in rows.items()]


def _line(
    row: str, dataset: str, jobs: Sequence[Job], history: PastRuns, status: Status, *, retry: bool
) -> Line:
    done = [job for job in jobs if job.spec.key in status.done]
    failed = [job for job in jobs if job.spec.key in status.failed]
    known = status.done | status.failed.keys()
    missing = [job for job in jobs if job.spec.key not in known]
    left = history.estimate([*missing, *(failed if retry else [])])
    counts = len(done), len(failed), len(missing)
    errors = tuple(f"seed {j.spec.seed}: {status.failed[j.spec.key].error}" for j in failed)
    return Line(row, dataset, *counts, left.seconds, left.unknown, errors)


def _plan_table(title: str, lines: Sequence[Line]) -> Table:
    rows = [
        [line.row, line.dataset, str(line.done), str(line.failed), str(line.missing),
         duration(Estimate(line.seconds, line.unknown))]
        for line in lines
    ]  # fmt: skip
    columns = ("row", "dataset", "done", "failed", "missing", "time left")
    return Table(title, columns, rows, words=("dataset",))


def _sum(lines: Sequence[Line], total: Estimate, *, retry: bool) -> str:
    done, failed, missing = (
        sum(getattr(line, name) for line in lines) for name in ("done", "failed", "missing")
    )
    again = f", {failed} failed" + (" and to be run again" if retry else "") if failed else ""
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
