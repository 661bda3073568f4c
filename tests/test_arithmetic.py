"""`ZSLBENCH_PRECISION`: other arithmetic makes another run, of nearly the same numbers."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from zslbench.store import Store

ZSLBENCH = Path(sys.executable).with_name("zslbench")
BIRDS = "plumage:classes=9,unseen=3,images_per_class=5"
RUN = ["run", "vit_attr_head", "--dataset", BIRDS, "--set", "epochs=1", "--worlds", "1"]


@pytest.fixture
def run_in(tmp_path):
    """Return a function that runs a network in some arithmetic; all runs go to one store."""

    def run(precision):
        return subprocess.run(
            [ZSLBENCH, *RUN, "--seeds", "0", "--results", str(tmp_path / "results")],
            env=os.environ | {"ZSLBENCH_PRECISION": precision, "CUDA_VISIBLE_DEVICES": ""},
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    return run


@pytest.mark.slow
def test_each_arithmetic_is_a_run_of_its_own_with_nearly_the_same_losses(run_in, tmp_path):
    for precision in ("", "bfloat16"):
        done = run_in(precision)
        assert done.returncode == 0, done.stderr
    runs = {run.record.spec.precision: run.record for run in Store(tmp_path / "results").runs()}
    assert runs.keys() == {"float32", "bfloat16"}
    plain, short = (runs[name].losses["total"] for name in ("float32", "bfloat16"))
    assert short != plain
    assert short == pytest.approx(plain, rel=0.02)


def test_unknown_arithmetic_is_refused_with_nothing_written(run_in, tmp_path):
    done = run_in("bf16")
    assert done.returncode == 2
    assert "no precision 'bf16' (ZSLBENCH_PRECISION). Did you mean 'bfloat16'?" in done.stderr
    assert not (tmp_path / "results").exists()
