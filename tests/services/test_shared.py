"""Shared services: PostgreSQL and an MLflow server under one sweep and one leaderboard."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import optuna
import pytest
from servers import PATIENCE, MlflowServer, Postgres, running

from zslbench.store import Store
from zslbench.studies.sweep.claims import ended

pytestmark = pytest.mark.slow

ZSLBENCH = Path(sys.executable).with_name("zslbench")
WORKERS, TRIALS = 4, 40
CHANGES_BY_NATURE = ("seconds", "commits", "openings")


@pytest.fixture(scope="module")
def postgres():
    with running(Postgres()) as server:
        yield server


@pytest.fixture
def shell(tiny_root):
    """Return a function that starts a command in a shell of its own; none outlives the test."""
    with ExitStack() as stack:

        def start(*words, uri=None):
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            environment.pop("MLFLOW_TRACKING_URI", None)
            process = subprocess.Popen(
                [ZSLBENCH, *map(str, words), "--dataset", "tiny", "--data-root", tiny_root],
                env=environment | ({"MLFLOW_TRACKING_URI": uri} if uri else {}), text=True,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )  # fmt: skip
            stack.callback(process.communicate)
            stack.callback(process.kill)
            return process

        yield start


def printed(process):
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    return json.loads(out)


def trials_of(store):
    """Return the numbers of the trials that MLflow holds, as often as it holds them to their end.

    A run that never ended was left by an upload that was killed, or whose answer was late and that
    MLflow's client sent again.
    """
    found = store.client.search_experiments(filter_string="name LIKE 'zslbench/%'")
    runs = store.client.search_runs(
        [experiment.experiment_id for experiment in found],
        "tags.`zslbench.kind` = 'trial' AND tags.`zslbench.look` = '1' "
        "AND attributes.status != 'RUNNING'",
        max_results=1000,
    )
    return Counter(run.info.run_name for run in runs)


def test_four_workers_share_a_sweep_and_one_is_killed(postgres, shell, tmp_path):
    url = postgres.database("sweeps")
    words = ["sweep", "ale", "--set", "lr=1", "--set", "epochs=20", "--trials", TRIALS,
             "--name", "shared", "--storage", url, "--results", tmp_path / "results",
             "--top", 0, "--no-test", "--json"]  # fmt: skip
    workers = [shell(*words) for _ in range(WORKERS)]
    study = wait_for(url, "shared", trials=8)
    workers[1].kill()
    at_the_kill = len(ended(study))
    assert at_the_kill < TRIALS
    reports = [printed(worker) for worker in (workers[0], *workers[2:])]
    assert all(report["states"]["complete"] == TRIALS for report in reports)
    assert all(report["best"] == reports[0]["best"] for report in reports)
    found = ended(study)
    assert sorted(found) == list(range(TRIALS))
    assert {trial.state.name for trial in found.values()} == {"COMPLETE"}
    store = Store(tmp_path / "results")
    assert store.sync().left == 0
    assert trials_of(store) == Counter(f"trial {number}" for number in range(TRIALS))
    print(f"one of {WORKERS} workers killed after {at_the_kill} of {TRIALS} trials")


def test_a_database_that_goes_away_costs_a_sweep_no_trial(postgres, shell, tmp_path):
    url = postgres.database("away")
    words = ["sweep", "ale", "--set", "lr=1", "--set", "epochs=20", "--trials", 12,
             "--name", "away", "--storage", url, "--results", tmp_path,
             "--top", 0, "--no-test", "--json"]  # fmt: skip
    left = shell(*words)
    wait_for(url, "away", trials=2)
    postgres.go_away()
    _, said = left.communicate(timeout=PATIENCE)
    postgres.go_on()
    assert left.returncode == 2
    assert f"zslbench: --storage {url}: " in said
    assert "run the same command to resume" in said
    assert "Traceback" not in said
    report = printed(shell(*words))
    assert report["states"] == {"complete": 12, "pruned": 0, "failed": 0}


def wait_for(url, name, trials):
    """Return a study when so many of its trials have ended."""
    place = optuna.storages.RDBStorage(url.replace("://", "+psycopg://"))
    began = time.monotonic()
    while time.monotonic() - began < PATIENCE:
        if name in optuna.get_all_study_names(place):
            study = optuna.load_study(study_name=name, storage=place)
            if len(ended(study)) >= trials:
                return study
        time.sleep(0.2)
    raise TimeoutError(f"no {trials} trials in {PATIENCE} s")


def test_two_shells_share_one_sweep_and_one_leaderboard(postgres, shell, tmp_path):
    backend, url = postgres.database("mlflow"), postgres.database("shared")
    with running(MlflowServer(tmp_path, backend)) as server:
        folders = tmp_path / "here", tmp_path / "there"
        words = ["sweep", "ale", "--set", "lr=1", "--set", "epochs=20", "--trials", 10,
                 "--storage", url, "--top", 1, "--json"]  # fmt: skip
        shells = [shell(*words, "--results", folder, uri=server.uri) for folder in folders]
        one, other = (printed(process) for process in shells)
        assert one["best"] == other["best"]
        assert one["states"]["complete"] == 10
        assert one["winner"]["test"] == other["winner"]["test"]
        words = ["leaderboard", "--methods", "eszsl,ale", "--seeds", "0,1,2", "--json"]
        shells = [shell(*words, "--results", folder, uri=server.uri) for folder in folders]
        tables = [[{k: v for k, v in row.items() if k not in CHANGES_BY_NATURE}
                   for row in printed(process)["rows"]] for process in shells]  # fmt: skip
        assert tables[0] == tables[1]
        assert [row["seeds"] for row in tables[0]] == [[0, 1, 2], [0, 1, 2]]
        stores = [Store(folder, server.uri) for folder in folders]
        assert all(store.sync().left == 0 for store in stores)
        assert trials_of(stores[0]) == Counter(f"trial {number}" for number in range(10))
        known = [{run.record.key for run in store.runs()} for store in stores]
        assert known[0] == known[1]
        assert len(known[0]) == 7  # the winner's test, and two methods with three seeds
