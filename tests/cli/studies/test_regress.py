"""`zslbench regress` and `zslbench baseline`: what they refuse, and what they print."""

import copy
import json
import subprocess

import numpy as np
import pytest

from zslbench.cli.studies.regress import HERE
from zslbench.errors import ZslbenchError
from zslbench.records import Measurement
from zslbench.store.payload import payload
from zslbench.studies.regression import sides
from zslbench.studies.regression.entries import load_entries
from zslbench.studies.regression.sides import SideError
from zslbench.studies.regression.trend import trend
from zslbench.studies.regression.trend_results import write_trend


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "--against REF, --exact"),
        (["--exact", "--power"], "--against REF, --exact"),
        (["--against", "no-such-ref"], "no-such-ref"),
        (["--against", ""], "git rev-parse"),
        (["--against", "none.toml"], "is no baseline"),
        (["--against", "main", "--suite", "svip_tabel1"], "svip_table1"),
        (["--power", "--suite", "/p/mine.toml"], "results/baselines/mine.toml: is no baseline"),
        (["--trend"], "no two commits"),
        (["--power", "--project", "/"], "git"),
    ],
)
def test_bad_input_is_refused_in_one_paragraph(zslbench, tmp_path, words, said):
    status, out, err = zslbench("regress", *words, "--results", tmp_path)
    assert (status, out) == (2, "")
    assert said in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("end", "status", "to_bisect"),
    [
        (0, 0, 0),  # PASS: good
        (1, 1, 1),  # FAIL: bad
        (3, 3, 125),  # INCONCLUSIVE: skip
        (SideError("this commit does not run"), 2, 125),
        (ZslbenchError("no such ref"), 2, 128),  # the search ends
        (ZeroDivisionError("a fault of zslbench itself"), 125, 125),
    ],
)
def test_exit_statuses_and_what_git_bisect_reads(
    zslbench, monkeypatch, tmp_path, end, status, to_bisect
):
    def against(*_, **__):
        if isinstance(end, Exception):
            raise end
        return end

    monkeypatch.setattr("zslbench.cli.studies.regress._against", against)
    words = "--against", "HEAD", "--results", tmp_path
    for more, expected in ((), status), (("--bisect",), to_bisect):
        found, _, err = zslbench("regress", *words, *more)
        assert found == expected
        assert isinstance(end, int) or str(end) in err


def test_bisect_is_told_to_end_on_bad_input(zslbench, tmp_path):
    words = "--against", "no-such-ref", "--bisect", "--results", tmp_path
    assert zslbench("regress", *words)[0] == 128
    assert zslbench("regress", "--agianst", "HEAD", "--bisect")[0] == 128
    assert zslbench("regress", "--agianst", "HEAD")[0] == 2


def test_the_code_of_a_checkout_is_asked_and_not_the_code_in_use(monkeypatch, tmp_path):
    there = sides.Side("there", "0" * 40, False, tmp_path / "installed")
    monkeypatch.setattr(sides, "install", lambda *_: there)
    assert sides.code_of(sides.find_project(HERE), tmp_path) is None
    assert sides.code_of(tmp_path, tmp_path) == there.folder


def test_power_says_how_many_seeds_tell_what(zslbench):
    status, out, _ = zslbench("regress", "--power", "--json")
    rows = json.loads(out)["rows"]
    assert status == 0
    for row in rows:
        assert row["PASS"] + row["FAIL"] + row["INCONCLUSIVE"] == pytest.approx(1)
    for same in ("PASS", 0.0), ("FAIL", max(row["drop"] for row in rows)):
        rates = [row[same[0]] for row in rows if row["drop"] == same[1]]
        assert np.diff(rates[:5]).min() > -0.01
    assert "10 seeds" in zslbench("regress", "--power")[1]


def test_power_says_which_drop_each_cell_can_see(zslbench):
    few, many = (
        json.loads(zslbench("regress", "--power", "--json", "--seeds", seeds)[1])["cells"]
        for seeds in (5, 40)
    )
    assert len(few) == len(many) == 15
    for one, other in zip(few, many, strict=True):
        assert one["passes_to"] <= one["fails_from"] + 0.01
        if one["spread"]:
            assert other["fails_from"] < one["fails_from"]
            assert other["seeds_for_aim"] >= 10


def test_a_baseline_wants_a_reason(zslbench):
    status, _, err = zslbench("baseline", "update", "regression", "--reason", " ")
    assert (status, "say why" in err) == (2, True)


@pytest.fixture
def measured(monkeypatch, tmp_path):
    """A checkout without stored numbers, and what its code answers; a test may change it."""
    project = tmp_path / "checkout"
    (project / "zslbench").mkdir(parents=True)
    (project / "zslbench" / "__init__.py").touch()
    git = ["git", "-C", project, "-c", "user.name=nobody", "-c", "user.email=no@example.org"]
    subprocess.run(["git", "init", "-q", project], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "first"], check=True)
    found = {"version": 1, "closed_form": False, "values": {"loss": [1 / 3]}}
    answer = {
        "protocol_version": 1, "fingerprint": {"torch": "2"},
        "methods": {"mine": found}, "incremental": {"spa": copy.deepcopy(found)},
    }  # fmt: skip
    monkeypatch.setattr(sides, "code_of", lambda *_: None)
    monkeypatch.setattr(sides, "ask", lambda *_: iter([answer]))
    return project, answer


def test_exact_numbers_are_added_and_never_changed(zslbench, measured, tmp_path):
    project, answer = measured
    add = ("baseline", "add", "--project", project, "--results", tmp_path / "results")
    exact = ("regress", "--exact", "--project", project, "--results", tmp_path / "results")
    status, out, _ = zslbench(*exact)
    assert (status, "run `zslbench baseline add mine`" in out) == (3, True)

    assert zslbench(*add)[0] == 0
    paths = [
        project / f"results/baselines/exact/{name}.toml" for name in ("mine", "incremental/spa")
    ]
    before = [path.read_text() for path in paths]
    assert zslbench(*exact)[0] == 0
    status, _, err = zslbench(*add)
    assert (status, "mine: these numbers are stored already" in err) == (0, True)

    answer["methods"]["mine"]["values"]["loss"] = [0.5]
    assert zslbench(*exact)[0] == 1
    status, _, err = zslbench(*add, "--reason", "it is better")
    assert (status, "Raise `version`" in err) == (2, True)
    assert [path.read_text() for path in paths] == before

    answer["methods"]["mine"]["version"] = 2
    status, _, err = zslbench(*add)
    assert (status, "--reason" in err) == (2, True)
    assert zslbench(*add, "--reason", "it is better")[0] == 0
    assert zslbench(*exact)[0] == 0
    answer["fingerprint"] = {"torch": "3"}
    assert zslbench(*exact)[0] == 3
    assert zslbench(*add)[0] == 0
    assert zslbench(*exact)[0] == 0
    found = [[(e.version, e.reason) for e in entries] for entries in load_entries(project).values()]
    assert found == [
        [(1, "First numbers"), (1, "Another torch, BLAS or processor")],
        [(1, "First numbers"), (2, "it is better"), (2, "Another torch, BLAS or processor")],
    ]


def test_a_name_without_numbers_is_refused(zslbench):
    status, _, err = zslbench("baseline", "add", "svpi")
    assert (status, len(err.splitlines())) == (2, 1)
    assert "no method of this project 'svpi'. Did you mean 'svip'?" in err


@pytest.fixture
def three_commits(tmp_path):
    """A checkout's history, and what ESZSL measured of it: worse from the last commit on."""
    git = ["git", "-C", tmp_path, "-c", "user.name=nobody", "-c", "user.email=no@example.org"]
    subprocess.run([*git, "init", "-q"], check=True)
    for number in range(3):
        words = ["commit", "-q", "--allow-empty", "-m", str(number)]
        subprocess.run([*git, *words], check=True)
    listed = subprocess.run(
        [*git, "rev-list", "--reverse", "HEAD"], capture_output=True, text=True, check=True
    )
    return tmp_path, listed.stdout.split()


def test_trend_draws_and_names_the_step(three_commits, tmp_path):
    project, hashes = three_commits
    found = [
        fake(commit, seed, 10.0 + seed if number == 2 else 0.0)
        for number, commit in enumerate(hashes)
        for seed in range(4)
    ]
    dirty = fake("f" * 40, 0, 50.0)
    shown = trend(project, [*found, dirty])
    (h,) = [series for series in shown.series if series.metric == "h"]
    assert h.commits == tuple(hashes)
    assert [step.commit for step in h.steps] == [hashes[2]]
    assert h.steps[0].size == pytest.approx(-11.5)
    assert [path.suffix for path in write_trend(shown, tmp_path)] == [".png", ".pdf"]
    assert "3 commits, 4 seeds" in shown.document().parts[-1]


def fake(commit, seed, drop):
    scores = {"t1": 60.0, "u": 50.0, "s": 55.0, "h": 52.0 + 3 * seed - drop, "ausuc": 0.3}
    return Measurement(
        key=f"{commit}{seed}", method="eszsl", method_version=1, dataset="tiny", settings={},
        choice_key="c", data_digest="d", protocol_version=1, measure_version=1, seed=seed, repeat=0,
        scores=scores, epoch=1, gamma=0.5, code="x", environment_digest="e", seconds=1.0,
        environment={"commit": commit, "dirty": "no"},
    )  # fmt: skip


def test_a_measurement_carries_its_commit_in_mlflow():
    shown = payload(fake("a" * 40, 3, 0.0))
    assert shown.tags["mlflow.source.git.commit"] == "a" * 40
    assert ("H", 61.0, 0) in shown.metrics
