"""What the harness itself costs: a run beyond imports, fitting and scoring; the first keystroke."""

import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest
from datasets import write_tiny

from zslbench.data.load import DataRequest
from zslbench.engines.execute import execute
from zslbench.store import Store
from zslbench.studies.plan import plan

ZSLBENCH = Path(sys.executable).with_name("zslbench")


@pytest.fixture
def jobs(tmp_path):
    """Runs of ESZSL that differ by their seed alone."""
    write_tiny(tmp_path / "data" / "tiny")
    request = DataRequest("tiny", tmp_path / "data")
    return plan(["eszsl"], [request], settings={}, seeds=range(12), worlds=3)


def test_harness_time_of_a_run_is_at_most_a_third_of_a_second(benchmark, jobs, tmp_path):
    """Looking up, the choice, the ledger, the commit and the push to MLflow of one run."""
    execute(jobs[:2], Store(tmp_path / "results"))  # imports, a new database, the choice
    left = iter(jobs[2:])
    benchmark.pedantic(
        execute, setup=lambda: (([next(left)], Store(tmp_path / "results")), {}), rounds=10
    )
    costs = [run.record.cost for run in Store(tmp_path / "results").runs()]
    fitting = statistics.median(cost.fit_seconds + cost.score_seconds for cost in costs)
    harness = benchmark.stats.stats.min - fitting
    benchmark.extra_info["harness seconds"] = round(harness, 3)
    print(f"\nharness time of a run: {harness:.2f} s (fitting and scoring: {fitting:.3f} s)")
    assert harness <= 0.3


def test_help_is_there_in_half_a_second():
    times = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run([ZSLBENCH, "--help"], capture_output=True, check=True)
        times.append(time.perf_counter() - start)
    print(f"\nzslbench --help: {statistics.median(times):.2f} s")
    assert statistics.median(times) < 0.5
