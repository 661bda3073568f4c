"""A results folder of an earlier version: taken over by the first command, once, and said."""

import json
import os
import shutil
import sqlite3

import pytest
from fakes import commit_run, softmax_job, use_softmax

from zslbench.errors import ZslbenchError
from zslbench.records import Opening, Sweep
from zslbench.store import Store


@pytest.fixture
def old(tmp_path, monkeypatch):
    """A folder as an earlier version left it: some records uploaded, the others in its outbox."""
    use_softmax(monkeypatch)
    made = Store(tmp_path / "made")
    record = commit_run(made, softmax_job())
    results = tmp_path / "old"
    shutil.copytree(made.folders.folder, results / "outbox")
    shutil.copy(made.results / "ledger.jsonl", results)
    file = results / "outbox" / f"run-{record.key}" / "record.json"
    file.write_text(record.model_dump_json(indent=1))  # with its whole choice
    (results / "artifacts" / "toy" / "0a1b").mkdir(parents=True)
    file.parent.rename(results / "artifacts" / "toy" / "0a1b" / "artifacts")
    opening = Opening(run_key="r", method="softmax", dataset="toy", test_digest="d")
    uploaded = results / "artifacts" / "ledger" / "2c3d" / "artifacts"
    uploaded.mkdir(parents=True)
    (uploaded / "record.json").write_text(opening.model_dump_json())
    half = results / "outbox" / ".draft-0-1-here"
    half.mkdir()
    (half / "record.json").write_text('{"key"')
    with sqlite3.connect(results / "mlflow.db") as database:
        database.execute("CREATE TABLE runs (x)")
    (results / "finished.txt").write_text(record.key + "\n")
    (results / "checkpoints" / "k").mkdir(parents=True)
    return results, record


def test_all_records_are_taken_over_once_and_it_is_said(old, capsys):
    results, record = old
    store = Store(results)
    said = capsys.readouterr().err
    assert "2 records are now in" in said
    assert "mlflow.db.before" in said
    (run,) = store.runs()
    assert run.record == record
    assert (run.folder / "summaries.npy").is_file()
    assert store.get("choice", record.choice.key) == record.choice
    assert store.ledger() == {("softmax", record.test_digest): 1, ("softmax", "d"): 1}
    assert sorted(path.name for path in results.iterdir()) == [
        "index.jsonl", "ledger.jsonl", "locks", "mlflow.db.before", "runs"
    ]  # fmt: skip
    assert Store(results).runs() == store.runs()
    assert capsys.readouterr().err == ""


def test_a_takeover_that_was_killed_is_completed(old, monkeypatch):
    results, record = old
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", lambda *_, **__: (_ for _ in ()).throw(SystemExit))
        with pytest.raises(SystemExit):
            Store(results)
    store = Store(results)
    assert [run.record for run in store.runs()] == [record]
    assert store.ledger().total() == 2


def test_what_is_no_record_is_kept(old):
    results, _ = old
    (results / "artifacts" / "mine.txt").write_text("mine")
    broken = results / "outbox" / "run-broken"
    broken.mkdir()
    (broken / "record.json").write_text("{")
    Store(results)
    assert (results / "artifacts.before" / "mine.txt").read_text() == "mine"
    assert (results / "outbox.before" / "run-broken" / "record.json").is_file()


def test_one_that_cannot_be_written_to_is_named(old, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(ZslbenchError, match="written by an earlier version and cannot be written"):
        Store(old[0])


def test_a_folder_of_the_users_own_is_left_alone(tmp_path):
    """Without an outbox, what is called artifacts is not ours."""
    (tmp_path / "artifacts").mkdir()
    Store(tmp_path).commit(Sweep(key="k", name="s", method="m", dataset="d", about={}))
    assert (tmp_path / "artifacts").is_dir()
    assert json.loads((tmp_path / "runs" / "sweep-k" / "record.json").read_text())["key"] == "k"
