"""Measuring a side: once for each code, noted under every commit, by the code that was asked."""

import pytest
from faults import FAULTS, copy_of_project

from zslbench.errors import ZslbenchError
from zslbench.records import PROTOCOL_VERSION
from zslbench.store import Store
from zslbench.studies.regression import compare as regression
from zslbench.studies.regression import measure as measuring
from zslbench.studies.regression.compare import compare
from zslbench.studies.regression.measure import (
    FACTS,
    facts_of,
    measure,
    measurements_of,
    subjects_of,
)
from zslbench.studies.regression.sides import Side, SideError, ask, environment_digest

SUITE = 'title = "tiny"\ndatasets = ["tiny"]\nrows = [{ method = "eszsl" }]\n'
ESZSL = next(fault for fault in FAULTS if fault.file.endswith("eszsl.py"))


@pytest.fixture(scope="module")
def subjects(tiny_root, tmp_path_factory):
    suite = tmp_path_factory.mktemp("suites") / "tiny.toml"
    suite.write_text(SUITE)
    return subjects_of(str(suite), tiny_root)


def side(folder, commit, *changes):
    return Side("a side", commit * 40, False, copy_of_project(folder / commit, *changes))


def test_each_side_measures_by_its_own_code_once(subjects, tmp_path):
    store = Store(tmp_path / "results")
    good, bad = side(tmp_path, "a"), side(tmp_path, "b", ESZSL)
    before, now = (measure(s, subjects, range(3), store) for s in (good, bad))
    assert good.code != bad.code
    assert compare(before, now, {}, 1.0, ("good", "bad")).verdict == "FAIL"

    seen = []
    later = Side("later", "c" * 40, False, good.folder)  # a commit that changes no code
    again = measure(later, subjects, range(3), store, lambda *tick: seen.append(tick))
    ((ours, theirs),) = zip(before.values(), again.values(), strict=True)
    assert [m.scores for m in ours] == [m.scores for m in theirs]
    assert [m.created for m in ours] == [m.created for m in theirs]  # not fitted again
    commits = {m.environment["commit"][0] for m in store.measurements()}
    assert commits == {"a", "b", "c"}
    assert seen[-1][1:] == (3, 3)


@pytest.mark.parametrize("fact", FACTS)
def test_what_does_not_compare_is_refused_before_anything_is_measured(
    fact, subjects, tmp_path, monkeypatch
):
    store = Store(tmp_path / "results")
    ours = dict.fromkeys(FACTS, "ours")
    told = iter([{subjects[0].name: ours | {fact: "theirs"}}, {subjects[0].name: ours}])
    monkeypatch.setattr(regression, "install", lambda *_: Side("it", "a" * 40, False, tmp_path))
    monkeypatch.setattr(regression, "facts_of", lambda *_: next(told))
    with pytest.raises(SideError, match=f"{FACTS[fact]} differ"):
        regression.regress(tmp_path, "a-ref", "tiny", subjects, 2, 1.0, store)
    assert store.measurements() == []


def test_a_side_tells_what_it_would_measure_and_fits_nothing(subjects, tmp_path, monkeypatch):
    told = []

    def heard(*words):
        for answer in ask(*words):
            told.append(answer)
            yield answer

    monkeypatch.setattr(measuring, "ask", heard)
    (found,) = facts_of(side(tmp_path, "a"), subjects).values()
    assert found["protocol_version"] == PROTOCOL_VERSION
    assert not any("scores" in answer for answer in told)


def test_the_side_that_computed_names_its_device(subjects, tmp_path, monkeypatch):
    answer = {
        "cell": 0, "seed": 0, "repeat": 0, "choice_key": "c", "device": "a GPU", "method": "eszsl",
        "method_version": 1, "dataset": "tiny", "settings": {}, "data_digest": "d",
        "protocol_version": 1, "measure_version": 1, "epoch": 1, "gamma": 0.0, "seconds": 1.0,
        "scores": {"t1": 60.0, "u": 50.0, "s": 55.0, "h": 52.0, "ausuc": 0.3},
    }  # fmt: skip
    monkeypatch.setattr(measuring, "ask", lambda *_: iter([answer]))
    here = Side("it", "a" * 40, False, tmp_path)
    ((_, record),) = measurements_of(here, subjects, [0])
    assert record.environment["device"] == "a GPU"
    assert record.environment_digest == environment_digest("a GPU") != environment_digest("cpu")


def test_what_a_side_refuses_and_what_breaks_it_are_told_apart(subjects, tmp_path):
    request = {"cells": [subjects[0].request() | {"method": "nonesuch"}], "seeds": [0, 1],
               "repeats": [0], "known": []}  # fmt: skip
    with pytest.raises(ZslbenchError, match="nonesuch"):
        list(ask(None, request))
    broken = copy_of_project(tmp_path / "broken")
    (broken / "zslbench" / "metrics" / "__init__.py").write_text("raise ImportError('half done')\n")
    request["cells"] = [subjects[0].request()]
    with pytest.raises(SideError, match="half done"):
        list(ask(broken, request))
    with pytest.raises(SideError, match="PYTHONPATH"):
        list(ask(tmp_path / "empty", request))


def test_side_that_dies_before_it_has_read_the_request_says_why(tmp_path):
    (tmp_path / "zslbench").mkdir()
    (tmp_path / "zslbench" / "__init__.py").write_text("raise ImportError('half installed')\n")
    more_than_a_pipe_holds = {"known": ["x" * 1000] * 1000}
    with pytest.raises(SideError, match="half installed"):
        list(ask(tmp_path, more_than_a_pipe_holds))
