"""Speed by ratios: a slower machine is no regression, slower code is."""

import json
import os
import subprocess
import sys

import pytest
from scripts import BENCHMARKS, load_script

FOLDER = BENCHMARKS / "speed"


@pytest.fixture(scope="module")
def comparing():
    return load_script("speed/compare.py")


def saved(step, reference):
    bench = {"fullname": "step", "stats": {"min": step}}
    return {"benchmarks": [{**bench, "extra_info": {"reference seconds": reference}}]}


@pytest.mark.parametrize(
    ("now", "slower"),
    [
        (saved(0.10, 0.01), False),
        (saved(0.30, 0.03), False),  # a machine three times slower
        (saved(0.05, 0.01), False),
        (saved(0.16, 0.01), True),
        (saved(0.12, 0.007), True),  # faster machine, slower code
    ],
)
def test_slower_is_by_the_reference(comparing, now, slower):
    ((_, _, _, found),) = comparing.compare(saved(0.10, 0.01), now)
    assert found is slower


def test_what_is_saved_has_its_reference(comparing, tmp_path):
    """A real benchmark, saved and held against itself and against a slower self."""
    (tmp_path / "conftest.py").write_text((FOLDER / "conftest.py").read_text())
    test = tmp_path / "test_one.py"
    test.write_text("def test_one(benchmark):\n    benchmark(sum, [1] * 999)\n")
    words = ["-q", "-p", "no:cacheprovider", "--rootdir", tmp_path, test]
    words = [sys.executable, "-m", "pytest", *words, f"--benchmark-json={tmp_path}/now.json"]
    alone = {name: value for name, value in os.environ.items() if "XDIST" not in name}
    subprocess.run(words, check=True, cwd=tmp_path, capture_output=True, env=alone)
    now = tmp_path / "now.json"
    assert comparing.main([now, now]) == 0
    before = json.loads(now.read_text())
    before["benchmarks"][0]["stats"]["min"] /= 2
    (tmp_path / "before.json").write_text(json.dumps(before))
    assert comparing.main([now, tmp_path / "before.json"]) == 1
    (tmp_path / "other.json").write_text(json.dumps({"benchmarks": []}))
    assert comparing.main([now, tmp_path / "other.json"]) == 2
