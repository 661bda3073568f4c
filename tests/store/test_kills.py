"""Killed at random moments, of choices, of runs and of pushes: nothing lost, nothing twice.

Processes are forked, with all imports done, so that hundreds of kills take minutes. Kills of the
real command line are in `tests/engines/test_kills.py`.
"""

import os
import random
import signal
import time
import traceback
from collections import Counter

import pytest
from fakes import kept, softmax_job, use_softmax, with_database

from zslbench.engines.execute import execute
from zslbench.method.conformance import toy_dataset
from zslbench.store import Store

KILLS = [pytest.param(20, marks=pytest.mark.slow), pytest.param(200, marks=pytest.mark.long)]
RUNS = 3


def study(results):
    """Do two configs with a few seeds each, and push all of it."""
    dataset = toy_dataset()
    jobs = [softmax_job(dataset, seed, rate=rate) for rate in (1.0, 2.0) for seed in range(RUNS)]
    report = execute(jobs, Store(results))
    assert report.failures == [], report.failures[0].traceback


def check(results, expected):
    """Check that folders and MLflow hold everything once, and nothing half-made."""
    store = Store(results)
    assert kept(store) == expected
    assert store.waiting() == []
    assert not list(store.folders.folder.glob(".*"))
    assert not list(results.glob("checkpoints/*"))
    names = [*store.folders.names(), *(f"opening-{line['key']}" for line in store._ledger.lines())]
    experiments = [e.experiment_id for e in store.client.search_experiments()]
    shown = store.client.search_runs(
        experiments, "attributes.status = 'FINISHED'", max_results=1000
    )
    tags = [run.data.tags for run in shown]
    found = Counter(f"{t['zslbench.kind']}-{t['zslbench.key']}" for t in tags)
    assert found == Counter(names)
    opened = store.ledger().total()
    assert opened >= 2 * RUNS
    assert len({run.record.opening for run in store.runs()}) == 2 * RUNS


def forked(function, *words, seconds=None):
    """Call a function in a child; return whether it came to its end before it was killed."""
    child = os.fork()
    if not child:
        status = 1
        try:
            function(*words)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    began = time.monotonic()
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            break
        if seconds is not None and time.monotonic() - began > seconds:
            os.kill(child, signal.SIGKILL)
            seconds = None
        time.sleep(0.001)
    killed = os.WIFSIGNALED(status)
    assert killed or os.waitstatus_to_exitcode(status) == 0
    return not killed


@pytest.mark.parametrize("kills", KILLS)
def test_killed_at_random_moments_nothing_is_lost_and_nothing_is_there_twice(
    kills, tmp_path, monkeypatch
):
    use_softmax(monkeypatch)
    with_database(tmp_path / "first")  # and MLflow is imported
    expected = kept_of_undisturbed(tmp_path / "undisturbed")
    began = time.monotonic()
    forked(study, tmp_path / "first")
    lifetime = time.monotonic() - began
    draw, done, studies = random.Random(0), 0, 0
    while done < kills:
        results = with_database(tmp_path / str(studies)).results
        studies += 1
        for _ in range(4):
            done += not forked(study, results, seconds=draw.uniform(0, 0.6 * lifetime))
        assert forked(study, results)
        assert forked(check, results, expected)
    print(f"{done} kills in {studies} studies, each {lifetime:.2f} s long")


def kept_of_undisturbed(results):
    """Return the records of a study that nothing disturbs; this process opens no database."""
    with_database(results)
    forked(study, results)
    return kept(Store(results))
