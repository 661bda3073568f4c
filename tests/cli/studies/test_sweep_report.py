"""What `zslbench sweep` writes: its report, all trials, importances and contours."""

import csv
import json

import pytest

SPACE = ("--space", "reg_x", "--space", "reg_s", "--space", "features=l2|raw")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return tmp_path_factory.mktemp("results")


@pytest.fixture
def sweep(zslbench, tiny_root, results):
    """Return a function that sweeps a method of the tiny dataset, always in the same results."""

    def call(method, *words):
        where = ("--dataset", "tiny", "--data-root", tiny_root, "--results", results)
        status, out, err = zslbench("sweep", method, *where, "--worlds", "2", *words)
        assert status == 0, err
        return out

    return call


def written(results, name):
    folder = results / "sweeps"
    return {p.name.removeprefix(name): p.read_bytes() for p in folder.glob(f"{name}[.-]*")}


def test_report_shows_both_numbers_of_the_winner_and_is_the_same_again(sweep, results):
    words = (*SPACE, "--trials", "9", "--name", "mine")
    once = sweep("eszsl", *words)
    files = written(results, "mine")
    assert files.keys() == {
        ".journal", ".md", ".csv", "-importances.png", "-importances.pdf", "-contours.png",
        "-contours.pdf",
    }  # fmt: skip
    assert sweep("eszsl", *words) == once
    assert written(results, "mine") == files
    page = files[".md"].decode()
    found = json.loads(sweep("eszsl", *words, "--json"))
    winner = found["winner"]
    for h in (winner["trial"]["h"], winner["trial"]["second_look_h"], winner["test"]["h"]):
        assert f"{h:.1f}" in page
    assert "mine-contours.png" in page
    assert found["importances"].keys() == found["fanova"].keys() == {"reg_x", "reg_s", "features"}
    assert sum(found["fanova"].values()) == pytest.approx(1)
    assert "importance (fANOVA)" in once
    assert found["log"] == ["reg_s", "reg_x"]


def test_every_trial_is_a_line_and_a_pruned_one_says_so(sweep, results):
    rates = "lr=10|9|8|7|6|0.0001"
    words = ("--space", rates, "--sampler", "grid", "--set", "epochs=4", "--pruner", "median")
    sweep("ale", *words, "--name", "rates", "--no-test", "--top", "0")
    lines = list(csv.DictReader((results / "sweeps" / "rates.csv").open()))
    assert [line["trial"] for line in lines] == [str(n) for n in range(len(lines))]
    assert {"complete", "pruned"} == {line["state"] for line in lines}
    (pruned,) = [line for line in lines if line["state"] == "pruned"]
    assert (pruned["lr"], pruned["H_second_look"]) == ("0.0001", "")
    page = (results / "sweeps" / "rates.md").read_text()
    assert "1 pruned" in page


def test_a_winner_at_the_end_of_its_range_says_what_to_try(sweep, results):
    words = ("--space", "reg_x=10:20", "--points", "2", "--sampler", "grid", "--top", "0")
    words = (*words, "--set", "reg_s=1", "--name", "ends", "--no-test")
    out, found = sweep("eszsl", *words), json.loads(sweep("eszsl", *words, "--json"))
    winner = found["winner"]
    value = winner["trial"]["params"]["reg_x"]
    end = {10.0: "low", 20.0: "high"}[value]
    mark = f"reg_x {value:g} chosen, the {end} end of its range: try {end}er values"
    assert winner["marks"] == [mark]
    assert mark.upper() in " ".join(out.split())
    assert mark.upper() in (results / "sweeps" / "ends.md").read_text()
    lines = list(csv.DictReader((results / "sweeps" / "ends.csv").open()))
    assert [line["marks"] for line in lines if line["marks"]] == [mark]


def test_grid_over_a_range_and_choices_has_every_cell(sweep, results):
    words = ("--space", "reg_x=0.01:100:log", "--space", "features=l2|raw", "--points", "3")
    sweep("eszsl", *words, "--sampler", "grid", "--name", "cells", "--no-test", "--top", "0")
    lines = list(csv.DictReader((results / "sweeps" / "cells.csv").open()))
    cells = {(line["reg_x"], line["features"]) for line in lines}
    assert cells >= {(x, f) for x in ("0.01", "1.0", "100.0") for f in ("l2", "raw")}
    assert len(lines) == len(cells) <= 7
