"""A sweep: what its trials see, what is kept of them, and that a stopped one goes on."""

from dataclasses import replace
from datetime import datetime, timedelta
from time import time

import optuna
import pytest
from fakes import Softmax, new_store

from zslbench import registry
from zslbench.conformance import toy_dataset
from zslbench.engines import InProcess
from zslbench.errors import ZslbenchError
from zslbench.execute import Job
from zslbench.method import hyper
from zslbench.protocol import fresh_worlds, tuning_worlds
from zslbench.run import StoppedError, select
from zslbench.studies import claims
from zslbench.studies import trials as module
from zslbench.studies.plan import spec_of
from zslbench.studies.search import SweepPlan
from zslbench.studies.space import Parameter, parse_space
from zslbench.studies.sweep import sweep
from zslbench.studies.trials import Watch, final_test, look_again, run_trial
from zslbench.tracking import Store

WORLDS, PASSES = 2, 4


class Tunable(Softmax):
    """Softmax with two settings to search, one of them open."""

    class Config(Softmax.Config):
        rate: float = hyper(2.0, low=0.01, high=10.0, log=True, symbol="eta", doc="rate")
        decay: float | None = hyper(
            None, low=0.0, high=0.5, grid=(0.0, 0.4), symbol="wd", doc="shrinkage of the weights"
        )

    def scores(self, batch, class_attributes):
        return super().scores(batch, class_attributes) * (1 - (self.config.decay or 0.0))


@pytest.fixture(autouse=True)
def only_tunable(monkeypatch):
    monkeypatch.setitem(registry.method_modules(), "tunable", __name__)


@pytest.fixture
def store(tmp_path, tmp_path_factory):
    return new_store(tmp_path / "results", tmp_path_factory)


@pytest.fixture
def dataset():
    return toy_dataset()


def base_run(dataset, **settings):
    spec = spec_of("tunable", Tunable, Tunable.Config(**settings), dataset)
    return Job(spec.model_copy(update={"tuning_worlds": WORLDS}), dataset)


def plan_of(dataset, *space, settings=(), **more):
    settings = dict(settings)
    searched = parse_space(Tunable, "tunable", space, settings)
    return SweepPlan(base_run(dataset, **settings), tuple(searched), **more)


def rate_plan(dataset, **more):
    """A sweep over the rate alone."""
    return plan_of(dataset, "rate=0.1:10:log", settings={"decay": 0.0}, **more)


def study_of(store, plan):
    journal = optuna.storages.journal.JournalFileBackend(
        str(store.results / "sweeps" / f"{plan.name}.journal")
    )
    return optuna.load_study(study_name=plan.name, storage=optuna.storages.JournalStorage(journal))


def shown(store, kind):
    """Return what MLflow shows of one kind of record."""
    found = store.client.search_experiments()
    experiments = [experiment.experiment_id for experiment in found]
    return list(store.client.search_runs(experiments, f"tags.`zslbench.kind` = '{kind}'"))


@pytest.fixture
def interrupt(monkeypatch):
    """Return a function that makes the n-th selection from now on end in Ctrl-C, half-way."""
    real = module.select

    def arm(*numbers):
        calls = []

        def interrupted(spec, dataset, tick, slots, stop, worlds):
            calls.append(spec)

            def ends(world, epoch, best_h):
                if len(calls) in numbers and (world, epoch) == (2, 2):
                    raise KeyboardInterrupt
                return stop(world, epoch, best_h)

            return real(spec, dataset, tick, slots, ends, worlds)

        monkeypatch.setattr(module, "select", interrupted)
        return calls

    return arm


# -- select with a stop --------------------------------------------------------------------------


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


def test_second_look_has_class_splits_of_its_own(dataset):
    usual, fresh = tuning_worlds(dataset, 20), fresh_worlds(dataset, 3)
    assert {w.name for w in fresh}.isdisjoint(w.name for w in usual)
    assert not any((f.classes == w.classes).all() for f in fresh for w in usual[:3])
    assert {c for world in fresh for c in world.classes} == set(dataset.seen)


# -- trials --------------------------------------------------------------------------------------


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
    assert found.trials[0].value == pytest.approx(
        sum(world.scores.h for world in choice.worlds) / WORLDS
    )


def test_open_default_is_what_the_tuning_worlds_choose(store, dataset):
    plan = plan_of(dataset)
    found = sweep(plan, store, 2)
    choice = store.get("choice", plan.base.spec.choice_key)
    assert found.trials[0].params == {"rate": 2.0, "decay": choice.config["decay"]}
    assert found.trials[0].value == pytest.approx(module.objective(choice))


def test_default_outside_the_space_is_the_nearest_value(store, dataset):
    plan = plan_of(dataset, "rate=3:10", settings={"decay": 0.0})
    assert sweep(plan, store, 1).trials[0].params == {"rate": 3.0}


def test_no_trial_sees_the_final_world(store, dataset, monkeypatch):
    monkeypatch.setattr("zslbench.run.final_world", lambda *_: 1 / 0)
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
        raise ZslbenchError("mend it")

    with monkeypatch.context() as patch, pytest.raises(ZslbenchError, match="mend it"):
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


# -- pruning -------------------------------------------------------------------------------------


def test_trial_that_falls_behind_is_pruned_and_says_so(store, dataset):
    rates = "rate=2|1.9|1.8|1.7|1.6|0.01"
    plan = plan_of(dataset, rates, settings={"decay": 0.0}, sampler="grid", pruner="median")
    found = sweep(plan, store, None)
    assert [t.state for t in found.trials] == ["complete"] * 5 + ["pruned"]
    record = store.get("trial", plan.trial_key(5, found.trials[5].params))
    assert (record.state, record.choice) == ("pruned", None)
    assert PASSES // 2 <= record.steps < WORLDS * PASSES
    assert found.trials[5].value == record.value
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


# -- going on ------------------------------------------------------------------------------------


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


def test_sweep_of_another_space_is_refused_and_nothing_is_written(store, dataset):
    plan = rate_plan(dataset, named="mine")
    sweep(plan, store, 1)
    journal = store.results / "sweeps" / "mine.journal"
    before = journal.read_bytes()
    others = (
        plan_of(dataset, "rate=0.1:5:log", settings={"decay": 0.0}, named="mine"),
        rate_plan(toy_dataset(), seed=1, named="mine"),
        rate_plan(toy_dataset(), sampler="random", named="mine"),
    )
    for other, said in zip(others, ("space", "seed", "sampler"), strict=True):
        with pytest.raises(ZslbenchError, match=f"mine exists with another {said}"):
            sweep(other, store, 1)
    assert journal.read_bytes() == before
    assert len(shown(store, "sweep")) == 1


def test_a_study_that_is_none_of_ours_is_refused_and_left_as_it_is(store, dataset, tmp_path):
    place, plan = f"sqlite:///{tmp_path}/team.db", rate_plan(dataset, named="svip")
    theirs = optuna.create_study(study_name="svip", storage=place, direction="maximize")
    theirs.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    running = theirs.ask()
    with pytest.raises(ZslbenchError, match="svip exists and is none of zslbench's"):
        sweep(plan, store, 3, storage=place)
    again = optuna.load_study(study_name="svip", storage=place)
    assert again.user_attrs == {}
    assert again.trials[running.number].state.name == "RUNNING"
    optuna.create_study(study_name="down", storage=place, direction="minimize")
    with pytest.raises(ZslbenchError, match="none of zslbench's"):
        sweep(rate_plan(dataset, named="down"), store, 3, storage=place)


def test_sweeps_kept_apart_under_one_name_do_not_take_each_others_looks(dataset):
    """Two results folders have each a journal; under one number they may try other points."""
    plan = rate_plan(dataset)
    one, other = ({"rate": rate, "decay": 0.0} for rate in (1.0, 3.0))
    assert plan.trial_key(1, one, 2) != plan.trial_key(1, other, 2)
    assert plan.trial_key(1, one, 2) == plan.trial_key(1, dict(one), 2)


def test_arithmetic_is_part_of_what_is_fixed(dataset):
    plan = rate_plan(dataset)
    spec = plan.base.spec.model_copy(update={"precision": "bfloat16"})
    assert replace(plan, base=replace(plan.base, spec=spec)).name != plan.name


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


def test_a_grid_without_end_is_refused(dataset):
    with pytest.raises(ZslbenchError, match="40000 cells, more than 10000"):
        plan_of(dataset, sampler="grid", points=200)


def test_name_tells_sweeps_apart_by_all_that_is_fixed(dataset):
    plans = rate_plan(dataset), rate_plan(dataset, seed=1), plan_of(dataset)
    assert len({plan.name for plan in plans}) == 3
    assert all(plan.name.startswith("tunable-toy-") for plan in plans)


def test_study_may_live_in_a_database(store, dataset, tmp_path):
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    plan = rate_plan(dataset)
    assert sweep(plan, store, 2, url).done == 2
    assert sweep(plan, store, 3, url).done == 1
    assert not (store.results / "sweeps").exists()


def test_storage_that_cannot_be_used_is_refused(store, dataset):
    with pytest.raises(ZslbenchError, match="--storage nosuch://x"):
        sweep(rate_plan(dataset), store, 1, "nosuch://x")


# -- what is kept --------------------------------------------------------------------------------


def test_trials_are_nested_under_the_sweep(store, dataset):
    plan = rate_plan(dataset)
    sweep(plan, store, 3)
    (parent,) = shown(store, "sweep")
    children = shown(store, "trial")
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    assert {run.info.run_name for run in children} == {"trial 0", "trial 1", "trial 2"}
    assert parent.data.params["data_digest"] == "toy"
    assert all("objective" in run.data.metrics for run in children)
    assert list(store.outbox) == []


def test_trials_wait_in_the_outbox_where_mlflow_is_away(tmp_path, dataset):
    store = Store(tmp_path, "http://127.0.0.1:9")
    plan = rate_plan(dataset)
    assert len(sweep(plan, store, 2).trials) == 2
    assert sorted(path.name.split("-")[0] for path in store.outbox) == ["sweep", "trial", "trial"]


def test_importances_need_eight_complete_trials(store, dataset):
    plan = plan_of(dataset, sampler="random")
    assert sweep(plan, store, 7).importances is None
    shares = sweep(plan, store, 8).importances
    assert set(shares) == {"rate", "decay"}
    assert sum(shares.values()) == pytest.approx(1)


# -- the best ------------------------------------------------------------------------------------


def test_second_look_is_taken_once_elsewhere_and_recorded(store, dataset, interrupt):
    plan = rate_plan(dataset)
    points = {t.number: t.params for t in sweep(plan, store, 4).best()[:2]}
    calls = interrupt()
    looks = look_again(plan, store, points, InProcess())
    assert [look.number for look in looks] == list(points)
    for look in looks:
        first = store.get("trial", plan.trial_key(look.number, look.params))
        assert look.params == first.params
        assert {w.name for w in look.choice.worlds}.isdisjoint(w.name for w in first.choice.worlds)
    assert look_again(plan, store, points, InProcess()) == looks
    assert len(calls) == 2
    names = {run.info.run_name for run in shown(store, "trial")}
    assert {f"trial {number}, second look" for number in points} <= names


def test_winner_is_tested_once_by_the_choice_of_its_trial(store, dataset, interrupt):
    plan = rate_plan(dataset)
    best = sweep(plan, store, 3).best()[0]
    calls = interrupt()
    record = final_test(plan, store, best.number, best.params, InProcess())
    assert calls == []
    assert record.choice == store.get("trial", plan.trial_key(best.number, best.params)).choice
    assert record.spec.config["rate"] == best.params["rate"]
    assert final_test(plan, store, best.number, best.params, InProcess()) == record
    assert dataset.test_labels.openings == store.ledger().total() == 1


def test_test_that_fails_is_told(store, dataset, monkeypatch):
    plan = rate_plan(dataset)
    best = sweep(plan, store, 1).best()[0]
    monkeypatch.setattr("zslbench.execute.evaluate", lambda *_: 1 / 0)
    assert (
        final_test(plan, store, 0, best.params, InProcess()).error
        == "ZeroDivisionError: division by zero"
    )


def test_trial_stopped_by_hand_is_pruned_at_that_step(store, dataset):
    plan = rate_plan(dataset)
    record = run_trial(plan, store, 0, {"rate": 1.0}, lambda step, value: step == 3)
    assert (record.state, record.steps) == ("pruned", 3)
    assert record.params == {"rate": 1.0}


def test_description_of_a_parameter_survives_json(dataset):
    described = Parameter("f", choices=("a", True, 1.5)).described()
    assert described["choices"] == ["a", True, 1.5]
