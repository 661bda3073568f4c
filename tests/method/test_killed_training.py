"""Training killed at random moments goes on to the same bits, by the real command line."""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from zslbench.store import Store
from zslbench.store.artifacts import read_summaries

KILLS = [pytest.param(4, marks=pytest.mark.slow), pytest.param(10, marks=pytest.mark.long)]
COMMAND = [
    Path(sys.executable).with_name("zslbench"), "run", "svip",
    "--dataset", "plumage:classes=16,unseen=4,images_per_class=15", "--worlds", "1",
    "--seeds", "0", "--set", "epochs=6", "--set", "M=30", "--json",
]  # fmt: skip
CHANGES_BY_NATURE = ("seconds", "commits", "openings")


def start(results):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment.pop("MLFLOW_TRACKING_URI", None)
    return subprocess.Popen(
        [*COMMAND, "--results", results], env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def wait_for_training(process, results):
    """Wait until a fit has written its first checkpoint of this process, or has ended."""
    began = time.time()
    while process.poll() is None:
        if any(path.stat().st_mtime >= began for path in results.glob("checkpoints/*/*/epoch-*")):
            return
        time.sleep(0.02)


def outcome(process, results):
    """Return the printed row, the score summaries and the losses of a finished run."""
    out, err = process.communicate()
    assert process.returncode == 0, err
    (row,) = json.loads(out)["rows"]
    (run,) = Store(results).runs()
    kept = {k: v for k, v in row.items() if k not in CHANGES_BY_NATURE}
    return kept, read_summaries(run.folder), run.record.losses


def assert_same_bits(found, expected):
    assert found[0] == expected[0]
    assert found[2] == expected[2]
    assert found[1].keys() == expected[1].keys()
    for epoch, summary in expected[1].items():
        for name in summary.ARRAYS:
            np.testing.assert_array_equal(getattr(found[1][epoch], name), getattr(summary, name))


@pytest.mark.parametrize("at_least", KILLS)
def test_training_killed_at_random_moments_ends_with_the_same_bits(tmp_path, at_least):
    process = start(tmp_path / "undisturbed")
    wait_for_training(process, tmp_path / "undisturbed")
    began = time.monotonic()
    expected = outcome(process, tmp_path / "undisturbed")
    training = time.monotonic() - began
    assert not list((tmp_path / "undisturbed").glob("checkpoints/*/*"))
    draw, kills, studies = random.Random(0), 0, 0
    while kills < at_least:
        results = tmp_path / str(studies)
        studies += 1
        for _ in range(4):
            process = start(results)
            wait_for_training(process, results)
            time.sleep(draw.uniform(0, training / 4))
            kills += process.poll() is None
            process.kill()
            process.communicate()
        assert_same_bits(outcome(start(results), results), expected)
    print(f"{kills} kills in {studies} studies")
