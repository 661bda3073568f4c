"""What `incremental` says and shows of its runs."""

from collections.abc import Sequence

from zslbench.engines.execute import Report
from zslbench.store import Store
from zslbench.studies.groups import title_of
from zslbench.studies.incremental.plan import IncrementalJob
from zslbench.studies.incremental.results import (
    compare_incremental,
    group_incremental,
    incremental_rows,
)
from zslbench.studies.incremental.suite import IncrementalSuite
from zslbench.studies.leaderboard.measure import tell_failures
from zslbench.studies.leaderboard.results import Failed, Leaderboard
from zslbench.studies.progress import say


def tell_incremental(report: Report, store: Store) -> None:
    """Say what was done, what failed, and what still waits for the server."""
    say(f"{report.done} run, {report.reused} reused, {len(report.failures)} failed")
    tell_failures(report.failures, store)


def board_of(
    jobs: Sequence[IncrementalJob], store: Store, report: Report, table: IncrementalSuite
) -> Leaderboard:
    """Return the table of a plan, as far as it is done."""
    labels = {job.spec.seeds_key: job.label for job in jobs}
    keys = {job.spec.key for job in jobs}
    stored = store.sequences(keys)
    groups = group_incremental(stored, labels)
    reference = table.reference
    if reference and reference not in {group.title for group in groups}:
        say(f"no run of the reference {reference} is done: there are no differences to show")
        reference = ""
    source = f"After {table.source}." if table.source else ""
    return Leaderboard(
        rows=[],
        title=table.title,
        about=" ".join(filter(None, (source, " ".join(table.about.split())))),
        planned=len(keys),
        missing=len(keys) - len(stored),
        failures=[
            Failed(f.spec.dataset, title_of(f.spec.method, f.spec.settings), f.spec.seed, f.error)
            for f in report.failures
        ],
        sequences=incremental_rows(groups, store.ledger()),
        incremental_differences=compare_incremental(groups, reference) if reference else [],
    )
