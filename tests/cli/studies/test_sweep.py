"""`zslbench sweep` as a user meets it, killed and not."""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from zslbench.cli import app
from zslbench.store import Store

ZSLBENCH = Path(sys.executable).with_name("zslbench")
KILLS = 6


@pytest.fixture(scope="module")
def call(tiny_root, tmp_path_factory):
    """Return a function that sweeps ESZSL on the tiny dataset, always in the same results."""
    results = tmp_path_factory.mktemp("results")

    def invoke(*words):
        fixed = ["sweep", "eszsl", "--dataset", "tiny", "--data-root", str(tiny_root)]
        return CliRunner().invoke(app, [*fixed, "--results", str(results), *words])

    invoke.store = lambda: Store(results)
    return invoke


def test_sweep_prints_best_trials_importances_and_three_numbers_of_the_winner(call):
    done = call("--trials", "9")
    assert done.exit_code == 0, done.stderr
    assert "9 trials run, 9 in all" in done.stderr
    assert "9 complete" in done.stdout
    assert "importance (PED-ANOVA): reg_" in done.stdout
    (winner,) = [line for line in done.stdout.splitlines() if line.startswith("winner: trial")]
    for said in ("in the sweep", "at the second look", "on test", "AUSUC"):
        assert said in done.stdout[done.stdout.index(winner) :]
    assert call.store().ledger().total() == 1


def test_same_command_does_nothing_again_and_prints_the_same(call):
    once, again = call("--trials", "9"), call("--trials", "9")
    assert "0 trials run, 9 in all" in again.stderr
    assert again.stdout == once.stdout
    assert call.store().ledger().total() == 1


def test_json_is_one_document_with_everything(call):
    report = json.loads(call("--trials", "9", "--json").stdout)
    assert report["states"] == {"complete": 9, "pruned": 0, "failed": 0}
    assert report["best"][0]["h"] >= report["best"][-1]["h"]
    looked = [row for row in report["best"] if row["second_look_h"] is not None]
    assert len(looked) == 3
    winner = report["winner"]
    assert winner["trial"]["second_look_h"] == max(row["second_look_h"] for row in looked)
    (run,) = call.store().runs()
    assert run.record.key == winner["run_key"]
    assert run.record.rules["validation"].scores.h == winner["test"]["h"]
    assert winner["openings"] == 1


def test_without_a_test_no_test_labels_are_opened(call):
    before = call.store().ledger().total()
    done = call("--trials", "2", "--no-test", "--top", "0", "--space", "reg_x=1|10", "--json")
    assert done.exit_code == 0
    report = json.loads(done.stdout)
    assert report["winner"]["test"] is None
    assert all(row["second_look_h"] is None for row in report["best"])
    assert call.store().ledger().total() == before


def test_sweep_whose_trials_all_fail_has_no_winner(call, monkeypatch):
    monkeypatch.setattr("zslbench.studies.sweep.trials.select", lambda *_: 1 / 0)
    done = call("--trials", "2", "--name", "broken", "--space", "reg_x", "--json")
    assert done.exit_code == 1
    assert "failed: trial 1: ZeroDivisionError" in done.stderr
    report = json.loads(done.stdout)
    assert (report["winner"], report["best"], report["states"]["failed"]) == (None, [], 2)


class Killed:
    """`zslbench sweep` in processes of its own, on one results folder."""

    def __init__(self, data_root, results):
        self.results = results
        self.command = [
            ZSLBENCH, "sweep", "ale", "--dataset", "tiny", "--data-root", data_root,
            "--results", results, "--set", "lr=1", "--set", "epochs=5", "--trials", "14", "--json",
        ]  # fmt: skip
        self.environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.environment.pop("MLFLOW_TRACKING_URI", None)

    def start(self):
        return subprocess.Popen(
            self.command, env=self.environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def wait_for_trials(self, process):
        """Wait until this process writes to its journal, or ends."""
        began = time.time()
        while process.poll() is None:
            journals = (self.results / "sweeps").glob("*.journal")
            if any(path.stat().st_mtime >= began for path in journals):
                return
            time.sleep(0.02)

    def report(self):
        process = self.start()
        self.wait_for_trials(process)
        began = time.monotonic()
        out, err = process.communicate()
        assert process.returncode == 0, err
        return json.loads(out), time.monotonic() - began


@pytest.mark.long
def test_sweep_killed_at_random_moments_ends_with_the_same_report(tiny_root, tmp_path):
    expected, lasted = Killed(tiny_root, tmp_path / "undisturbed").report()
    draw, kills, studies = random.Random(0), 0, 0
    while kills < KILLS:
        killed = Killed(tiny_root, tmp_path / str(studies))
        studies += 1
        for _ in range(3):
            process = killed.start()
            killed.wait_for_trials(process)
            time.sleep(draw.uniform(0, lasted / 3))
            kills += process.poll() is None
            process.kill()
            process.communicate()
        found, _ = killed.report()
        found["winner"]["openings"] = expected["winner"]["openings"]  # killed tests count as well
        assert found == expected
        store = Store(killed.results)
        assert store.sync().left == 0
        assert store.waiting() == []
    print(f"{kills} kills in {studies} studies")
