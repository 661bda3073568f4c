"""Many runs: what is missing is run, what is finished is reused, what fails is recorded."""

import random
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from zslbench import artifacts
from zslbench.checkpoints import Slot
from zslbench.data.types import Dataset
from zslbench.errors import ZslbenchError
from zslbench.protocol import fresh_worlds
from zslbench.records import Choice, Failure, RunSpec, digest
from zslbench.run import Evaluation, Slots, Tick, evaluate, no_tick, select
from zslbench.tracking import Store


@dataclass(frozen=True)
class Job:
    """A run to be done, with the data it is done on."""

    spec: RunSpec
    dataset: Dataset


@dataclass
class Report:
    """What became of a plan."""

    done: int = 0
    reused: int = 0
    unreadable: int = 0
    failures: list[Failure] = field(default_factory=list)


def execute(jobs: Sequence[Job], store: Store, tick: Tick = no_tick) -> Report:
    """Run what is missing from the store.

    Independent workers may do this on one plan at once: each goes through it in an order of its
    own and looks again before every run; whoever finishes second is not counted.

    Raises:
        ZslbenchError: Where the user can mend something; everything else becomes a `Failure`.
    """
    report = Report()
    for number, job in enumerate(random.sample(jobs, len(jobs)), start=1):
        if store.has("run", job.spec.key):
            report.reused += 1
            continue
        try:
            _run(job, store, _numbered(tick, number, len(jobs)))
            report.done += 1
        except ZslbenchError:
            raise
        except Exception as error:
            failure = failure_of(job.spec, error)
            store.commit(failure)
            report.failures.append(failure)
        store.sync()
    store.sync(again=True)
    return report


def _numbered(tick: Tick, number: int, jobs: int) -> Tick:
    """Return a tick that says which of several runs a stage belongs to."""
    if jobs == 1:
        return tick
    return lambda stage, done, total: tick(f"run {number} of {jobs}, {stage}", done, total)


def _run(job: Job, store: Store, tick: Tick) -> None:
    choice = choice_for(job, store, tick)
    slots = slots_of(store, job.spec.key)
    evaluation = evaluate(job.spec, choice, job.dataset, store.commit, tick, slots)
    store.commit(evaluation.record, lambda folder: write_evaluation(folder, evaluation, job))
    slots("").clear()


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
            `fresh_worlds`, for who asks how much hangs on the worlds.
    """
    key = choice_key(job.spec, cut)
    with store.lock(f"choice-{key[:16]}"):
        if not store.has("choice", key):
            slots = slots_of(store, key)
            worlds = fresh_worlds(job.dataset, job.spec.tuning_worlds, cut) if cut else None
            made = select(job.spec, job.dataset, tick, slots, worlds=worlds)
            store.commit(made.model_copy(update={"key": key}))
            slots("").clear()
            store.sync()
    choice = store.get("choice", key)
    if not isinstance(choice, Choice):
        raise RuntimeError(f"the choice {key} was committed and cannot be read back")
    return choice


def failure_of(spec: RunSpec, error: Exception) -> Failure:
    """Return the record of what a run raised."""
    text = "".join(traceback.format_exception(error))
    return Failure(
        key=uuid4().hex, spec=spec, error=f"{type(error).__name__}: {error}", traceback=text
    )


def write_evaluation(folder: Path, evaluation: Evaluation, job: Job) -> None:
    """Write what is kept beside a run's record."""
    from zslbench.report.figures import gamma_curve

    record, names = evaluation.record, job.dataset.classes.names
    chosen = record.rules.get("validation") or next(iter(record.rules.values()))
    predicted = evaluation.summaries[chosen.epoch].predictions(chosen.gamma_raw)
    artifacts.write_summaries(folder, evaluation.summaries)
    seen = len(job.dataset.seen)
    ordered = [names[number] for number in evaluation.classes]
    artifacts.write_test(
        folder, evaluation.items, evaluation.classes, evaluation.labels, seen, ordered
    )
    artifacts.write_predictions(folder, evaluation.items, [ordered[c] for c in predicted])
    outcome = artifacts.read_outcome(folder, record.choice.epoch)
    title = f"{record.spec.method} on {record.spec.dataset}, seed {record.spec.seed}"
    gamma_curve(folder / artifacts.CURVE, outcome, record.choice.gamma, title)
