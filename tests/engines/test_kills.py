"""Whatever is killed, and whenever: the same numbers, no run lost, none shown twice.

Everything here drives the real command line. Processes are killed with SIGKILL at seeded random
moments of their measured lifetime, from their first write on: before it, nothing is at stake.
"""

import json
import os
import random
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from servers import PATIENCE, MlflowServer, running

from zslbench.store import Store

ZSLBENCH = Path(sys.executable).with_name("zslbench")
SEEDS = (0, 1, 2, 3)
KILLS = [pytest.param(4, marks=pytest.mark.slow), pytest.param(20, marks=pytest.mark.long)]
CHANGES_BY_NATURE = ("seconds", "commits", "openings")


class Study:
    """`zslbench leaderboard` in a results folder of its own, as often as it takes."""

    def __init__(self, data_root, results, uri=None):
        self.results = results
        self.started = []
        self.options = ["--data-root", str(data_root), "--results", str(results)]
        self.environment = {k: v for k, v in os.environ.items() if k != "MLFLOW_TRACKING_URI"}
        if uri:
            self.environment["MLFLOW_TRACKING_URI"] = uri

    def start(self):
        seeds = ",".join(map(str, SEEDS))
        words = ["leaderboard", "--dataset", "tiny", "--methods", "eszsl", "--seeds", seeds]
        process = subprocess.Popen(
            [ZSLBENCH, *words, *self.options, "--json"], env=self.environment,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.started.append(process)
        return process

    def stop(self):
        for process in self.started:
            process.kill()
            process.communicate()

    def end(self, process, patience=PATIENCE):
        """Return the rows a process prints, None where it had to be killed."""
        try:
            out, err = process.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            return None
        assert process.returncode == 0, err
        return numbers(out)

    def check(self):
        """Check that the store holds every run once, and nothing half-written."""
        store = Store(self.results, self.environment.get("MLFLOW_TRACKING_URI"))
        assert store.sync().error is None
        assert store.waiting() == []
        assert not list(store.folders.folder.glob(".*"))
        assert list(self.results.glob(".database*")) == []
        records = [run.record for run in store.runs()]
        assert sorted(record.spec.seed for record in records) == list(SEEDS)
        assert len({record.opening for record in records}) == len(SEEDS)
        assert store.ledger().total() >= len(SEEDS)


def numbers(text):
    """Return the rows of a leaderboard without what may differ from one study to the next."""
    rows = json.loads(text)["rows"]
    return [{k: v for k, v in row.items() if k not in CHANGES_BY_NATURE} for row in rows]


@dataclass
class Reference:
    """A study that nothing disturbs: its rows, and when things happen, in seconds.

    Attributes:
        first_write: From a start to its first write.
        lifetime: From a start to its end.
        reuse: The same for a start that finds everything done.
    """

    rows: list
    first_write: float
    lifetime: float
    reuse: float


@pytest.fixture(scope="module")
def undisturbed(tiny_root, tmp_path_factory):
    study = Study(tiny_root, tmp_path_factory.mktemp("undisturbed") / "results")
    times = [time.monotonic()]
    process = study.start()
    while not study.results.exists() and process.poll() is None:
        time.sleep(0.01)
    times.append(time.monotonic())
    rows = study.end(process)
    times.append(time.monotonic())
    assert study.end(study.start()) == rows
    times.append(time.monotonic())
    study.check()
    return Reference(rows, times[1] - times[0], times[2] - times[0], times[3] - times[2])


@pytest.fixture
def new_study(tiny_root, tmp_path):
    """Return a function that makes a study in a folder; none of its processes outlive the test."""
    with ExitStack() as stack:

        def new(name, uri=None):
            study = Study(tiny_root, tmp_path / str(name), uri)
            stack.callback(study.stop)
            return study

        yield new


@pytest.mark.parametrize("at_least", KILLS)
def test_study_killed_at_random_moments_ends_with_the_same_numbers(
    undisturbed, new_study, at_least
):
    draw = random.Random(0)
    kills = studies = 0
    while kills < at_least:
        study = new_study(studies)
        studies += 1
        for latest in (undisturbed.lifetime, *[undisturbed.reuse] * 3):
            moment = draw.uniform(undisturbed.first_write, latest)
            kills += study.end(study.start(), moment) is None
        assert study.end(study.start()) == undisturbed.rows
        study.check()


@pytest.mark.slow
def test_four_processes_fill_one_leaderboard(undisturbed, new_study):
    study = new_study("shared")
    workers = [study.start() for _ in range(4)]
    assert [study.end(worker) for worker in workers] == [undisturbed.rows] * 4
    assert numbers((study.results / "leaderboard.json").read_text()) == undisturbed.rows
    study.check()


@pytest.mark.slow
@pytest.mark.parametrize("is_back_in_time", [True, False])
def test_study_survives_a_server_that_goes_away_and_comes_back(
    undisturbed, new_study, tmp_path, is_back_in_time
):
    draw = random.Random(is_back_in_time)
    with running(MlflowServer(tmp_path)) as server:
        study = new_study("served", server.uri)
        process = study.start()
        time.sleep(draw.uniform(undisturbed.first_write, undisturbed.lifetime))
        server.stop()
        if not is_back_in_time:
            assert study.end(process) is not None
        server.start()
        if is_back_in_time:
            assert study.end(process) is not None
        assert study.end(study.start()) == undisturbed.rows
        study.check()


@pytest.mark.slow
def test_sweep_killed_at_random_moments_ends_with_the_same_trials(tiny_root, tmp_path):
    words = ["sweep", "ale", "--dataset", "tiny", "--data-root", tiny_root, "--set", "epochs=60",
             "--space", "lr=0.1:10:log", "--space", "margin=0.1:2", "--trials", 13, "--top", 0,
             "--no-test", "--pruner", "hyperband", "--name", "one", "--json"]  # fmt: skip

    def start(results):
        command = [ZSLBENCH, *map(str, words), "--results", results]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def written(results):
        journal = results / "sweeps" / "one.journal"
        return journal.stat().st_size if journal.exists() else 0

    whole, _ = start(tmp_path / "whole").communicate(timeout=PATIENCE)
    draw = random.Random(0)
    for share in sorted(draw.uniform(0, 0.9) for _ in range(3)):
        with start(tmp_path / "broken") as process:
            while written(tmp_path / "broken") < share * written(tmp_path / "whole"):
                assert process.poll() is None
                time.sleep(0.01)
            process.kill()
    broken, said = start(tmp_path / "broken").communicate(timeout=PATIENCE)
    assert json.loads(broken) == json.loads(whole), said
    assert json.loads(whole)["states"]["pruned"] > 0
