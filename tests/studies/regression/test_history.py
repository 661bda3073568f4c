"""Ten commits with one planted step: `regress`, its trend and git bisect all name it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from datasets import write_tiny
from faults import FAULTS, ROOT

from zslbench.studies.regression.sides import SideError, ask, install

ZSLBENCH = Path(sys.executable).with_name("zslbench")
COMMITS, PLANTED = 10, 6
FAULT = next(fault for fault in FAULTS if fault.name.startswith("unseen attributes"))
SUITE = 'title = "tiny"\ndatasets = ["tiny"]\nrows = [{ method = "eszsl" }]\n'
GIT = ["git", "-c", "user.name=nobody", "-c", "user.email=nobody@example.org"]


def git(folder, *words):
    done = subprocess.run([*GIT, *words], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def new_checkout(folder):
    """A checkout of this project as it is, without what git ignores."""
    listed = ["ls-files", "--cached", "--others", "--exclude-standard", "zslbench", "methods",
              "results", "benchmarks/suites", "pyproject.toml", "README.md",
              "LICENSE"]  # fmt: skip
    for name in git(ROOT, *listed).splitlines():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    git(folder, "init", "--quiet", "--initial-branch=main")
    return folder


def commit(folder, words):
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", words)
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    """A checkout with ten commits, their hashes, its data, and a suite of one quick method."""
    top = tmp_path_factory.mktemp("history")
    folder = new_checkout(top / "checkout")
    hashes = []
    for number in range(COMMITS):
        notes = folder / "zslbench" / "seeding.py"
        notes.write_text(notes.read_text() + f"\n# {number}\n")
        if number == PLANTED:
            FAULT.apply(folder)
        hashes.append(commit(folder, f"commit {number}"))
    write_tiny(top / "data" / "tiny", classes=24, unseen=6, per_class=20)
    (top / "tiny.toml").write_text(SUITE)
    return folder, hashes, top


def regress(history, *words):
    folder, _, top = history
    more = ["--suite", top / "tiny.toml", "--data-root", top / "data", "--results", top / "results"]
    done = subprocess.run(
        [ZSLBENCH, "regress", *words, *more],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


@pytest.mark.long
def test_bisect_and_trend_name_the_commit_that_began_the_step(history):
    folder, hashes, top = history
    git(folder, "bisect", "start", hashes[-1], hashes[0])
    more = f"--suite {top}/tiny.toml --data-root {top}/data --results {top}/results --seeds 5"
    recipe = f"{ZSLBENCH} regress --against {hashes[0]} --bisect {more}"
    git(folder, "bisect", "run", *recipe.split())
    assert git(folder, "rev-parse", "refs/bisect/bad") == hashes[PLANTED]
    git(folder, "bisect", "reset")

    for name in hashes:  # whoever merges measures; here all ten are
        git(folder, "checkout", "--quiet", name)
        status, _, _ = regress(history, "--against", hashes[0], "--seeds", "5")
        assert status == (hashes.index(name) >= PLANTED)
    status, out, err = regress(history, "--trend", "--json")
    assert status == 0, err
    series = json.loads(out)["series"]
    found = {s["metric"]: [step["commit"] for step in s["steps"]] for s in series}
    assert found["h"] == [hashes[PLANTED]]
    assert all(steps in ([], [hashes[PLANTED]]) for steps in found.values())
    assert (top / "results" / "trend.png").stat().st_size > 10_000


@pytest.mark.long
def test_exit_statuses(history):
    folder, hashes, _ = history
    git(folder, "checkout", "--quiet", hashes[0])
    assert regress(history, "--against", hashes[1], "--seeds", "3")[0] == 0
    status, _, err = regress(history, "--against", "no-such-ref")
    assert (status, "no-such-ref" in err) == (2, True)
    assert regress(history, "--against", "no-such-ref", "--bisect")[0] == 128
    (folder / "zslbench" / "metrics.py").write_text("raise ImportError('half done')\n")
    assert regress(history, "--against", hashes[0], "--bisect")[0] == 125
    git(folder, "checkout", "--quiet", "--", ".")


@pytest.mark.long
def test_the_exact_tier_asks_the_checkout_and_not_the_code_in_use(history):
    folder, hashes, top = history
    for name, status in (hashes[PLANTED - 1], 0), (hashes[PLANTED], 1):
        git(folder, "checkout", "--quiet", name)
        words = [ZSLBENCH, "regress", "--exact", "--bisect", "--results", top / "results"]
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == status, done.stdout + done.stderr


@pytest.mark.long
def test_a_side_is_what_was_installed_and_says_so(history, tmp_path):
    folder, hashes, _ = history
    good, bad = (install(folder, name, tmp_path) for name in (hashes[0], hashes[-1]))
    assert good.code != bad.code
    assert (good.folder / "zslbench" / "metrics.py").is_file()
    assert install(folder, hashes[0], tmp_path).folder == good.folder
    shutil.rmtree(good.folder / "zslbench.methods")  # the one in use answers in its place
    with pytest.raises(SideError, match="PYTHONPATH"):
        next(ask(good.folder, {"exact": True, "methods": []}))


def threads(count):
    names = "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"
    return dict.fromkeys(names, str(count)) | {"OMP_WAIT_POLICY": "passive"}


MACHINES = {
    "two threads": threads(2),
    "three threads": threads(3),
    "four threads": threads(4),
    "AVX2": threads(1) | {"ATEN_CPU_CAPABILITY": "avx2"},
    "no vector arithmetic": threads(1) | {"ATEN_CPU_CAPABILITY": "default"},
}


@pytest.mark.long
@pytest.mark.parametrize("machine", MACHINES)
def test_the_project_does_not_fail_against_itself_on_another_machine(machine, baselines, tmp_path):
    """By the command as it is: its suite, its ten seeds, its own numbers from one thread."""
    words = ["--against", baselines / "regression.toml", "--results", tmp_path, "--json"]
    done = subprocess.run(
        [ZSLBENCH, "regress", *words],
        cwd=ROOT, env=os.environ | MACHINES[machine], capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode in (0, 3), done.stderr
    found = json.loads(done.stdout)
    moved = {f"{cell['method'].split()[0]} {cell['metric']}": round(cell["test"]["drop"], 3)
             for cell in found["cells"] if cell["test"]["drop"]}  # fmt: skip
    print(f"\n{machine}: {found['verdict']} at {len(found['seeds'])} seeds; mean drops {moved}")
    assert len(found["seeds"]) == 10
