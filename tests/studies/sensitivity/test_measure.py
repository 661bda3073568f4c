"""A sensitivity study: what it measures, where, and that nothing is measured twice."""

import pytest
from searches import Tunable

from zslbench.engines import InProcess
from zslbench.engines.execute import Job, choice_for
from zslbench.errors import ZslbenchError
from zslbench.method import registry
from zslbench.method.conformance import toy_dataset
from zslbench.protocol import fresh_worlds, tuning_worlds
from zslbench.protocol.run import no_tick, select
from zslbench.stats import over_seeds
from zslbench.store import Store
from zslbench.studies.plan import changed, spec_of
from zslbench.studies.sensitivity.plan import SensitivityPlan, sensitivity

WORLDS = 2


@pytest.fixture(autouse=True)
def only_varied(monkeypatch):
    monkeypatch.setitem(registry.method_modules(), "varied", "searches")


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "results")


@pytest.fixture
def selections(monkeypatch):
    """The configs selected for so far, and the function whose `stop_at`-th call is Ctrl-C."""
    calls = []

    def counted(spec, *words, **more):
        calls.append(spec.config)
        if len(calls) == counted.stop_at:
            raise KeyboardInterrupt
        return select(spec, *words, **more)

    counted.stop_at = None
    monkeypatch.setattr("zslbench.engines.execute.select", counted)
    return calls, counted


def plan_of(dataset=None, final=False, seeds=(0, 1), settings=(), **grids):
    dataset = dataset or toy_dataset()
    spec = spec_of("varied", Tunable, Tunable.Config(**dict(settings)), dataset)
    base = Job(spec.model_copy(update={"tuning_worlds": WORLDS}), dataset)
    grids = grids or {"rate": ["0.1", "1"]}
    return SensitivityPlan(base, (), grids, seeds, final)


CLOSED = {"decay": 0.0}


def test_worlds_of_a_cut_are_its_own():
    dataset = toy_dataset()
    usual, one, two = (
        tuning_worlds(dataset, 3),
        fresh_worlds(dataset, 3),
        fresh_worlds(dataset, 3, 2),
    )
    names = [world.name for world in (*usual, *one, *two)]
    assert len(set(names)) == 9
    assert [world.name for world in fresh_worlds(dataset, 1, 2)] == [two[0].name]


def test_point_is_the_mean_over_the_worlds_of_all_seeds(store):
    plan = plan_of(settings=CLOSED)
    found, failures = sensitivity(plan, store)
    assert failures == []
    (curve,) = found.curves
    assert [point.value for point in curve.points] == [0.1, 1.0, 2.0]
    dataset, scores = plan.base.dataset, {}
    for rate in (0.1, 2.0):
        spec = changed(plan.base, {"rate": rate}).spec
        scores[rate] = [
            world.scores
            for worlds in (None, fresh_worlds(dataset, WORLDS, 1))
            for world in select(spec, dataset, worlds=worlds).worlds
        ]
    first = curve.points[0]
    for metric in ("t1", "u", "s", "h", "ausuc"):
        values = [getattr(s, metric) for s in scores[0.1]]
        assert first.scores[metric].mean == pytest.approx(over_seeds(values).mean)
        assert 0 <= first.scores[metric].low <= first.scores[metric].high <= 100
    expected = over_seeds([a.h - b.h for a, b in zip(scores[0.1], scores[2.0], strict=True)])
    assert first.difference == pytest.approx(expected)
    assert (curve.points[2].difference.mean, first.seeds) == (0, (0, 1))


def test_no_test_label_is_opened(store, monkeypatch):
    monkeypatch.setattr("zslbench.protocol.run.final_world", lambda *_: 1 / 0)
    dataset = toy_dataset()
    sensitivity(plan_of(dataset), store)
    assert dataset.test_labels.openings == store.ledger().total() == 0


def test_open_default_is_what_the_tuning_worlds_choose_and_then_stays(store, selections):
    calls, _ = selections
    plan = plan_of(rate=["1"], decay=["0.1"])
    found, _ = sensitivity(plan, store)
    chosen = choice_for(plan.base, store, no_tick).config["decay"]
    by_rate, by_decay = found.curves
    assert (by_rate.default, by_decay.default) == (2.0, chosen)
    open_ones = [config for config in calls if config["decay"] is None]
    assert len(open_ones) == 1
    assert {config["decay"] for config in calls if config["rate"] == 1.0} == {chosen}


def test_defaults_are_measured_once_for_all_settings(store, selections):
    calls, _ = selections
    found, _ = sensitivity(plan_of(settings=CLOSED, rate=["1"], decay=["0.1"]), store)
    assert len(calls) == 2 * 3
    defaults = [next(p for p in c.points if p.value == c.default) for c in found.curves]
    assert defaults[0].scores == defaults[1].scores


def test_default_of_seed_0_is_the_choice_of_any_run(store, selections):
    calls, _ = selections
    plan = plan_of(settings=CLOSED, seeds=(0,))
    choice_for(plan.base, store, no_tick)
    sensitivity(plan, store)
    assert len(calls) == 3


def test_same_study_does_nothing_again_and_a_larger_one_what_is_missing(store, selections):
    calls, _ = selections
    once = sensitivity(plan_of(settings=CLOSED), store)
    assert len(calls) == 2 * 3
    assert sensitivity(plan_of(settings=CLOSED), store) == once
    assert len(calls) == 2 * 3
    sensitivity(plan_of(settings=CLOSED, rate=["0.1", "1", "5"], seeds=(0, 1, 2)), store)
    assert len(calls) == 3 * 4


@pytest.mark.parametrize("stop_at", [1, 2, 5])
def test_interrupted_study_ends_the_same(store, tmp_path, selections, stop_at):
    calls, counted = selections
    counted.stop_at = stop_at
    with pytest.raises(KeyboardInterrupt):
        sensitivity(plan_of(settings=CLOSED), store)
    counted.stop_at = None
    found, _ = sensitivity(plan_of(settings=CLOSED), store)
    assert len(calls) == 6 + 1
    whole, _ = sensitivity(plan_of(settings=CLOSED), Store(tmp_path / "whole"))
    assert found == whole


def test_value_that_fails_is_told_and_left_out(store):
    found, failures = sensitivity(plan_of(settings=CLOSED, breaks=["true"]), store)
    assert [point.value for point in found.curves[0].points] == [False]
    assert [failure.spec.config["breaks"] for failure in failures] == [True, True]
    assert failures[0].error == "ArithmeticError: this method was told to break"


def test_defaults_that_fail_are_refused(store):
    with pytest.raises(ZslbenchError, match=r"varied has nothing to show.*told to break"):
        sensitivity(plan_of(settings={**CLOSED, "breaks": True}), store)


def test_progress_says_what_runs_and_what_is_best(store):
    epochs, points = [], []
    engine = InProcess(lambda *words: epochs.append(words), lambda *words: points.append(words))
    sensitivity(plan_of(settings=CLOSED), store, engine)
    assert epochs[0] == ("defaults, seed 0: varied: tuning world 1 of 2", 1, 4)
    assert len(epochs) == 2 * 3 * WORLDS * 4
    assert [(done, total) for _, done, total in points] == [(n, 6) for n in range(1, 7)]
    assert points[0][0].startswith("varied: points; best H ")
    assert points[0][0].endswith(" (defaults, seed 0)")


def test_final_is_the_same_runs_as_any_counted_and_marked(store):
    dataset = toy_dataset()
    plan = plan_of(dataset, final=True, settings=CLOSED)
    found, _ = sensitivity(plan, store)
    assert found.openings == dataset.test_labels.openings == store.ledger().total() == 6
    assert "READ ON TEST CLASSES" in found.marks
    records = [run.record for run in store.runs()]
    (curve,) = found.curves
    for point in curve.points:
        values = [
            r.rules["validation"].scores.h for r in records if r.spec.config["rate"] == point.value
        ]
        assert point.scores["h"].mean == pytest.approx(sum(values) / 2)
    sensitivity(plan, store)
    assert store.ledger().total() == 6


def test_name_tells_studies_apart(store):
    plans = [plan_of(), plan_of(final=True), plan_of(seeds=(0,)), plan_of(rate=["3"])]
    assert len({plan.name for plan in plans}) == 4
    assert all(plan.name.startswith("varied-toy-") for plan in plans)
