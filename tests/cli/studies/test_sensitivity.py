"""`zslbench sensitivity` as a user meets it."""

import csv
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from zslbench.store import Store

GRID = ("--grid", "lambda_=0.1,1,10")
STUDY = ("--dataset", "tiny", "--worlds", "2")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return tmp_path_factory.mktemp("results")


@pytest.fixture
def study(zslbench, tiny_root, results):
    """Return a function that varies a method of the tiny dataset, always in the same results."""

    def call(method, *words):
        where = ("--data-root", tiny_root, "--results", results)
        seeds = () if "--seeds" in words else ("--seeds", "0,1")
        return zslbench("sensitivity", method, *STUDY, *seeds, *words, *where)

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
    assert "defaults, seed 0: sae: tuning world 1 of 2" in err
    assert "sae: points; best H" in err
    assert "\x1b" not in err
    assert Store(results).ledger().total() == 0


def test_files_are_the_same_again_and_nothing_is_run(study, results):
    study("sae", *GRID)
    before = files(results)
    (name,) = {path.rsplit(".", 1)[0] for path in before}
    assert before.keys() == {f"{name}.{kind}" for kind in ("md", "csv", "png", "pdf")}
    _, out, err = study("sae", *GRID)
    assert "points" not in err
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
    assert "(defaults, seed 0): 4/4" in err


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
        (("sae", "--grid", "lambda_=1,9e9"), "lambda_=9e9"),
        (("sae", "--grid", "lambda_"), "name=a,b,c"),
        (("sae", "--grid", "lambda_=x,y"), "lambda_=x"),
        (("sae", "--set", "lambda_=1", "--grid", "lambda_=1"), "nothing else"),
        (("sae", "--set", "lambda_=-1"), "lambda_=-1"),
        (("sae", "--seeds", "a"), "whole numbers"),
        (("svip",), "Choose as backbone"),
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
    from zslbench.methods.sae import SAE

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


class Killed:
    """`zslbench sensitivity` in processes of its own, on one results folder."""

    def __init__(self, data_root, results, *words):
        self.command = [
            Path(sys.executable).with_name("zslbench"), "sensitivity", "ale", *STUDY,
            "--data-root", data_root, "--results", results, "--set", "lr=1", "--set", "epochs=6",
            "--grid", "margin=0.1,0.5,1,5", "--json", *words,
        ]  # fmt: skip
        self.environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.environment.pop("MLFLOW_TRACKING_URI", None)

    def start(self):
        return subprocess.Popen(
            self.command, env=self.environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def report(self):
        process, began = self.start(), time.monotonic()
        out, err = process.communicate()
        assert process.returncode == 0, err
        return json.loads(out), time.monotonic() - began


@pytest.mark.slow
def test_study_killed_at_random_moments_ends_with_the_same_report(tiny_root, tmp_path):
    expected, lasted = Killed(tiny_root, tmp_path / "undisturbed").report()
    draw, kills = random.Random(0), 0
    killed = Killed(tiny_root, tmp_path / "killed")
    for _ in range(5):
        process = killed.start()
        time.sleep(draw.uniform(0.2, 0.9) * lasted)
        kills += process.poll() is None
        process.kill()
        process.communicate()
    assert kills
    assert killed.report()[0] == expected
    store = Store(tmp_path / "killed")
    assert store.sync().left == 0
    assert store.ledger().total() == 0
    assert not list((tmp_path / "killed" / "checkpoints").glob("*/*"))


@pytest.mark.long
def test_two_processes_find_what_one_finds(tiny_root, tmp_path):
    alone, _ = Killed(tiny_root, tmp_path / "alone").report()
    together, _ = Killed(tiny_root, tmp_path / "together", "--jobs", "2").report()
    assert together == alone
