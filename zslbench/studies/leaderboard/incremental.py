"""A leaderboard of methods along task sequences: run what is missing, read back what is done."""

from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

from zslbench.data.load import DataRequest
from zslbench.data.provide import DataSource
from zslbench.engines.execute import Report
from zslbench.protocol.tasks import said, task_sizes
from zslbench.store import Store
from zslbench.studies.incremental.plan import (
    IncrementalJob,
    check_backbone,
    execute_incremental,
    plan_incremental,
)
from zslbench.studies.incremental.results import (
    compare_incremental,
    group_incremental,
    incremental_rows,
)
from zslbench.studies.incremental.suite import IncrementalSuite
from zslbench.studies.leaderboard.results import Leaderboard
from zslbench.studies.leaderboard.rows import Failed
from zslbench.studies.progress import say
from zslbench.studies.session import EngineChoice, reference_done, report, session


def make_incremental(
    table: IncrementalSuite,
    data: Sequence[DataRequest],
    results: Path,
    *,
    retry: bool = True,
    **engine: Unpack[EngineChoice],
) -> Leaderboard:
    """Run what is missing of a table of task sequences; return it, as far as it is done.

    Args:
        table: Its methods, and how the seen classes are cut into tasks.
        data: The datasets.
        results: The results folder.
        retry: Whether to run again what failed before; otherwise it is reported as failed.
        engine: Where the runs are done.

    Raises:
        ZslbenchError: On an unknown name, tasks that cannot be cut, data that cannot be used.
    """
    entries, requests = table.entries(), table.requests(data)
    with session(results, **engine) as at:
        for request in requests:
            source = DataSource(request, at.reading)
            check_backbone(entries, source)
            dataset = source.images  # read here, where it shows; the plan finds it in the cache
            sizes = task_sizes(len(dataset.seen), table.base, table.increment, request.name)
            say(f"{request.name}: {said(sizes, table.increment)}")
        planned = plan_incremental(entries, requests, table.base, table.increment)
        done = execute_incremental(planned, at.store, at.engine, retry=retry)
    report(done, at.store)
    return _board(planned, at.store, done, table)


def _board(
    jobs: Sequence[IncrementalJob], store: Store, done: Report, table: IncrementalSuite
) -> Leaderboard:
    labels = {job.spec.seeds_key: job.label for job in jobs}
    keys = {job.spec.key for job in jobs}
    stored = store.incremental(keys)
    groups = group_incremental(stored, labels)
    reference = reference_done(table.reference, {group.title for group in groups})
    return Leaderboard(
        rows=[],
        title=table.title,
        name=table.name,
        about=table.preface,
        planned=len(keys),
        missing=len(keys) - len(stored),
        failures=[Failed.of(failure) for failure in done.failures],
        incremental=incremental_rows(groups, store.ledger()),
        incremental_differences=compare_incremental(groups, reference) if reference else [],
    )
