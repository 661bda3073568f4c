"""`zslbench leaderboard --tune N`: as many trials for every method, and a table of their own."""

import csv
import json

import pytest
from searches import SEARCHED

from zslbench.method.registry import load_method
from zslbench.store import Store
from zslbench.studies.leaderboard.plan.tune import tuning_space

TRIALS = 4
METHODS = ("--methods", "eszsl,sae")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return tmp_path_factory.mktemp("results")


@pytest.fixture
def board(zslbench, tiny_root, results):
    """Return a function that makes leaderboards of the tiny dataset in the same results."""

    def call(*words, methods=METHODS, at=results):
        where = ("--dataset", "tiny", "--data-root", tiny_root, "--worlds", "2")
        return zslbench("leaderboard", *methods, *where, "--results", at, *words)

    return call


@pytest.mark.parametrize("name", SEARCHED)
def test_rates_are_searched_around_their_defaults_and_bounds_hold(name):
    cls = load_method(name)
    space = {parameter.name: parameter for parameter in tuning_space(cls)}
    assert set(cls.swept) <= space.keys()
    for rate in {"lr", "weight_decay"} & cls.Config.model_fields.keys():
        assert rate in space
    for parameter in space.values():
        default = cls.Config.model_fields[parameter.name].default
        assert not default or parameter.clipped(default) == pytest.approx(default)  # 0: off
        for value in parameter.points(2):
            assert getattr(cls.Config(**{parameter.name: value}), parameter.name) == value


def test_what_is_set_is_not_tuned():
    names = [p.name for p in tuning_space(load_method("svip"), {"lr": 1e-3, "M": 30})]
    assert names == ["lambda1", "lambda2", "scale", "backbone_lr", "weight_decay"]


def test_every_method_has_as_many_trials_and_one_tested_winner(board, results):
    status, out, err = board("--tune", TRIALS)
    assert status == 0, err
    assert f"tiny, tuned with {TRIALS} trials" in out
    assert f"TUNED WITH {TRIALS} TRIALS" in out
    assert "eszsl (tuned)" in out
    assert "2 run, 0 reused, 0 failed" in err
    store = Store(results)
    records = [run.record for run in store.runs()]
    assert sorted((r.spec.method, r.spec.tuned) for r in records) == [
        ("eszsl", TRIALS), ("sae", TRIALS),
    ]  # fmt: skip
    for record in records:
        given = {k: v for k, v in record.spec.config.items() if v is not None}
        assert given.items() <= record.choice.config.items()
        assert len(record.choice.worlds) == 2
    assert store.ledger().total() == 2
    assert (results / "leaderboard-tuned.md").exists()
    assert not (results / "leaderboard.md").exists()


def test_same_command_does_nothing_again(board, results):
    board("--tune", TRIALS)
    before = {path.name: path.read_bytes() for path in results.glob("leaderboard-tuned.*")}
    _, _, err = board("--tune", TRIALS)
    assert "0 run, 2 reused, 0 failed" in err
    assert before == {path.name: path.read_bytes() for path in results.glob("leaderboard-tuned.*")}
    assert Store(results).ledger().total() == 2


def test_trials_of_a_study_are_not_tried_again_elsewhere(board, tmp_path, monkeypatch):
    study = ("--tune", TRIALS, "--study", tmp_path / "study")
    board(*study)
    packed = (tmp_path / "study/leaderboard-tuned.tar.xz").read_bytes()
    monkeypatch.delattr("zslbench.studies.sweep.trials.select")
    _, _, err = board(*study, at=tmp_path / "elsewhere")
    assert "0 run, 2 reused, 0 failed" in err
    assert (tmp_path / "study/leaderboard-tuned.tar.xz").read_bytes() == packed


def test_defaults_stay_in_a_table_of_their_own(board, zslbench, results):
    board("--tune", TRIALS)
    status, out, _ = board()
    assert status == 0
    assert "TUNED WITH" not in out
    _, out, _ = zslbench("leaderboard", "--results", results, "--json")
    rows = json.loads(out)["rows"]
    assert [(row["tuned"], row["method"]) for row in rows if not row["tuned"]] == [
        (row["tuned"], row["method"]) for row in rows[:2]
    ]
    assert [row["tuned"] for row in rows] == [0, 0, TRIALS, TRIALS]
    page = (results / "leaderboard.md").read_text()
    assert page.index("## tiny\n") < page.index(f"## tiny, tuned with {TRIALS} trials")
    lines = list(csv.DictReader((results / "leaderboard.csv").open()))
    assert [line["tuned"] for line in lines] == ["0", "0", str(TRIALS), str(TRIALS)]
    latex = (results / "leaderboard.tex").read_text()
    assert latex.count("\\textbf{") >= 2 * 5
    html = (results / "leaderboard.html").read_text()
    assert f'data-dataset="tiny, tuned with {TRIALS} trials"' in html


def test_differences_are_taken_within_a_table(board, zslbench, results):
    board("--tune", TRIALS)
    board()
    _, out, _ = zslbench("leaderboard", "--results", results, "--reference", "sae", "--json")
    pairs = [(c["method"], c["reference"]) for c in json.loads(out)["comparisons"]]
    assert sorted(pairs) == [("eszsl", "sae"), ("eszsl (tuned)", "sae (tuned)")]


def test_method_whose_trials_all_fail_is_told_and_left_out(board, monkeypatch):
    from zslbench.methods.sae import SAE

    monkeypatch.setattr(SAE, "solve", lambda *_: 1 / 0)
    status, out, err = board("--tune", 1, "--json", methods=("--methods", "sae,eszsl"))
    assert status == 1, err
    assert "failed: sae on tiny" in err
    assert [row["method"] for row in json.loads(out)["rows"]] == ["eszsl"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--tune", "5"], "name a suite"),
        (["--tune", "5", "--plan", "--dataset", "tiny"], "leave one of the two out"),
    ],
)
def test_tuning_that_makes_no_sense_is_refused(zslbench, tmp_path, words, said):
    status, out, err = zslbench("leaderboard", *words, "--results", tmp_path / "r")
    assert (status, out) == (2, "")
    assert said in err
    assert not (tmp_path / "r").exists()
