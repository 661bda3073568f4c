"""Many runs: what is missing is run, what is finished is reused, what fails is recorded."""

import random
import traceback
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from zslbench.data.load import DataRequest
from zslbench.data.provide import as_read, served
from zslbench.data.types import Dataset
from zslbench.engines import Call, End, Engine, InProcess, dealt, dealt_twice
from zslbench.errors import ZslbenchError
from zslbench.inputs import recordable
from zslbench.protocol import fresh_worlds
from zslbench.protocol.run import Evaluation, Slots, Tick, evaluate, no_tick, select
from zslbench.records import Choice, Failure, IncrementalSpec, RunSpec, digest
from zslbench.store import Store, artifacts
from zslbench.store.checkpoints import Slot


@dataclass(frozen=True)
class Job:
    """A run to be done, with the data it is done on.

    To another process it travels as its spec and the request for its data, which are read there.

    Attributes:
        label: What a suite calls its row.
    """

    spec: RunSpec
    dataset: Dataset
    request: DataRequest | None = None
    label: str = ""

    def __reduce__(self) -> tuple[Any, ...]:
        if self.request is None:
            raise TypeError("a job that does not say how its data are read cannot travel")
        return _arrived, (self.spec, self.request)

    def read(self, tick: Tick = no_tick) -> Dataset:
        """Return its data as fits read them: see `as_read`."""
        return as_read(self.spec, self.dataset, partial(tick, f"frozen part, {self.spec.dataset}"))


def _arrived(spec: RunSpec, request: DataRequest) -> Job:
    return Job(spec, served(request, spec), request)


@dataclass
class Report:
    """What became of a plan."""

    done: int = 0
    reused: int = 0
    failures: list[Failure] = field(default_factory=list)


def execute(
    jobs: Sequence[Job], store: Store, tick: Tick = no_tick, engine: Engine | None = None
) -> Report:
    """Run what is missing from the store.

    What the seeds of a config share is chosen first; then they run. What is lost because its
    process died is recorded as a failure and started once more.

    Independent workers may do this on one plan at once: each goes through it in an order of its
    own and looks again before every run; whoever finishes second is not counted.

    Args:
        jobs: The plan.
        store: Where the records go.
        tick: Progress, where no engine is given.
        engine: Where the work is done; by default here.

    Raises:
        ZslbenchError: Where the user can fix something; everything else becomes a `Failure`.
    """
    store.check()
    engine = engine or InProcess(tick)
    shuffled = random.sample(jobs, len(jobs))
    missing = store.missing("run", [job.spec.key for job in jobs])
    dealer = _Dealer([job for job in shuffled if job.spec.key in missing], store)
    for end in dealt(engine, dealer.ready):
        dealer.take(end)
        engine.tell("choices and runs", dealer.ended, dealer.total)
    store.sync(again=True)
    dealer.report.reused += len(jobs) - dealer.runs
    return dealer.report


class _Dealer:
    """Holds what is ready to be done, and takes in what came of it.

    Args:
        jobs: The runs that are missing.
        store: Where failures are recorded.
    """

    def __init__(self, jobs: Sequence[Job], store: Store) -> None:
        self.report, self._store = Report(), store
        self._seeds: dict[str, list[Job]] = defaultdict(list)
        for job in jobs:
            self._seeds[job.spec.choice_key].append(job)
        self.runs, self.ended, self.total = len(jobs), 0, len(self._seeds) + len(jobs)
        self._begun = 0
        self.ready = deque(self._choice(n, s[0]) for n, s in enumerate(self._seeds.values(), 1))

    def _choice(self, number: int, job: Job) -> Call:
        label = f"choice {number} of {len(self._seeds)}, " if self.runs > 1 else ""
        return Call(make_choice, (job, self._store), label)

    def _run(self, job: Job) -> Call:
        self._begun += 1
        label = f"run {self._begun} of {self.runs}, " if self.runs > 1 else ""
        return Call(do_run, (job, self._store), label)

    def take(self, end: End) -> None:
        """Take in the end of a choice or a run."""
        job, outcome = end.call.arguments[0], outcome_of(end)
        if end.died and not end.call.again:
            self._store.commit(outcome)
            self.ready.appendleft(replace(end.call, again=True))
            return
        if end.call.function is make_choice:
            self._take_choice(self._seeds[job.spec.choice_key], outcome)
        else:
            self._take_run(outcome)

    def _take_choice(self, seeds: Sequence[Job], outcome: Failure | None) -> None:
        self.ended += 1
        if outcome is None:
            self.ready.extend(map(self._run, seeds))
            return
        for job in seeds:
            self._take_run(outcome.model_copy(update={"key": uuid4().hex, "spec": job.spec}))

    def _take_run(self, outcome: Failure | bool) -> None:
        self.ended += 1
        if isinstance(outcome, Failure):
            self._store.commit(outcome)
            self._store.sync()
            self.report.failures.append(outcome)
        elif outcome:
            self.report.done += 1
        else:
            self.report.reused += 1


def make_choice(job: Job, store: Store, cut: int = 0, *, tick: Tick) -> Failure | None:
    """Have the choice made that a run needs; return what went wrong."""
    return _attempt(job.spec, lambda: choice_for(job, store, tick, cut))


def do_run(job: Job, store: Store, *, tick: Tick) -> Failure | bool:
    """Do a run and commit it; return what went wrong, or whether it was still to be done."""
    return once(job.spec, "run", store, lambda: _run(job, store, tick))


def once(
    spec: RunSpec | IncrementalSpec, kind: str, store: Store, work: Callable[[], None]
) -> Failure | bool:
    """Do the work of a run that is not done; return what went wrong, or whether it was to be done.

    Of two processes on one disk the second waits: they would write to one checkpoint.
    """
    with store.lock(f"run-{spec.key[:16]}"):
        if not store.missing(kind, [spec.key]):
            return False
        return _attempt(spec, work) or True


def _attempt(spec: RunSpec | IncrementalSpec, work: Callable[[], object]) -> Failure | None:
    """Do some work; return what went wrong, other than what the user can fix."""
    try:
        work()
    except ZslbenchError:
        raise
    except Exception as error:
        return failure_of(spec, error)
    return None


def _run(job: Job, store: Store, tick: Tick) -> None:
    choice = choice_for(job, store, tick)
    slots = slots_of(store, job.spec.key)
    evaluation = evaluate(job.spec, choice, job.read(tick), store.commit, tick, slots)
    store.commit(evaluation.record, lambda folder: write_evaluation(folder, evaluation, job))
    slots("").clear()
    store.sync()


def slots_of(store: Store, key: str) -> Slots:
    """Return where the fits of one run or choice keep their checkpoints."""
    return lambda name: Slot(store.results / "checkpoints" / key / name)


def choice_key(spec: RunSpec, cut: int = 0) -> str:
    """Return the key of a config's choice; of a `cut` other than 0, in worlds of that cut."""
    return digest([spec.choice_key, "cut", cut]) if cut else spec.choice_key


def choice_for(job: Job, store: Store, tick: Tick, cut: int = 0) -> Choice:
    """Return the choice that all seeds of the config share, made where there is none yet.

    Args:
        job: A run.
        store: Where it goes.
        tick: Progress.
        cut: Other than 0: choose not in the dataset's tuning worlds but in this cut of
            `fresh_worlds`, to measure how much depends on the worlds.
    """
    key = choice_key(job.spec, cut)
    with store.lock(f"choice-{key[:16]}"):
        found = store.get("choice", key)
        if isinstance(found, Choice):
            return found
        slots = slots_of(store, key)
        dataset = job.read(tick)
        worlds = fresh_worlds(dataset, job.spec.tuning_worlds, cut) if cut else None
        made = select(job.spec, dataset, tick, slots, worlds=worlds)
        choice = made.model_copy(update={"key": key})
        store.commit(choice)
        slots("").clear()
        store.sync()
        return store.read(Choice, key)  # another machine's, where that was the earlier one


def chosen(job: Job, store: Store, engine: Engine) -> Choice:
    """Return a run's choice, made by an engine where there is none yet.

    Raises:
        ZslbenchError: If it fails, or cannot be read back.
    """
    store.check()
    if store.missing("choice", [job.spec.choice_key]):
        for end in dealt_twice(engine, deque([Call(make_choice, (job, store))])):
            failure = outcome_of(end)
            if failure is not None:
                store.commit(failure)
                raise ZslbenchError(
                    f"{job.spec.method} fails at its defaults ({failure.error}). Fix that first, "
                    "or set others with --set."
                )
    return store.read(Choice, job.spec.choice_key)


def outcome_of(end: End) -> Any:
    """Return what came of a choice or a run; a failure where its process was lost."""
    if not end.died:
        return end.value
    error = RuntimeError(f"its process was lost ({end.died})")
    return failure_of(end.call.arguments[0].spec, error)


def failure_of(spec: RunSpec | IncrementalSpec, error: Exception) -> Failure:
    """Return the record of a run that raised."""
    text = recordable("".join(traceback.format_exception(error)))
    what = recordable(f"{type(error).__name__}: {error}")
    return Failure(key=uuid4().hex, spec=spec, error=what, traceback=text)


def write_evaluation(folder: Path, evaluation: Evaluation, job: Job) -> None:
    """Write what is kept beside a run's record."""
    record, names = evaluation.record, job.dataset.classes.names
    chosen = record.rules.get("validation") or next(iter(record.rules.values()))
    predicted = evaluation.summaries[chosen.epoch].predictions(chosen.gamma_raw)
    artifacts.write_summaries(folder, evaluation.summaries)
    seen = len(job.dataset.seen)
    ordered = [names[number] for number in evaluation.classes]
    tested = evaluation.items, evaluation.classes, evaluation.labels
    artifacts.write_test(folder, *tested, seen, ordered, job.dataset.files)
    artifacts.write_predictions(folder, evaluation.items, [ordered[c] for c in predicted])
