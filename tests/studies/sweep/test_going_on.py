"""A sweep that is stopped, killed or shared goes on to the same trials."""

from datetime import datetime, timedelta
from time import time

import optuna
import pytest
from tunable import plan_of, rate_plan, shown, study_of

from zslbench.store import Store
from zslbench.studies.sweep import claims
from zslbench.studies.sweep import trials as module
from zslbench.studies.sweep.measure import sweep


@pytest.mark.parametrize("sampler", ["tpe", "random", "grid"])
def test_interrupted_sweep_ends_with_the_same_trials(store, dataset, interrupt, sampler):
    space = ("rate=0.1:10:log", "decay=0:0.4")
    whole = sweep(plan_of(dataset, *space, sampler=sampler, points=4, named="whole"), store, 14)
    plan = plan_of(dataset, *space, sampler=sampler, points=4, named="broken")
    for stop_at in (1, 5, 1, 7):
        interrupt(stop_at)
        with pytest.raises(KeyboardInterrupt):
            sweep(plan, store, 14)
    interrupt()
    broken = sweep(plan, Store(store.results), 14)
    assert broken.trials == whole.trials
    assert broken.importances == whole.importances
    assert broken.done < 14
    numbers = [run.data.params["rate"] for run in shown(store, "trial")]
    assert len(numbers) == 2 * 14


def test_pruning_is_the_same_after_an_interruption(store, dataset, interrupt):
    whole = sweep(rate_plan(dataset, pruner="median", named="whole"), store, 12)
    assert "pruned" in {t.state for t in whole.trials}
    plan = rate_plan(dataset, pruner="median", named="broken")
    interrupt(4)
    with pytest.raises(KeyboardInterrupt):
        sweep(plan, store, 12)
    interrupt()
    assert sweep(plan, store, 12).trials == whole.trials


def test_trial_found_running_is_failed_and_enqueued_again_once(store, dataset, interrupt):
    plan = rate_plan(dataset)
    interrupt(2)
    with pytest.raises(KeyboardInterrupt):
        sweep(plan, store, 3)
    left = study_of(store, plan).trials
    assert [t.state.name for t in left] == ["COMPLETE", "RUNNING"]
    interrupt()
    found = sweep(plan, store, 3)
    ended = study_of(store, plan).trials
    assert [t.state.name for t in ended] == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]
    assert ended[2].params == left[1].params
    assert ended[2].user_attrs["again"] == 1
    assert [t.number for t in found.trials] == [0, 1, 2]


def test_trial_killed_while_it_is_drawn_is_drawn_again(store, dataset):
    space = ("rate=0.1:10:log", "decay=0:0.4")
    whole = sweep(plan_of(dataset, *space, sampler="random", named="whole"), store, 4)
    plan = plan_of(dataset, *space, sampler="random", named="broken")
    sweep(plan, store, 2)
    study_of(store, plan).ask({"rate": optuna.distributions.FloatDistribution(0.1, 10, log=True)})
    assert sweep(plan, store, 4).trials == whole.trials
    states = [t.state.name for t in study_of(store, plan).trials]
    assert states == ["COMPLETE", "COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]


def test_recovery_that_is_killed_itself_enqueues_nothing_twice(store, dataset, interrupt):
    plan = rate_plan(dataset)
    interrupt(2)
    with pytest.raises(KeyboardInterrupt):
        sweep(plan, store, 3)
    interrupt()
    study = study_of(store, plan)
    study.enqueue_trial(study.trials[1].params, user_attrs={"again": 1})
    found = sweep(plan, store, 3)
    assert [t.number for t in found.trials] == [0, 1, 2]
    assert len(study_of(store, plan).trials) == 4


def test_longer_sweep_does_what_is_missing(store, dataset, interrupt):
    calls = interrupt()
    plan = rate_plan(dataset)
    first = sweep(plan, store, 3)
    again = sweep(plan, store, 5)
    assert (first.done, again.done, len(calls)) == (3, 2, 5)
    assert again.trials[:3] == first.trials
    assert sweep(plan, store, 4).done == 0


def test_a_trial_that_another_process_took_over_is_left_to_it(store, dataset, monkeypatch):
    """A host whose signs of life were not seen: its trial is failed and tried again elsewhere."""
    plan, real = rate_plan(dataset), module.select
    calls = []

    def slow(spec, data, tick, slots, stop, worlds):
        calls.append(spec)
        if len(calls) == 1:
            study = study_of(store, plan)
            study.tell(study.trials[-1].number, state=optuna.trial.TrialState.FAIL)
        return real(spec, data, tick, slots, stop, worlds)

    monkeypatch.setattr(module, "select", slow)
    found = sweep(plan, store, 2)
    assert [trial.state for trial in found.trials] == ["complete", "complete"]
    assert len(calls) == 3
    assert {run.data.tags["zslbench.state"] for run in shown(store, "trial")} == {"complete"}


@pytest.mark.parametrize("hours", [-9, 0, 9])
def test_a_young_trial_of_a_host_in_another_time_zone_is_alive(hours):
    began = datetime.now() + timedelta(hours=hours)
    trial = optuna.trial.create_trial(value=0.0, user_attrs={"worker": "there/1", "beat": time()})
    trial.datetime_start = began
    assert claims._is_left(trial, alone=False) is False


def test_a_trial_without_a_sign_of_life_for_ten_minutes_is_left():
    signs = {"worker": "there/1", "beat": time() - 601}
    assert claims._is_left(optuna.trial.create_trial(value=0.0, user_attrs=signs), alone=False)
