"""`zslbench sensitivity` as a user meets it."""

import csv
import json

import pytest

from zslbench.tracking import Store

GRID = ("--grid", "lambda_=0.1,1,10")
STUDY = ("--dataset", "tiny", "--worlds", "2", "--seeds", "0,1")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return tmp_path_factory.mktemp("results")


@pytest.fixture
def study(zslbench, tiny_root, results):
    """Return a function that varies a method of the tiny dataset, always in the same results."""

    def call(method, *words):
        where = ("--data-root", tiny_root, "--results", results)
        return zslbench("sensitivity", method, *STUDY, *words, *where)

    return call


def files(results):
    folder = results / "sensitivity"
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}


def test_one_table_a_setting_with_intervals_and_difference(study, results):
    status, out, err = study("sae", *GRID)
    assert status == 0, err
    assert "Sensitivity of sae on tiny, 2 tuning worlds" in out
    assert all(name in out for name in ("T1", "AUSUC", "H - default", "(default)"))
    assert "FEWER THAN THREE TUNING WORLDS" in out
    assert "points, in epochs; defaults, seed 0" in err
    assert "\x1b" not in err
    assert Store(results).ledger().total() == 0


def test_files_are_the_same_again_and_nothing_is_run(study, results):
    study("sae", *GRID)
    before = files(results)
    (name,) = {path.rsplit(".", 1)[0] for path in before}
    assert before.keys() == {f"{name}.{kind}" for kind in ("md", "csv", "png", "pdf")}
    _, out, err = study("sae", *GRID)
    assert "points, in epochs" not in err
    assert files(results) == before
    lines = list(csv.DictReader((results / "sensitivity" / f"{name}.csv").open()))
    values = [float(line["value"]) for line in lines]
    assert values == sorted(values)
    assert {0.1, 1, 10} <= set(values)
    assert [line["is_default"] for line in lines].count("True") == 1
    assert all(float(r["H_low"]) <= float(r["H"]) <= float(r["H_high"]) for r in lines)
    text = (results / "sensitivity" / f"{name}.md").read_text()
    assert f"{name}.png" in text
    assert len(out.splitlines()) > len(lines)


def test_json_is_one_document(study):
    status, out, _ = study("sae", *GRID, "--json")
    found = json.loads(out)
    assert status == 0
    assert (found["final"], found["seeds"], found["tuning_worlds"]) == (False, [0, 1], 2)
    (curve,) = found["curves"]
    assert set(curve["points"][0]["scores"]) == {"t1", "u", "s", "h", "ausuc"}


def test_trained_method_is_varied_by_seed(study):
    words = ("--set", "epochs=2", "--set", "lr=1", "--grid", "margin=0.5,1", "--json")
    status, out, err = study("ale", *words)
    assert status == 0, err
    (curve,) = json.loads(out)["curves"]
    assert [point["value"] for point in curve["points"]] == [0.5, 1.0]
    assert "ale: 4 points, in epochs" in err
    assert "16/16" in err


def test_final_is_marked_and_counted(study, results):
    status, out, err = study("sae", *GRID, "--final", "--seeds", "0")
    assert status == 0, err
    assert "READ ON TEST CLASSES" in out
    opened = Store(results).ledger().total()
    assert f"opened {opened}" in out
    assert opened in (3, 4)
    study("sae", *GRID, "--final", "--seeds", "0")
    assert Store(results).ledger().total() == opened
    (page,) = (results / "sensitivity").glob("*-final.md")
    assert "READ ON TEST CLASSES" in page.read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("saee",), "Did you mean 'sae'?"),
        (("sae", "--dataset", "tinny"), "Did you mean 'tiny'?"),
        (("sae", "--parameters", "lambda"), "Did you mean 'lambda_'?"),
        (("sae", "--parameters", ","), "names nothing"),
        (("sae", "--grid", "lambda_=1,9e9"), "--grid lambda_=9e9"),
        (("sae", "--grid", "lambda_"), "name=a,b,c"),
        (("sae", "--grid", "lambda_=x,y"), "--grid lambda_=x"),
        (("sae", "--set", "lambda_=1", "--grid", "lambda_=1"), "nothing else"),
        (("sae", "--set", "lambda_=-1"), "--set lambda_=-1"),
        (("sae", "--seeds", "a"), "whole numbers"),
        (("svip",), "--backbone"),
    ],
)
def test_what_the_user_can_mend_is_one_paragraph_and_writes_nothing(
    zslbench, tiny_root, tmp_path, words, said
):
    dataset = () if "--dataset" in words else ("--dataset", "tiny")
    where = ("--data-root", tiny_root, "--results", tmp_path / "results")
    status, out, err = zslbench("sensitivity", *words, *dataset, *where)
    assert (status, out) == (2, "")
    assert said in err
    assert err.strip().count("\n") == 0
    assert not (tmp_path / "results").exists()


def test_value_that_fails_is_told_and_ends_in_1(study, monkeypatch):
    from zslbench_methods.sae import SAE

    real = SAE.solve

    def solve(self, prepared):
        if self.config.lambda_ == 7:
            raise ArithmeticError("seven")
        real(self, prepared)

    monkeypatch.setattr(SAE, "solve", solve)
    status, out, err = study("sae", "--grid", "lambda_=7,10", "--json")
    assert status == 1
    assert err.count("failed: sae on tiny") == 2
    (curve,) = json.loads(out)["curves"]
    assert 7 not in [point["value"] for point in curve["points"]]
