"""`zslbench incremental`, as a user meets it."""

import json

import pytest
from fakes import Centroid, use_centroid

from zslbench.store import Store
from zslbench.studies.incremental.suite import read_incremental_suite
from zslbench.studies.suites import shipped

BIRDS = "plumage:classes=10,unseen=2,images_per_class=10,clutter=0,spurious=0,seed=5"
SUITE = f"""
title = "Centroids, with <one> row that breaks"
datasets = ["{BIRDS}"]
backbone = "plumage_vit"
increment = 3
seeds = [0, 1]
reference = "means"

[[rows]]
method = "nearest_mean"
label = "means"

[[rows]]
method = "centroid"
label = "pixels"
"""


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """A suite, and where its results go; `centroid` here takes pixels."""
    use_centroid(monkeypatch)
    scores, learn = Centroid.scores, Centroid.learn

    def flat(method, batch):
        return scores(method, batch.reshape(len(batch), -1).astype(float))

    def flatly(method, task):
        yield from learn(method, Flat(task))

    monkeypatch.setattr(Centroid, "scores", flat)
    monkeypatch.setattr(Centroid, "learn", flatly)
    suite = tmp_path / "means.toml"
    suite.write_text(SUITE)
    return suite, Store(tmp_path / "results").results


class Flat:
    """A task whose images are rows."""

    def __init__(self, task):
        self.number, self.labels, self.old, self.known = (
            task.number, task.labels, task.old, task.known,
        )  # fmt: skip
        images = task.inputs[:]
        self.inputs = images.reshape(len(images), -1).astype(float)


def test_one_command_from_nothing_to_table_figure_and_page(zslbench, asked):
    suite, results = asked
    status, out, err = zslbench("incremental", suite, "--results", results)
    assert status == 0, err
    assert "3 tasks of 3, 3, 2 classes (the increment does not divide them" in err
    assert "4 run, 0 reused, 0 failed" in err
    assert "B0-Inc3" in out
    assert "paired differences" in out
    names = {path.name for path in results.iterdir()}
    assert {"means.md", "means.json", "means.html"} <= names
    assert {"means-tasks.csv", "means-tasks.png", "means-tasks.pdf"} <= names
    page = (results / "means.html").read_text()
    assert "with &lt;one&gt; row" in page
    assert "Accuracy after each task" in page
    assert "<script" not in page
    rows = (results / "means-tasks.csv").read_text().splitlines()
    assert len(rows) == 3

    status, out, err = zslbench("incremental", suite, "--results", results, "--json")
    assert "0 run, 4 reused, 0 failed" in err
    document = json.loads(out)
    assert {row["label"] for row in document["incremental"]} == {"means", "pixels"}
    assert all(row["openings"] == 2 for row in document["incremental"])
    assert [d["method"] for d in document["incremental_differences"]] == ["pixels"]

    assert Store(results).waiting() == []
    status, out, _ = zslbench("leaderboard", "--results", results)
    assert status == 0
    assert "task sequence" in out


def test_a_run_that_fails_is_recorded_and_left_alone(zslbench, asked, monkeypatch):
    suite, results = asked

    def broken(method, task):
        raise ArithmeticError("told to break")
        yield

    monkeypatch.setattr(Centroid, "learn", broken)
    status, out, err = zslbench("incremental", suite, "--results", results)
    assert status == 1
    assert "2 run, 0 reused, 2 failed" in err
    assert "PARTIAL: 2 of 4 runs are missing" in out
    status, out, err = zslbench("incremental", suite, "--results", results)
    assert "0 run, 2 reused, 2 failed" in err
    assert "told to break" in out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--increment", "0"], "tasks without classes"),
        (["--increment", "8"], "leaves one task"),
        (["--base", "8", "--increment", "2"], "leaves one task"),
        (["--methods", "nearest_means", "--increment", "3"], "Did you mean 'nearest_mean'?"),
        (["--methods", "spa", "--increment", "3"], "has no text tower"),
        (["--set", "epoch=3", "--increment", "3"], "Did you mean 'epochs'?"),
    ],
)
def test_bad_input_is_one_paragraph_and_nothing_is_written(zslbench, tmp_path, options, words):
    results = tmp_path / "results"
    status, out, err = zslbench(
        "incremental", "--dataset", BIRDS, "--results", results, "--backbone", "plumage_vit",
        *options,
    )  # fmt: skip
    assert status == 2
    assert words in err
    assert out == ""
    assert not list(results.glob("incremental*"))


@pytest.mark.parametrize("name", shipped("incremental"))
def test_every_shipped_suite_of_task_sequences_has_rows_that_can_be_made(name):
    suite = read_incremental_suite(name)
    assert len(suite.entries()) == len(suite.rows)
    assert suite.reference in [entry.label for entry in suite.entries()]
