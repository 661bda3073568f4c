"""Trials of a sweep: a point, tried in tuning worlds; then another look, and one test, of the best.

Only `final_test` sees the final world.
"""

import traceback
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

import numpy as np

from zslbench.engines import Call, Engine, dealt_twice
from zslbench.engines.execute import execute, slots_of
from zslbench.errors import ZslbenchError
from zslbench.inputs import recordable
from zslbench.protocol import World, fresh_worlds
from zslbench.protocol.run import Slots, StoppedError, Tick, no_tick, select
from zslbench.records import Choice, Failure, RunRecord, RunSpec, Trial, digest
from zslbench.store import Store
from zslbench.studies.sweep.claims import TakenOverError
from zslbench.studies.sweep.plan import SweepPlan

Ask = Callable[[int, float], bool]
# A trial that has failed because the processes that tried it died.
LOST: dict[str, Any] = {"state": "failed", "value": None, "steps": 0, "seconds": 0.0}


class Watch:
    """Follows a selection; how far it is, and what it has found, as one number for each step.

    A step is an epoch, those of the worlds before counted in. Its value is the sum over the worlds
    so far of the best H found in each (over epochs and gamma), divided by the number of all worlds:
    at equal steps two trials have seen equally much of the same worlds, it never falls, and at
    the last step it is an upper bound of the objective.

    Args:
        worlds: How many there are.
        length: Steps in one world.
        ask: Told (step, value); True ends the selection.
    """

    def __init__(self, worlds: int, length: int, ask: Ask) -> None:
        self._best, self._length, self._ask = np.zeros(worlds), length, ask
        self.step = 0
        self.curve: list[float] = []

    @property
    def value(self) -> float:
        """The value of the present step."""
        return float(self._best.mean())

    def __call__(self, world: int, epoch: int, best_h: float) -> bool:
        """Take in the end of an epoch; return whether to stop."""
        self._best[world - 1] = best_h
        self.step = (world - 1) * self._length + epoch
        self.curve.append(self.value)
        return self._ask(self.step, self.value)


def objective(choice: Choice) -> float:
    """Return the mean H over the worlds at the chosen epoch and gamma: what a sweep maximises."""
    return float(np.mean([world.scores.h for world in choice.worlds]))


def run_trial(
    plan: SweepPlan,
    store: Store,
    number: int,
    params: Mapping[str, Any],
    ask: Ask = lambda step, value: False,
    tick: Tick = no_tick,
    worlds: Sequence[World] | None = None,
) -> Trial:
    """Try a point and commit what came of it; what is known of it is told again, and not tried.

    Args:
        plan: The sweep.
        store: Where the record goes.
        number: The trial's.
        params: The point.
        ask: Told (step, value) at every epoch's end; True ends the trial, which is then pruned.
        tick: Progress.
        worlds: Where a second look is taken.

    Raises:
        ZslbenchError: Where the user can fix something.
        TakenOverError: Where `ask` says so. Whatever else is raised fails the trial.
    """
    key = plan.trial_key(number, params, 2 if worlds else 1)
    if store.has("trial", key) and (known := store.read(Trial, key)).state != "failed":
        for step, value in enumerate(known.curve, start=1):
            ask(step, value)
        return known
    began, job = perf_counter(), plan.job(params)
    slots = _slots(plan, store, number, job.spec)
    watch = Watch(job.spec.tuning_worlds, plan.length(params), ask)
    found: dict[str, Any] = {"state": "complete", "value": None}
    trace = ""
    try:
        choice = select(job.spec, job.read(tick), tick, slots, watch, worlds)
        found |= {"value": objective(choice), "choice": choice}
    except StoppedError:
        found |= {"state": "pruned", "value": watch.value}
    except (ZslbenchError, TakenOverError):
        raise
    except Exception as error:
        found |= {"state": "failed", "error": recordable(f"{type(error).__name__}: {error}")}
        trace = recordable("".join(traceback.format_exception(error)))
    found |= {"steps": watch.step, "curve": watch.curve, "seconds": perf_counter() - began}
    return keep(plan, store, number, params, 2 if worlds else 1, trace, **found)


def keep(
    plan: SweepPlan,
    store: Store,
    number: int,
    params: Mapping[str, Any],
    look: Literal[1, 2],
    trace: str = "",
    **found: Any,
) -> Trial:
    """Commit what was found at a point (of lost processes `LOST`), and drop its checkpoints."""
    spec = plan.job(params).spec
    record = Trial(
        key=plan.trial_key(number, params, look), sweep=plan.key, number=number, look=look,
        params=dict(params), spec=spec, **found,
    )  # fmt: skip
    store.commit(record, lambda folder: _write_trace(folder, trace))
    _slots(plan, store, number, spec)("").clear()
    return record


def _slots(plan: SweepPlan, store: Store, number: int, spec: RunSpec) -> Slots:
    """Return a trial's own checkpoints: two trials may try one point at the same time."""
    return slots_of(store, digest([plan.key, number, spec.choice_key]))


def _write_trace(folder: Path, trace: str) -> None:
    if trace:
        (folder / "traceback.txt").write_text(trace, encoding="utf-8")


def look_again(
    plan: SweepPlan, store: Store, points: Mapping[int, Mapping[str, Any]], engine: Engine
) -> list[Trial]:
    """Try points again in worlds with class splits, images held out and seeds of their own.

    The best of many trials is in part the luckiest. A second look at a few of them is lucky only
    as the best of few; but its worlds are cut from the same training classes, so that what is
    peculiar to those stays.

    Args:
        plan: The sweep.
        store: Holds the second looks taken before, which are not taken again.
        points: By the numbers of their trials.
        engine: Where they are tried.

    Returns:
        The second looks, in the order of the points.

    Raises:
        ZslbenchError: Where one cannot be read back now, or the user can fix something else.
    """
    keys = {number: plan.trial_key(number, params, 2) for number, params in points.items()}
    lacking = store.missing("trial", list(keys.values()))
    ready = deque(
        Call(second_look, (plan, store, number, params), f"second look at trial {number}, ")
        for number, params in points.items()
        if keys[number] in lacking
    )
    missing = len(ready)
    for ended, end in enumerate(dealt_twice(engine, ready), start=1):
        if end.died:
            _, _, number, params = end.call.arguments
            error = f"RuntimeError: its process was lost twice ({end.died})"
            keep(plan, store, number, params, 2, error=error, **LOST)
        engine.tell("second looks", ended, missing)
    store.sync()
    return [store.read(Trial, key) for key in keys.values()]


def second_look(
    plan: SweepPlan, store: Store, number: int, params: Mapping[str, Any], *, tick: Tick
) -> None:
    """Take the second look at a trial; of two processes on one disk one does."""
    key = plan.trial_key(number, params, 2)
    with store.lock(f"look-{key[:16]}"):
        if store.missing("trial", [key]):
            worlds = fresh_worlds(plan.base.dataset, plan.base.spec.tuning_worlds)
            run_trial(plan, store, number, params, tick=tick, worlds=worlds)
            store.sync()


def final_test(
    plan: SweepPlan, store: Store, number: int, params: Mapping[str, Any], engine: Engine
) -> RunRecord | Failure | None:
    """Fit a point once in the final world and open its test labels.

    The choice is the one that its trial made. A test done before is read, not done again.

    Returns:
        The run, or its failure; None where a run done before cannot be read back now.
    """
    job, key = plan.job(params), plan.trial_key(number, params)
    tried = store.get("trial", key)
    if isinstance(tried, Trial) and tried.choice and store.missing("choice", [job.spec.choice_key]):
        store.commit(tried.choice)
    report = execute([job], store, engine=engine)
    if report.failures:
        return report.failures[0]
    record = store.get("run", job.spec.key)
    return record if isinstance(record, RunRecord) else None
