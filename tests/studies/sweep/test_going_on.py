"""A sweep that is stopped, killed or shared goes on to the same trials."""

from datetime import datetime, timedelta
from time import time

import optuna
import pytest
from searches import PASSES, WORLDS, plan_of, rate_plan, shown, study_of

from zslbench.store import Store
from zslbench.studies.sweep import claims
from zslbench.studies.sweep import trials as module
from zslbench.studies.sweep.measure import sweep


def running(signs):
    return optuna.trial.create_trial(state=optuna.trial.TrialState.RUNNING, user_attrs=signs)


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


def test_trial_found_running_is_gone_on_with_under_its_number(store, dataset, interrupt):
    plan = rate_plan(dataset)
    interrupt(2)
    with pytest.raises(KeyboardInterrupt):
        sweep(plan, store, 3)
    left = study_of(store, plan).trials
    assert [t.state.name for t in left] == ["COMPLETE", "RUNNING"]
    interrupt()
    found = sweep(plan, store, 3)
    ended = study_of(store, plan).trials
    assert [t.state.name for t in ended] == ["COMPLETE"] * 3
    assert ended[1].params == left[1].params
    assert list(ended[1].intermediate_values) == list(range(1, WORLDS * PASSES + 1))
    assert ended[1].intermediate_values.items() > left[1].intermediate_values.items()
    assert [t.number for t in found.trials] == [0, 1, 2]


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_trial_killed_while_it_is_drawn_is_drawn_again(store, dataset, sampler):
    space = ("rate=0.1:10:log", "decay=0:0.4")
    whole = sweep(plan_of(dataset, *space, sampler=sampler, named="whole"), store, 13)
    plan = plan_of(dataset, *space, sampler=sampler, named="broken")
    sweep(plan, store, 11)
    with claims.working() as worker:
        trial = claims.claim(study_of(store, plan), 13, worker)
        rate = optuna.distributions.FloatDistribution(0.1, 10, log=True)
        trial.storage.set_trial_param(
            trial._trial_id, "rate", rate.to_internal_repr(whole.trials[11].params["rate"]), rate
        )
    assert sweep(plan, store, 13).trials == whole.trials
    assert [t.state.name for t in study_of(store, plan).trials] == ["COMPLETE"] * 13


def test_trial_killed_before_a_process_has_named_itself_is_free(store, dataset):
    plan = rate_plan(dataset)
    sweep(plan, store, 1)
    study_of(store, plan).ask()
    assert [t.number for t in sweep(plan, store, 2).trials] == [0, 1]


def test_trial_enqueued_with_optunas_tools_is_tried_next(store, dataset):
    plan = rate_plan(dataset)
    sweep(plan, store, 1)
    study_of(store, plan).enqueue_trial({"rate": 3.0})
    found = sweep(plan, store, 3)
    assert [t.number for t in found.trials] == [0, 1, 2]
    assert found.trials[1].params == {"rate": 3.0}


def test_claims_of_living_processes_are_kept_apart(store, dataset):
    plan = rate_plan(dataset)
    sweep(plan, store, 1)
    study = study_of(store, plan)
    with claims.working() as one, claims.working() as other:
        assert claims.claim(study, 3, one).number == 1
        assert claims.claim(study, 3, other).number == 2
        assert claims.claim(study, 3, other) is None
    assert claims.claim(study, 3, "new").number == 1


def test_trial_that_two_take_over_at_once_is_the_later_ones(store, dataset):
    plan = rate_plan(dataset)
    sweep(plan, store, 1)
    study = study_of(store, plan)
    one = claims.claim(study, 2, "there/1")
    one.set_user_attr("beat", time() - 601)
    other = claims.claim(study, 2, "there/2")
    assert one.number == other.number == 1
    with pytest.raises(claims.TakenOverError):
        claims.report(one, 1, 0.5)
    assert claims.report(other, 1, 0.5) is False


def test_trial_too_many_by_two_machines_is_kept_for_a_longer_sweep(store, dataset, monkeypatch):
    plan = rate_plan(dataset)
    sweep(plan, store, 1)
    study = study_of(store, plan)

    def second(trial):
        study_of(store, plan).add_trial(running({"worker": "there/1", "beat": time()}))
        type(study).add_trial(study, trial)

    monkeypatch.setattr(study, "add_trial", second)
    assert claims.claim(study, 2, "here/2") is None
    assert len(study.trials) == 3
    assert claims.claim(study, 3, "here/3").number == 2


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
            trial = optuna.Trial(study, study.trials[-1]._trial_id)
            trial.set_user_attr("worker", "there/1")
            trial.set_user_attr("beat", time() - 601)
        return real(spec, data, tick, slots, stop, worlds)

    monkeypatch.setattr(module, "select", slow)
    found = sweep(plan, store, 2)
    assert [trial.state for trial in found.trials] == ["complete", "complete"]
    assert len(calls) == 3
    assert {run.data.tags["zslbench.state"] for run in shown(store, "trial")} == {"complete"}


@pytest.mark.parametrize("hours", [-9, 0, 9])
def test_a_young_trial_of_a_host_in_another_time_zone_is_alive(hours):
    began = datetime.now() + timedelta(hours=hours)
    trial = running({"worker": "there/1", "beat": time()})
    trial.datetime_start = began
    assert not claims._is_free(trial)


def test_a_trial_without_a_sign_of_life_for_ten_minutes_is_left():
    signs = {"worker": "there/1", "beat": time() - 601}
    assert claims._is_free(running(signs))
