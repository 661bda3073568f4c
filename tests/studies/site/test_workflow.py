"""The workflow of a public leaderboard: its own steps, run as GitHub runs them."""

import json
import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest
import yaml
from fakes import commit_run

from zslbench.data.load import DataRequest
from zslbench.store import Store
from zslbench.studies.archive import pack, unpack
from zslbench.studies.bundles.contents import write_bundle
from zslbench.studies.plan import plan
from zslbench.studies.site.folder import make_site

BIN = Path(sys.executable).parent
WORKFLOW = ".github/workflows/leaderboard.yml"
ON_PULL_REQUEST = "github.event_name == 'pull_request'"


def steps(folder):
    return yaml.safe_load((folder / WORKFLOW).read_text())["jobs"]["build"]["steps"]


def test_nothing_but_installing_data_verifying_and_building_is_run(tmp_path):
    make_site(tmp_path / "site")
    found = steps(tmp_path / "site")
    assert [step["name"] for step in found if "run" in step] == [
        "Install", "Fetch data", "Verify what a pull request brings", "Build the page",
    ]  # fmt: skip
    used = {step["uses"].partition("@")[0] for step in found if "uses" in step}
    assert used == {f"actions/{n}" for n in ("checkout", "setup-python", "cache",
                                             "upload-pages-artifact")}  # fmt: skip
    text = files("zslbench.studies.site").joinpath("files/leaderboard.yml").read_text()
    assert "pull_request_target" not in text and "secrets" not in text


@pytest.fixture(scope="module")
def lab(tiny_root, tmp_path_factory):
    """A folder with a bundle of Lab A, `a.tar.xz`."""
    folder = tmp_path_factory.mktemp("lab")
    (job,) = plan(["eszsl"], [DataRequest("tiny", tiny_root)], settings={}, seeds=None, worlds=2)
    store = Store(folder / "results", uri="")
    commit_run(store, job)
    write_bundle(folder / "a.tar.xz", store, [], "Lab A")
    return folder


class Repository:
    """A leaderboard in git, on a machine that has the data, with what its workflow prints."""

    def __init__(self, folder, data):
        make_site(folder)
        self.folder = folder
        (folder / "data").symlink_to(data)
        (folder / ".gitignore").write_text("/page/\n/data\n")
        self.git("init", "-q")
        self.git("checkout", "-q", "-b", "main")
        self.commit("Begin")

    def git(self, *words):
        names = ("-c", "user.name=x", "-c", "user.email=x")
        subprocess.run(["git", *names, *words], cwd=self.folder, check=True, capture_output=True)

    def commit(self, message):
        self.git("add", "-A")
        self.git("commit", "-qm", message)

    def propose(self, bundle):
        """Make the commit that a pull request is checked at: main merged with what it brings."""
        self.git("checkout", "-q", "-b", "proposal")
        (self.folder / "bundles" / "new.tar.xz").write_bytes(bundle)
        self.commit("Add runs")
        self.git("checkout", "-q", "main")
        self.git("merge", "-q", "--no-ff", "-m", "Merge", "proposal")

    def run(self, event, ref):
        """Run the steps; return the name of the one that failed, and all that was printed."""
        printed = ""
        env = {
            **os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "GITHUB_REF": ref,
            "DATASETS": "", "RUNNER_TEMP": str(self.folder.parent),
        }  # fmt: skip
        for step in steps(self.folder):
            if "run" not in step or (step.get("if") == ON_PULL_REQUEST and event != "pull_request"):
                continue
            script = "zslbench --help" if step["name"] == "Install" else step["run"]
            done = subprocess.run(
                ["bash", "-e", "-c", script], check=False, cwd=self.folder, env=env,
                capture_output=True, text=True,
            )  # fmt: skip
            printed += done.stdout + done.stderr
            if done.returncode:
                return step["name"], printed
        return None, printed

    @property
    def page(self):
        return (self.folder / "page" / "index.html").read_text()


@pytest.fixture
def repository(tmp_path, tiny_root):
    return Repository(tmp_path / "site", tiny_root)


@pytest.mark.slow
def test_a_good_bundle_is_verified_and_is_on_the_page(repository, lab):
    repository.propose((lab / "a.tar.xz").read_bytes())
    failed, printed = repository.run("pull_request", "refs/pull/1/merge")
    assert failed is None, printed
    assert "1 verified: every number recomputed" in printed
    assert "<b>Lab A</b>" in repository.page
    assert '<span class="mark verified">verified</span>' in repository.page


@pytest.mark.slow
def test_a_contradicted_bundle_fails_its_check_and_never_reaches_the_page(repository, lab):
    members = unpack(lab / "a.tar.xz")
    name = next(name for name in members if "/run-" in name and name.endswith("record.json"))
    record = json.loads(members[name])
    record["rules"]["validation"]["scores"]["h"] += 1
    pack(lab / "bad.tar.xz", {**members, name: json.dumps(record).encode()})
    repository.propose((lab / "bad.tar.xz").read_bytes())
    failed, printed = repository.run("pull_request", "refs/pull/1/merge")
    assert failed == "Verify what a pull request brings"
    assert "validation.scores.h: " in printed
    failed, printed = repository.run("push", "refs/heads/main")  # merged all the same
    assert failed is None, printed
    assert "::warning::Bundles were left out of the page" in printed
    assert "new.tar.xz" in repository.page and "runs are contradicted" in repository.page
    assert "Lab A" not in repository.page and "<tr data-row" not in repository.page


@pytest.mark.slow
def test_what_is_no_bundle_fails_its_check(repository):
    repository.propose(b"#!/bin/sh\n")
    failed, printed = repository.run("pull_request", "refs/pull/1/merge")
    assert failed == "Verify what a pull request brings"
    assert "is no archive of runs" in printed
