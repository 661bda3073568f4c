"""Results folders in all sorts of places: the real commands, wherever the folder lies."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from fakes import with_database
from servers import MlflowPage, running

from zslbench.store import Store

ZSLBENCH = Path(sys.executable).with_name("zslbench")
NAMES = {
    "blanks": "my own results",
    "umlauts": "Ergebnisse für Vögel",
    "percent": "my%20results%2F",
    "question mark": "why?",
    "sharp": "run#1",
    "newline": "two\nlines",
    "all of an address": "a?mode=ro&b#c%41;d=é",
}


@pytest.fixture
def run(zslbench, tiny_root):
    """Return a function that runs a method into a results folder."""

    def run(method, results):
        data = ("--dataset", "tiny", "--data-root", tiny_root)
        status, _, err = zslbench("run", method, *data, "--worlds", "1", "--results", results)
        assert status == 0, err
        return err

    return run


def shown(zslbench, results):
    """Return the methods that the leaderboard of a folder shows, and what it warns of."""
    status, out, err = zslbench("leaderboard", "--results", results, "--json")
    assert status == 0, err
    written = f"written: {results}/leaderboard.{{md,json,html,csv,tex}}\n"
    return {row["method"] for row in json.loads(out)["rows"]}, err.removesuffix(written)


def mirrored(results):
    """Return the folders in which MLflow finds the files of runs."""
    store = Store(results)
    assert store.waiting() == []
    experiments = [e.experiment_id for e in store.client.search_experiments()]
    found = store.client.search_runs(experiments, "tags.`zslbench.kind` = 'run'")
    return sorted(run.info.artifact_uri for run in found)


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_a_folder_works_whatever_its_name(name, run, zslbench, tmp_path):
    results = with_database(tmp_path / name).results
    run("eszsl", results)
    assert shown(zslbench, results) == ({"eszsl"}, "")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert mirrored(results) == sorted(stored.folder.as_uri() for stored in Store(results).runs())


@pytest.mark.parametrize("how", ["renamed", "copied", "on another disk"])
def test_a_folder_that_goes_elsewhere_between_two_commands_goes_on(how, run, zslbench, tmp_path):
    results = with_database(tmp_path / "A").results
    run("eszsl", results)
    disk = Path("/dev/shm") if how == "on another disk" else tmp_path
    place = Path(tempfile.mkdtemp(dir=disk)) / "B #2"
    try:
        shutil.copytree(results, place)
        if how != "copied":
            shutil.rmtree(results)
        before = sorted(results.rglob("*"))
        assert "0 run, 1 reused" in run("eszsl", place)
        run("sae", place)
        assert sorted(results.rglob("*")) == before
        shutil.rmtree(results, ignore_errors=True)
        assert shown(zslbench, place) == ({"eszsl", "sae"}, "")
        assert mirrored(place) == sorted(run.folder.as_uri() for run in Store(place).runs())
        assert zslbench("doctor", "--results", place)[1].count("ATTENTION") == 0
    finally:
        shutil.rmtree(place.parent)


@pytest.mark.slow
@pytest.mark.parametrize("how", [shutil.copytree, shutil.move], ids=["copied", "moved"])
def test_the_page_of_a_folder_that_went_elsewhere_has_the_files_of_its_runs(how, run, tmp_path):
    results, place = with_database(tmp_path / "A").results, tmp_path / "B #2, 20%"
    run("eszsl", results)
    how(results, place)
    shutil.rmtree(results, ignore_errors=True)
    (stored,) = Store(place).runs()
    with running(MlflowPage(place)) as page:
        for file in stored.folder.iterdir():
            asked = urlencode({"path": file.name, "run_uuid": stored.run_id})
            with urlopen(f"{page.uri}/get-artifact?{asked}") as answer:
                assert answer.read() == file.read_bytes()


def test_a_folder_that_may_be_read_and_not_written_to_shows_its_leaderboard(run):
    place = Path(tempfile.mkdtemp(prefix="zslbench-"))
    place.chmod(0o755)
    other = ["setpriv", "--reuid=12345", "--regid=12345", "--clear-groups"]
    other = other if os.geteuid() == 0 else []
    try:
        results = with_database(place / "results").results
        run("eszsl", results)
        for path in (results, *results.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        before = {path: path.stat().st_mtime_ns for path in (results, *results.rglob("*"))}
        process = subprocess.run(
            [*other, ZSLBENCH, "leaderboard", "--results", results, "--json"],
            capture_output=True, text=True, check=False, cwd=place,
            env={**os.environ, "HOME": str(place), "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        if process.returncode in (126, 127):
            pytest.skip("another user cannot start this Python")
        assert process.returncode == 0, process.stderr
        assert [row["method"] for row in json.loads(process.stdout)["rows"]] == ["eszsl"]
        assert "cannot be written to: the table is only printed" in process.stderr
        assert {path: path.stat().st_mtime_ns for path in before} == before
    finally:
        for path in (place, *place.rglob("*")):
            path.chmod(0o755)
        shutil.rmtree(place)
