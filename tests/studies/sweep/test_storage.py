"""Where the study of a sweep is kept, and what is refused there."""

import sqlite3
from contextlib import closing
from dataclasses import replace

import optuna
import pytest
from searches import plan_of, rate_plan, shown

from zslbench.errors import ZslbenchError
from zslbench.method.conformance import toy_dataset
from zslbench.studies.sweep import measure as module
from zslbench.studies.sweep.measure import sweep


def test_study_may_live_in_a_database(store, dataset, tmp_path):
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    plan = rate_plan(dataset)
    assert sweep(plan, store, 2, url).done == 2
    assert sweep(plan, store, 3, url).done == 1
    assert not (store.results / "sweeps").exists()


def test_database_that_goes_away_between_two_trials_costs_none(
    store, dataset, tmp_path, monkeypatch
):
    url, real = f"sqlite:///{tmp_path / 'studies.db'}", module._tell

    def rename(old, new):
        with closing(sqlite3.connect(tmp_path / "studies.db")) as database, database:
            database.execute(f"ALTER TABLE {old} RENAME TO {new}")

    def last(*arguments):
        real(*arguments)
        rename("studies", "elsewhere")

    with (
        monkeypatch.context() as patch,
        pytest.raises(ZslbenchError, match="run the same command"),
    ):
        patch.setattr(module, "_tell", last)
        sweep(rate_plan(dataset), store, 3, url)
    rename("elsewhere", "studies")
    assert [t.number for t in sweep(rate_plan(dataset), store, 3, url).trials] == [0, 1, 2]


def test_storage_that_cannot_be_used_is_refused(store, dataset):
    with pytest.raises(ZslbenchError, match="--storage nosuch://x"):
        sweep(rate_plan(dataset), store, 1, "nosuch://x")


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


def test_a_grid_without_end_is_refused(dataset):
    with pytest.raises(ZslbenchError, match="40000 cells, more than 10000"):
        plan_of(dataset, sampler="grid", points=200)


def test_name_tells_sweeps_apart_by_all_that_is_fixed(dataset):
    plans = rate_plan(dataset), rate_plan(dataset, seed=1), plan_of(dataset)
    assert len({plan.name for plan in plans}) == 3
    assert all(plan.name.startswith("tunable-toy-") for plan in plans)
