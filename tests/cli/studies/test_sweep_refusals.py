"""`zslbench sweep` refuses what cannot work: at once, with the fix, and nothing written."""

import sys

import pytest
from datasets import write_tiny

from zslbench.studies.sweep.storage import _storage

ABSENT = "postgresql://nobody:secret@127.0.0.1:1/sweeps"
REFUSED = {
    "range above its bounds": (
        ("--space", "margin=0.1:1e9"),
        "space margin=0.1:1e9: margin may be",
        "Choose a range within these bounds.",
    ),
    "logarithm of nothing": (
        ("--space", "lr=0:1:log"),
        "more than 0 on a logarithmic scale",
        "Choose a range within these bounds.",
    ),
    "range upside down": (("--space", "lr=1:0.1"), "space lr=1:0.1", "the lower one first"),
    "choice out of bounds": (("--space", "margin=0.1|-1"), "margin=-1", "greater than"),
    "unknown setting": (("--space", "margni=1:2"), "'margni'", "Did you mean 'margin'"),
    "setting twice": (("--set", "lr=1", "--space", "lr=1:2"), "lr", "leave out one of the two"),
    "unknown sampler": (("--sampler", "rnadom"), "no sampler", "Did you mean 'random'"),
    "sampler of another package": (
        ("--sampler", "cmaes"),
        "no sampler",
        "grid, random, sobol, tpe",
    ),
    "unknown pruner": (("--pruner", "meidan"), "no pruner", "Did you mean 'median'"),
    "pruner without equal epochs": (
        ("--pruner", "median", "--space", "epochs=5|10"),
        "pruner median",
        "leave one of the two out",
    ),
    "name of no study": (("--name", "a/b"), "name a/b", "letters, digits"),
    "storage that does not answer": (
        ("--storage", ABSENT),
        "--storage postgresql://nobody:***@127.0.0.1:1/sweeps",
        "Name a database that can be reached from here",
    ),
    "storage of no kind": (("--storage", "nosuch://x"), "--storage nosuch://x", "Name a database"),
    "storage in no folder": (
        ("--storage", "sqlite:////nowhere/at/all.db"),
        "unable to open database file",
        "Name a database",
    ),
    "no URL": (("--storage", "sweeps.db"), "--storage sweeps.db", "Name a database"),
}


@pytest.fixture
def sweep(zslbench, tiny_root, tmp_path):
    """Return a function that sweeps ALE in a results folder: status, standard error."""

    def call(*words, root=tiny_root):
        fixed = ("sweep", "ale", "--dataset", "tiny", "--data-root", root)
        results = ("--results", tmp_path / "results")
        status, out, err = zslbench(*fixed, *results, *words)
        assert out == "" or status == 0
        return status, " ".join(err.split())

    call.results = tmp_path / "results"
    return call


@pytest.mark.parametrize(("words", "what", "fix"), REFUSED.values(), ids=REFUSED)
def test_sweep_that_cannot_work_is_refused(sweep, words, what, fix):
    status, err = sweep(*words)
    assert status == 2
    assert what in err
    assert fix in err
    assert "secret" not in err
    assert not sweep.results.exists()


def test_database_whose_driver_is_missing_names_the_extra(sweep, monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    status, err = sweep("--storage", ABSENT)
    assert status == 2
    assert "pip install 'zslbench[postgres]'" in err
    assert not sweep.results.exists()


def written(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_study_of_another_search_is_refused_and_stays_as_it_is(sweep, tmp_path):
    plain = ("--name", "mine", "--trials", "1", "--top", "0", "--no-test")
    once = (*plain, "--set", "epochs=2")
    assert sweep(*once, "--space", "lr=0.1:1")[0] == 0
    before = written(sweep.results)
    write_tiny(tmp_path / "other" / "tiny", seed=1)
    same = ("--space", "lr=0.1:1")
    others = {
        "space (lr: 0.1 to 1 there, 0.1 to 2 here).": ((*once, "--space", "lr=0.1:2"), {}),
        "space (lr: 0.1 to 1 there, none here; margin: none there, 0.5 | 1.0 here).": (
            (*once, "--space", "margin=0.5|1"),
            {},
        ),
        "data digest (": ((*once, *same), {"root": tmp_path / "other"}),
        "sampler (tpe there, random here).": ((*once, *same, "--sampler", "random"), {}),
        "config (epochs: 2 there, 3 here) and another seed (0 there, 1 here).": (
            (*plain, *same, "--set", "epochs=3", "--seed", "1"),
            {},
        ),
    }
    for said, (words, more) in others.items():
        status, err = sweep(*words, **more)
        assert status == 2
        assert f"The sweep mine exists with another {said}" in err
        assert "{" not in err
        assert "start another one with --name" in err
        assert written(sweep.results) == before


BROKEN = (
    b"once upon a time\nthere was a study\n",
    b"\xff\xfe\x00\n\x80\n",
    b'[1, 2]\n{"a": 1}\n',
)


def test_journal_that_is_broken_is_told_with_its_line(sweep):
    once = ("--name", "mine", "--set", "epochs=2", "--trials", "1", "--top", "0", "--no-test")
    assert sweep(*once)[0] == 0
    journal = sweep.results / "sweeps" / "mine.journal"
    whole = journal.read_bytes()
    line = whole.count(b"\n") + 1
    for content in BROKEN:
        journal.write_bytes(whole + content)
        _storage.cache_clear()  # as a process that starts afresh
        status, err = sweep(*once)
        assert status == 2
        assert f"mine.journal: line {line} is not what Optuna wrote there" in err
        assert f"Remove the lines from {line} on" in err
    journal.write_bytes(whole)
    assert sweep(*once)[0] == 0


def test_journal_that_cannot_be_opened_is_told(sweep):
    (sweep.results / "sweeps" / "mine.journal").mkdir(parents=True)
    status, err = sweep("--name", "mine")
    assert status == 2
    assert "mine.journal: cannot be used" in err
