"""Runs along task sequences: what a question asks for, and doing what is missing of it."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from zslbench.data.load import DataRequest
from zslbench.data.provide import (
    DataSource,
    check_arithmetic,
    check_data,
    check_grid,
    check_names_describe,
)
from zslbench.engines import Call, Engine, dealt_twice
from zslbench.engines.execute import Report, once, outcome_of, slots_of
from zslbench.errors import ZslbenchError
from zslbench.method.registry import load_incremental
from zslbench.protocol.run import Tick
from zslbench.protocol.run_tasks import Course, run_tasks
from zslbench.protocol.tasks import TaskSequence
from zslbench.records import Failure, IncrementalSpec
from zslbench.store import Store, artifacts
from zslbench.studies.plan import Entry, stated


@dataclass(frozen=True)
class IncrementalJob:
    """A run to be done; to another process it travels without its data, which are read there."""

    spec: IncrementalSpec
    request: DataRequest
    label: str = ""


@cache
def source_of(request: DataRequest) -> DataSource:
    """Return the data of a request; each is loaded once."""
    return DataSource(request)


def plan_incremental(
    entries: Sequence[Entry], data: Sequence[DataRequest], base: int, increment: int
) -> list[IncrementalJob]:
    """Return every entry x dataset x seed of the entry as a job.

    Args:
        entries: Incremental methods with their configs.
        data: The datasets.
        base: Classes of the first task; 0: as every other.
        increment: Classes of every other task.

    Raises:
        ZslbenchError: On tasks that cannot be cut, a class without test images, or a backbone that
            reads no text for a method that needs it.
    """
    jobs = []
    for request in data:
        data_of = source_of(request)
        check_backbone(entries, data_of)
        dataset = data_of.images
        TaskSequence.of(dataset, base, increment, seed=0)  # can it be cut?
        for entry in entries:
            cls = load_incremental(entry.method)
            shared = stated(entry.method, cls, entry.config, dataset)
            template = IncrementalSpec(**shared, base=base, increment=increment)
            for seed in entry.seeds:
                spec = template.model_copy(update={"seed": seed})
                jobs.append(IncrementalJob(spec, request, entry.label))
    return jobs


def check_backbone(entries: Sequence[Entry], data: DataSource) -> None:
    """Refuse a backbone that a method cannot use, before any image is decoded.

    Raises:
        ZslbenchError: If it reads no text for a method that needs it, or has an unusable grid.
    """
    for entry in entries:
        cls, source = load_incremental(entry.method), data.source()
        if "descriptions" in cls.needs and source.ending != "pair":
            raise ZslbenchError(
                f"{entry.method} reads descriptions, and the backbone {source.record.name} has no "
                "text tower: name an image-text pair with --backbone, plumage_clip or "
                "clip:MODEL.TAG."
            )
        check_grid(entry.method, cls, entry.config, source)
        if "descriptions" in cls.needs:
            check_names_describe(entry.method, data.bare)


def execute_incremental(
    jobs: Sequence[IncrementalJob], store: Store, engine: Engine, *, retry: bool = True
) -> Report:
    """Run what is missing from the store; what fails is recorded and the rest continues.

    Args:
        jobs: The plan.
        store: Where the records go.
        engine: Where the work is done.
        retry: Whether to run what failed before; otherwise it is told as failed.
    """
    store.check()
    keys = store.missing("sequence", [job.spec.key for job in jobs])
    missing = [job for job in jobs if job.spec.key in keys]
    known = {} if retry else store.failures({job.spec.key for job in missing})
    report = Report(reused=len(jobs) - len(missing), failures=list(known.values()))
    wanted = [job for job in missing if job.spec.key not in known]
    calls = deque(
        Call(do_incremental, (job, store), f"run {n} of {len(wanted)}, " if len(wanted) > 1 else "")
        for n, job in enumerate(wanted, start=1)
    )
    for end in dealt_twice(engine, calls):
        outcome = outcome_of(end)
        if isinstance(outcome, Failure):
            store.commit(outcome)
            report.failures.append(outcome)
        else:
            report.done += outcome
            report.reused += not outcome
    store.sync(again=True)
    return report


def do_incremental(job: IncrementalJob, store: Store, *, tick: Tick) -> Failure | bool:
    """Do a run and commit it; return what went wrong, or whether it was still to be done."""
    return once(job.spec, "sequence", store, lambda: _follow(job, store, tick))


def _follow(job: IncrementalJob, store: Store, tick: Tick) -> None:
    slot = slots_of(store, job.spec.key)("sequence")
    check_arithmetic(job.spec, load_incremental(job.spec.method).precision)
    dataset = source_of(job.request).images
    check_data(job.spec, dataset)
    course = run_tasks(job.spec, dataset, store.commit, tick, slot)
    store.commit(course.record, lambda folder: write_course(folder, course))
    slot.clear()
    store.sync()


def write_course(folder: Path, course: Course) -> None:
    """Write what is kept beside the record of a run along a task sequence."""
    history = course.history
    artifacts.write_answers(folder, history.predicted, history.labels, course.items, course.order)
