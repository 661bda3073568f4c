"""A sweep: what its trials see, what they try, and what is kept of them."""

import pytest
from searches import PASSES, WORLDS, base_run, plan_of, rate_plan, shown

from zslbench.engines import InProcess
from zslbench.errors import ZslbenchError
from zslbench.protocol.run import StoppedError, select
from zslbench.store import Store
from zslbench.studies.sweep import trials as module
from zslbench.studies.sweep.measure import sweep
from zslbench.studies.sweep.space import Parameter
from zslbench.studies.sweep.trials import Watch, look_again, run_trial


def test_select_asks_after_every_epoch_of_every_world_and_candidate(dataset):
    asked = []
    select(base_run(dataset).spec, dataset, stop=lambda *words: asked.append(words))
    assert [(w, e) for w, e, _ in asked] == [
        (w, e) for w in (1, 2) for e in range(1, 2 * PASSES + 1)
    ]
    for world in (1, 2):
        best = [h for w, _, h in asked if w == world]
        assert best == sorted(best)
        assert 0 < best[-1] <= 100


def test_select_ends_where_it_is_told_to_stop(dataset):
    asked = []

    def stop(world, epoch, best_h):
        asked.append((world, epoch))
        return (world, epoch) == (2, 3)

    with pytest.raises(StoppedError):
        select(base_run(dataset, decay=0.0).spec, dataset, stop=stop)
    assert asked[-1] == (2, 3)


def test_value_of_a_step_never_falls_and_counts_worlds_to_come_as_nothing():
    told = []
    watch = Watch(2, 3, lambda step, value: told.append((step, value)))
    for world, best in ((1, (10, 40, 40)), (2, (0, 20, 30))):
        for epoch, h in enumerate(best, start=1):
            watch(world, epoch, h)
    assert told == [(1, 5), (2, 20), (3, 20), (4, 20), (5, 30), (6, 35)]


def test_first_trial_is_the_defaults(store, dataset):
    plan = rate_plan(dataset)
    found = sweep(plan, store, 1)
    assert [(t.number, t.params) for t in found.trials] == [(0, {"rate": 2.0})]
    choice = select(plan.base.spec, dataset)
    assert found.trials[0].h == pytest.approx(
        sum(world.scores.h for world in choice.worlds) / WORLDS
    )


def test_open_default_is_what_the_tuning_worlds_choose(store, dataset):
    plan = plan_of(dataset)
    found = sweep(plan, store, 2)
    choice = store.get("choice", plan.base.spec.choice_key)
    assert found.trials[0].params == {"rate": 2.0, "decay": choice.config["decay"]}
    assert found.trials[0].h == pytest.approx(module.objective(choice))


def test_default_outside_the_space_is_the_nearest_value(store, dataset):
    plan = plan_of(dataset, "rate=3:10", settings={"decay": 0.0})
    assert sweep(plan, store, 1).trials[0].params == {"rate": 3.0}


def test_no_trial_sees_the_final_world(store, dataset, monkeypatch):
    monkeypatch.setattr("zslbench.protocol.run.final_world", lambda *_: 1 / 0)
    plan = plan_of(dataset)
    found = sweep(plan, store, 5)
    assert [t.state for t in found.trials] == ["complete"] * 5
    look_again(plan, store, {0: found.trials[0].params}, InProcess())
    assert dataset.test_labels.openings == store.ledger().total() == 0


def test_trials_stay_within_the_space(store, dataset):
    found = sweep(plan_of(dataset, "rate=0.1:1:log", "decay=0.0|0.4"), store, 12)
    assert len({t.params["rate"] for t in found.trials}) > 6
    assert all(0.1 <= t.params["rate"] <= 1 for t in found.trials)
    assert {t.params["decay"] for t in found.trials} == {0.0, 0.4}


def test_seed_of_the_sampler_changes_the_draws_alone(store, dataset):
    one, same, other = (
        sweep(rate_plan(dataset, seed=s, named=n, sampler="random"), store, 3).trials
        for s, n in ((0, "one"), (0, "same"), (1, "other"))
    )
    assert one == same
    assert one[0] == other[0]
    assert {t.params["rate"] for t in one[1:]}.isdisjoint(t.params["rate"] for t in other[1:])


def test_grid_tries_every_cell_once(store, dataset):
    plan = plan_of(dataset, "rate=0.5|2|4", "decay=0:0.4", sampler="grid", points=2)
    tried = [tuple(t.params.values()) for t in sweep(plan, store, None).trials]
    cells = {(rate, decay) for rate in (0.5, 2.0, 4.0) for decay in (0.0, 0.4)}
    assert len(tried) == 6
    assert set(tried) == cells
    assert tried[0][0] == 2.0
    assert sweep(plan, store, None).done == 0


def test_failed_trial_is_recorded_and_the_sweep_goes_on(store, dataset):
    plan = plan_of(dataset, "breaks=false|true", settings={"decay": 0.0}, sampler="grid")
    found = sweep(plan, store, None)
    assert [t.state for t in found.trials] == ["complete", "failed"]
    assert found.trials[1].error == "ArithmeticError: this method was told to break"
    assert [t.number for t in found.best()] == [0]
    record = store.get("trial", plan.trial_key(1, found.trials[1].params))
    assert (record.state, record.value, record.choice) == ("failed", None, None)
    assert {run.info.status for run in shown(store, "trial")} == {"FINISHED", "FAILED"}
    assert sweep(plan, store, None).done == 0


def test_what_the_user_can_mend_stops_the_sweep(store, dataset, monkeypatch):
    def complain(*_):
        raise ZslbenchError("fix it")

    with monkeypatch.context() as patch, pytest.raises(ZslbenchError, match="fix it"):
        patch.setattr(module, "select", complain)
        sweep(rate_plan(dataset), store, 1)
    assert [t.state for t in sweep(rate_plan(dataset), store, 1).trials] == ["complete"]


def test_trials_of_one_point_keep_checkpoints_apart(store, dataset, monkeypatch):
    places, real = [], module.select

    def noted(spec, dataset, tick, slots, *more):
        places.append(slots("").folder)
        return real(spec, dataset, tick, slots, *more)

    monkeypatch.setattr(module, "select", noted)
    plan = rate_plan(dataset)
    for number in (0, 1):
        run_trial(plan, store, number, {"rate": 1.0})
    assert len(set(places)) == 2


def test_trial_that_falls_behind_is_pruned_and_says_so(store, dataset):
    rates = "rate=2|1.9|1.8|1.7|1.6|0.01"
    plan = plan_of(dataset, rates, settings={"decay": 0.0}, sampler="grid", pruner="median")
    found = sweep(plan, store, None)
    assert [t.state for t in found.trials] == ["complete"] * 5 + ["pruned"]
    record = store.get("trial", plan.trial_key(5, found.trials[5].params))
    assert (record.state, record.choice) == ("pruned", None)
    assert PASSES // 2 <= record.steps < WORLDS * PASSES
    assert found.trials[5].h == record.value
    assert 5 not in [t.number for t in found.best()]
    (run,) = [r for r in shown(store, "trial") if r.data.tags["zslbench.state"] == "pruned"]
    assert run.data.metrics["objective_when_pruned"] == record.value
    assert "objective" not in run.data.metrics
    curve = store.client.get_metric_history(run.info.run_id, "objective_so_far")
    assert [(m.step, m.value) for m in curve] == list(enumerate(record.curve, start=1))
    assert (len(curve), curve[-1].value) == (record.steps, record.value)
    assert not list((store.results / "checkpoints").glob("*/*"))


def test_hyperband_prunes_among_many(store, dataset):
    found = sweep(rate_plan(dataset, sampler="random", pruner="hyperband"), store, 12)
    assert {"complete", "pruned"} == {t.state for t in found.trials}


def test_pruner_is_refused_where_trials_have_no_equal_epochs(dataset, monkeypatch):
    with pytest.raises(ZslbenchError, match="number of epochs is searched"):
        plan_of(dataset, "passes=2|4", pruner="median")


def test_trials_are_nested_under_the_sweep(store, dataset):
    plan = rate_plan(dataset)
    sweep(plan, store, 3)
    (parent,) = shown(store, "sweep")
    children = shown(store, "trial")
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    assert {run.info.run_name for run in children} == {"trial 0", "trial 1", "trial 2"}
    assert parent.data.params["data_digest"] == "toy"
    assert all("objective" in run.data.metrics for run in children)
    assert store.waiting() == []


def test_trials_wait_where_mlflow_is_away(tmp_path, dataset):
    store = Store(tmp_path, "http://127.0.0.1:9")
    plan = rate_plan(dataset)
    assert len(sweep(plan, store, 2).trials) == 2
    assert sorted(name.split("-")[0] for name in store.waiting()) == ["sweep", "trial", "trial"]


def test_importances_need_eight_complete_trials(store, dataset):
    plan = plan_of(dataset, sampler="random")
    assert sweep(plan, store, 7).importances is None
    shares = sweep(plan, store, 8).importances
    assert set(shares) == {"rate", "decay"}
    assert sum(shares.values()) == pytest.approx(1)


def test_trial_stopped_by_hand_is_pruned_at_that_step(store, dataset):
    plan = rate_plan(dataset)
    record = run_trial(plan, store, 0, {"rate": 1.0}, lambda step, value: step == 3)
    assert (record.state, record.steps) == ("pruned", 3)
    assert record.params == {"rate": 1.0}


def test_description_of_a_parameter_survives_json(dataset):
    described = Parameter("f", choices=("a", True, 1.5)).described()
    assert described["choices"] == ["a", True, 1.5]
