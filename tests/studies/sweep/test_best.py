"""The best of a sweep: looked at again elsewhere, and tested once."""

from searches import rate_plan, shown

from zslbench.engines import InProcess
from zslbench.protocol import fresh_worlds, tuning_worlds
from zslbench.studies.sweep.measure import sweep
from zslbench.studies.sweep.trials import final_test, look_again


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
    monkeypatch.setattr("zslbench.engines.execute.evaluate", lambda *_: 1 / 0)
    assert (
        final_test(plan, store, 0, best.params, InProcess()).error
        == "ZeroDivisionError: division by zero"
    )


def test_second_look_has_class_splits_of_its_own(dataset):
    usual, fresh = tuning_worlds(dataset, 20), fresh_worlds(dataset, 3)
    assert {w.name for w in fresh}.isdisjoint(w.name for w in usual)
    assert not any((f.classes == w.classes).all() for f in fresh for w in usual[:3])
    assert {c for world in fresh for c in world.classes} == set(dataset.seen)
