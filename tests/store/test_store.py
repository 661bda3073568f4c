"""The store: what MLflow shows of a record, and what readers get back, whatever went wrong."""

import gc
import json
import shutil
import socket
import sqlite3
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
from fakes import commit_run, softmax_job, use_softmax
from mlflow import MlflowClient
from typer.testing import CliRunner

from zslbench.cli import app
from zslbench.engines.execute import execute
from zslbench.errors import DataError
from zslbench.method.conformance import toy_dataset
from zslbench.records import Choice, Failure, Opening
from zslbench.store import Store
from zslbench.store.artifacts import write_test
from zslbench.store.mirror import Mirror

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def no_pause_between_retries(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_JITTER", "0")


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "results")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """One run's choice, opening and record; not pushed. Copied by tests."""
    store = Store(tmp_path_factory.mktemp("finished"))
    with pytest.MonkeyPatch.context() as patch:
        use_softmax(patch)
        return commit_run(store, softmax_job(rate=2.0)), store.results


@pytest.fixture
def record(store, finished):
    """The finished run, in this test's store; it waits for MLflow."""
    shutil.copytree(finished[1], store.results, dirs_exist_ok=True)
    return finished[0]


@pytest.fixture
def uploaded(store, record):
    """The finished run as MLflow has it."""
    assert store.sync().error is None
    return the_run(store, "run")


def shown(store, kind):
    """Return all that MLflow shows of one kind of record, whatever its status."""
    client = store.client
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return list(client.search_runs(experiments, f"tags.`zslbench.kind` = '{kind}'"))


def the_run(store, kind):
    (run,) = shown(store, kind)
    return run


# -- what MLflow shows ---------------------------------------------------------------------------


def test_run_shows_its_parameters(uploaded, record):
    params = uploaded.data.params
    assert params["method"] == "softmax"
    assert params["seed"] == "0"
    assert params["config.passes"] == "4"
    assert params["backbone.name"] == "features:toy"
    assert params["data_digest"] == record.spec.data_digest


def test_run_shows_final_metrics_of_every_rule(uploaded, record):
    metrics = uploaded.data.metrics
    for rule, result in record.rules.items():
        for name, value in result.scores.model_dump().items():
            assert metrics[f"{rule}/{name.upper()}"] == pytest.approx(value)
        assert metrics[f"{rule}/gamma"] == pytest.approx(result.gamma)
    assert metrics["gamma_zero/H"] == pytest.approx(record.plain.h)
    assert metrics["oracle/H"] == pytest.approx(record.oracle_h)
    assert metrics["cost/fit_seconds"] == pytest.approx(record.cost.fit_seconds)


def test_run_shows_curves_by_epoch(store, uploaded, record):
    def history(name):
        found = store.client.get_metric_history(uploaded.info.run_id, name)
        return [(point.step, point.value) for point in sorted(found, key=lambda p: p.step)]

    candidates = record.choice.candidates
    assert history("tuning/AUSUC") == [(row.epoch, pytest.approx(row.ausuc)) for row in candidates]
    assert history("tuning/T1") == [(row.epoch, pytest.approx(row.t1)) for row in candidates]
    losses = record.losses["cross-entropy (mean)"]
    assert history("loss/cross-entropy _mean_") == list(enumerate(map(pytest.approx, losses), 1))
    assert len(losses) == 4


def test_run_shows_the_dataset_it_ran_on(uploaded, record):
    (used,) = uploaded.inputs.dataset_inputs
    assert used.dataset.name == "toy"
    assert used.dataset.digest == record.spec.data_digest[:36]


def test_run_shows_commit_and_environment(uploaded, record):
    tags = uploaded.data.tags
    assert tags["mlflow.source.git.commit"] == record.environment["commit"]
    assert tags["zslbench.env.numpy"] == record.environment["numpy"]
    assert tags["zslbench.key"] == record.key


def test_run_keeps_its_files(store, uploaded, record):
    artifacts = {file.path for file in store.client.list_artifacts(uploaded.info.run_id)}
    assert artifacts == {
        "record.json", "summaries.npy", "test.npz", "predictions.csv"
    }  # fmt: skip
    path = Path(store.client.download_artifacts(uploaded.info.run_id, "record.json"))
    assert json.loads(path.read_bytes())["key"] == record.key
    assert uploaded.info.artifact_uri == store.runs()[0].folder.as_uri()


def test_run_is_finished_and_stays_in_its_folder(store, uploaded, record):
    assert uploaded.info.status == "FINISHED"
    assert store.waiting() == []
    assert store.folders.path("run", record.key).is_dir()


def test_opening_is_shown_with_what_was_opened(store, uploaded, record):
    tags = the_run(store, "opening").data.tags
    assert tags["zslbench.key"] == record.opening
    assert tags["zslbench.test_digest"] == record.test_digest


def test_choice_shows_what_was_chosen(store, uploaded, record):
    choice = the_run(store, "choice")
    assert choice.data.metrics["gamma"] == pytest.approx(record.choice.gamma)
    assert choice.data.params["config.rate"] == "2.0"
    assert choice.data.tags["zslbench.key"] == record.spec.choice_key


def test_failure_is_a_failed_run_with_its_error(store, record):
    failure = Failure(key="f", spec=record.spec, error="ValueError: odd", traceback="Traceback")
    store.commit(failure)
    store.sync()
    run = the_run(store, "failure")
    assert run.info.status == "FAILED"
    assert run.data.tags["zslbench.error"] == "ValueError: odd"
    assert run.data.tags["zslbench.run_key"] == record.key
    assert store.get("failure", "f") == failure


# -- what readers get ----------------------------------------------------------------------------


def test_record_is_the_same_before_and_after_it_is_pushed(store, record):
    for _ in range(2):
        (stored,) = store.runs()
        assert stored.record == record
        assert store.get("run", record.key) == record
        assert store.get("choice", record.spec.choice_key) == record.choice
        assert (stored.folder / "summaries.npy").is_file()
        store.sync()


def test_has_knows_finished_records_and_no_others(store, record):
    assert store.has("run", record.key)
    assert not store.has("choice", record.key)
    assert not store.has("run", record.spec.choice_key)
    assert store.missing("run", [record.key, "other"]) == {"other"}


def test_a_run_names_its_choice_by_key_and_readers_get_it_whole(store, record):
    file = store.folders.path("run", record.key) / "record.json"
    assert json.loads(file.read_bytes())["choice"] == record.choice.key
    assert "candidates" not in file.read_text()
    assert store.runs()[0].record.choice == record.choice


def test_a_run_committed_without_its_choice_brings_it_along(store, record):
    shutil.rmtree(store.folders.path("choice", record.choice.key))
    store.commit(record.model_copy(update={"key": "another"}))
    assert store.read(Choice, record.choice.key) == record.choice


def test_a_record_that_holds_its_whole_choice_is_read(store, record):
    """As earlier versions wrote them."""
    file = store.folders.path("run", record.key) / "record.json"
    file.write_text(record.model_dump_json(indent=1))
    shutil.rmtree(store.folders.path("choice", record.choice.key))
    assert Store(store.results).runs()[0].record == record


def test_a_run_whose_choice_was_removed_is_named(store, record):
    shutil.rmtree(store.folders.path("choice", record.choice.key))
    with pytest.raises(DataError, match=f"choice-{record.choice.key}"):
        Store(store.results).runs()


def test_runs_are_read_by_key_alone(store, record):
    (store.folders.folder / "run-broken").mkdir()
    assert [run.record.key for run in store.runs([record.key, "unknown"])] == [record.key]
    with pytest.raises(DataError, match="run-broken"):
        store.runs()


def test_second_push_makes_no_second_run(store, uploaded):
    for again in (store, Store(store.results)):
        assert again.sync().uploaded == 0
    assert [len(shown(store, kind)) for kind in ("run", "choice", "opening")] == [1, 1, 1]


@pytest.mark.parametrize("step", ["log_batch", "set_terminated"])
def test_push_that_was_killed_is_done_again(store, record, monkeypatch, step):
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, step, lambda *_: (_ for _ in ()).throw(SystemExit))
        with pytest.raises(SystemExit):
            store.sync()
    assert Store(store.results).sync().left == 0
    for kind in ("run", "choice", "opening"):
        assert [run.info.status for run in shown(store, kind)] == ["FINISHED"]


def test_push_that_was_killed_at_its_very_end_is_not_done_again(store, record, monkeypatch):
    def note(self, name, run_id, *, done, real=Mirror._note):
        if done:
            raise SystemExit
        real(self, name, run_id, done=done)

    with monkeypatch.context() as patch:
        patch.setattr(Mirror, "_note", note)
        with pytest.raises(SystemExit):
            store.sync()
    (before,) = (run.info.run_id for run in shown(store, "choice"))
    assert Store(store.results).sync().left == 0
    assert [run.info.run_id for run in shown(store, "choice")] == [before]


def test_ledger_counts_each_opening_once(store, record):
    run = ("softmax", record.test_digest)
    assert store.ledger()[run] == 1
    store.sync()
    assert store.ledger()[run] == 1
    store.commit(Opening(run_key="r", method="softmax", dataset="toy", test_digest=run[1]))
    assert store.ledger() == {run: 2}
    assert Store(store.results, NOWHERE).ledger()[run] == 2


def test_to_open_a_test_set_is_to_open_those_that_share_its_photos(store, record):
    files = ["a/1.jpg", "a/2.jpg", "b/3.jpg", "c/4.jpg"]
    one = np.zeros(1, np.int64)
    for digest, items in {"first": [0, 1], "second": [1, 2], "third": [3]}.items():
        run = record.model_copy(update={"key": digest, "test_digest": digest})
        tested = {"items": items, "classes": one, "labels": one, "seen": 1, "names": ["a"]}
        store.commit(run, partial(write_test, **tested, files=files))
        store.commit(Opening(run_key=digest, method="softmax", dataset="toy", test_digest=digest))
    store.commit(Opening(run_key="r", method="other", dataset="toy", test_digest="first"))
    assert store.ledger() == {
        ("softmax", record.test_digest): 1, ("softmax", "first"): 2, ("softmax", "second"): 2,
        ("softmax", "third"): 1, ("other", "first"): 1, ("other", "second"): 1,
    }  # fmt: skip
    assert store.sharing({"first", "third"}) == {"second": "second"}
    assert store.sharing({"first", "second"}) == {}


def test_a_new_database_is_filled_from_the_folders(store, uploaded, tmp_path):
    shutil.copytree(store.results, tmp_path / "again", ignore=shutil.ignore_patterns("mlflow.db"))
    again = Store(tmp_path / "again")
    assert len(again.waiting()) == 3
    assert again.sync().left == 0
    assert [len(shown(again, kind)) for kind in ("run", "choice", "opening")] == [1, 1, 1]


# -- a folder that was moved or copied -----------------------------------------------------------


@pytest.mark.parametrize("how", [shutil.copytree, shutil.move])
def test_mlflow_finds_the_files_of_a_folder_that_was_copied_or_moved(
    store, uploaded, record, tmp_path, how
):
    how(store.results, tmp_path / "else where")
    there = Store(tmp_path / "else where")
    assert there.client.get_run(uploaded.info.run_id).info.artifact_uri == (
        there.runs()[0].folder.as_uri()
    )
    if how is shutil.move:  # nothing is left where it was
        path = Path(there.client.download_artifacts(uploaded.info.run_id, "record.json"))
        assert json.loads(path.read_bytes())["key"] == record.key
    there.commit(record.model_copy(update={"key": "new"}))
    there.sync()
    assert {Path(run.info.artifact_uri).parent for run in shown(there, "run")} == {
        Path(there.folders.folder.as_uri())
    }


def test_a_copy_never_writes_into_the_original(store, uploaded, tmp_path, record):
    shutil.copytree(store.results, tmp_path / "copy")
    before = {path: path.stat().st_mtime_ns for path in store.results.rglob("*")}
    copy = Store(tmp_path / "copy")
    copy.commit(record.model_copy(update={"key": "new"}))
    copy.sync()
    run = next(run for run in shown(copy, "run") if run.data.tags["zslbench.key"] == "new")
    copy.client.log_text(run.info.run_id, "mine", "note.txt")
    assert (copy.folders.path("run", "new") / "note.txt").is_file()
    assert {path: path.stat().st_mtime_ns for path in store.results.rglob("*")} == before


# -- when MLflow cannot be reached ---------------------------------------------------------------


@pytest.fixture
def refusals(monkeypatch):
    """An MLflow that answers every request with 503: the list of what was asked of it."""
    asked = []

    class Refuse(BaseHTTPRequestHandler):
        def do_POST(self):
            asked.append(self.path)
            self.send_error(503)

        do_GET = do_POST

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Refuse)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.server_port}")
    yield asked
    server.shutdown()
    server.server_close()


def test_refusing_server_is_left_alone_after_two_attempts(refusals, tmp_path, monkeypatch):
    use_softmax(monkeypatch)
    store = Store(tmp_path)
    dataset = toy_dataset()
    report = execute([softmax_job(dataset, seed) for seed in range(3)], store)
    assert (report.done, report.failures) == (3, [])
    assert len(store.runs()) == 3
    assert 2 <= len(refusals) <= 2 * 2  # one at the start, one at the end, a retry each


@pytest.fixture
def unreachable(monkeypatch):
    with socket.socket() as taken:  # bound, not listening: nobody else gets the port meanwhile
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{taken.getsockname()[1]}")
        yield


def test_unreachable_server_costs_a_later_push_and_nothing_else(
    unreachable, tiny_root, store, monkeypatch
):
    words = ["--results", str(store.results)]
    run = ["run", "eszsl", "--dataset", "tiny", "--data-root", str(tiny_root), *words]
    away = CliRunner().invoke(app, run)
    assert away.exit_code == 0
    assert "could not be reached" in away.stderr
    assert "3 records wait" in away.stderr
    again = CliRunner().invoke(app, ["leaderboard", *words])
    assert again.exit_code == 0
    assert "could not be reached" in again.stderr
    assert "eszsl" in again.stdout
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert CliRunner().invoke(app, ["leaderboard", *words]).exit_code == 0
    assert Store(store.results).waiting() == []
    again = CliRunner().invoke(app, run)
    assert "0 run, 1 reused, 0 failed" in again.stderr
    assert again.stdout == away.stdout


def test_database_half_made_by_a_killed_process_is_made_again(tmp_path, monkeypatch, make_database):
    monkeypatch.setattr(Mirror, "_make_database", make_database)
    with monkeypatch.context() as patch:
        patch.setattr("mlflow.store.db.utils._upgrade_db", lambda engine: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            _ = Store(tmp_path).client
    assert not (tmp_path / "mlflow.db").exists()
    _ = Store(tmp_path).client
    assert sorted(path.name for path in tmp_path.iterdir()) == ["locks", "mlflow.db"]


def test_corrupt_record_does_not_keep_others_from_being_pushed(store, record):
    (store.folders.path("run", record.key) / "record.json").write_text("{}")
    report = store.sync()
    assert (report.left, report.error) == (1, None)
    assert len(shown(store, "choice")) == 1
    assert shown(store, "run") == []


# -- what can never work -------------------------------------------------------------------------


def write_garbage(path):
    path.write_bytes(b"this is no database")


def write_foreign(path):
    path.unlink()
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE of_another_program (x)")


DAMAGES = [(write_garbage, "is no database, or damaged"), (write_foreign, "but not MLflow's")]


@pytest.mark.parametrize(("damage", "said"), DAMAGES, ids=["garbage", "foreign"])
def test_a_damaged_mirror_hides_no_run_and_stops_all_work(
    store, uploaded, tiny_root, zslbench, damage, said
):
    damage(store.mirror.database)
    where = ("--results", store.results)
    status, out, err = zslbench("leaderboard", *where)
    assert status == 0
    assert "softmax" in out
    assert said in err
    for words in (("ui",), ("run", "eszsl", "--dataset", "tiny", "--data-root", tiny_root)):
        status, out, err = zslbench(*words, *where)
        assert (status, out) == (2, "")
        assert said in err
        assert "Move it away" in err
    status, out, _ = zslbench("doctor", *where)
    assert status == 1
    assert said in out


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("http://", "names no host"),
        ("http://here:port", "no address"),
        ("http://[half", "no address"),
        ("htp://here:5000", "knows no htp://"),
        ("here:5000", "knows no here://"),
    ],
)
def test_an_address_that_can_never_work_stops_all_work_and_hides_no_run(
    store, record, tiny_root, zslbench, monkeypatch, uri, said
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    where = ("--results", store.results)
    status, out, err = zslbench(
        "run", "eszsl", "--dataset", "tiny", "--data-root", tiny_root, *where
    )
    assert (status, out) == (2, "")
    assert said in err
    status, out, err = zslbench("leaderboard", *where)
    assert status == 0
    assert "softmax" in out
    assert said in err


def test_outage_and_emptiness_are_told_apart(tmp_path, zslbench, unreachable, monkeypatch):
    status, _, err = zslbench("leaderboard", "--results", tmp_path)
    assert status == 2
    assert "could not be reached" in err
    assert "Start one" not in err
    for words in (("calibrate", "abc"), ("explain", "abc")):
        status, _, err = zslbench(*words, "--results", tmp_path)
        assert status == 2
        assert "could not be reached" in err
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    status, _, err = zslbench("leaderboard", "--results", tmp_path)
    assert status == 2
    assert "Start one" in err


@pytest.mark.parametrize("before", [True, False])
def test_reading_leaves_the_garbage_collector_as_it_was(before, tmp_path):
    store = Store(tmp_path / "results")
    (gc.enable if before else gc.disable)()
    try:
        assert (store.runs(), store.ledger().total()) == ([], 0)
        assert gc.isenabled() == before
    finally:
        gc.enable()
