"""The store: what MLflow shows of a record, and what readers get back, whatever went wrong."""

import gc
import json
import shutil
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from fakes import commit_run, softmax_job, use_softmax
from mlflow import MlflowClient
from typer.testing import CliRunner

from zslbench.cli import app
from zslbench.engines.execute import execute
from zslbench.method.conformance import toy_dataset
from zslbench.records import Failure, Opening, RunRecord
from zslbench.store import Store
from zslbench.store.tracking import Tracking

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
    """One run's choice, opening and record, in an outbox; not uploaded. Copied by tests."""
    store = Store(tmp_path_factory.mktemp("finished"))
    with pytest.MonkeyPatch.context() as patch:
        use_softmax(patch)
        return commit_run(store, softmax_job(rate=2.0)), store.outbox


@pytest.fixture
def record(store, finished):
    """The finished run, waiting in this test's outbox."""
    shutil.copytree(finished[1].folder, store.outbox.folder)
    return finished[0]


@pytest.fixture
def uploaded(store, record):
    """The finished run as MLflow has it."""
    assert store.sync().error is None
    return the_run(store, "run")


def shown(store, kind):
    """Return all that MLflow shows of one kind of record, whatever its status."""
    client = MlflowClient(store.uri)
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return list(client.search_runs(experiments, f"tags.`zslbench.kind` = '{kind}'"))


def the_run(store, kind):
    (run,) = shown(store, kind)
    return run


def upload_another(store, run, *, status=None, ended=0, **changes):
    """Upload a record of the same key, as a machine would that had looked before `run` was there.

    Args:
        status: None leaves it RUNNING.
        ended: Milliseconds after `run` ended.
        changes: What its record says instead.
    """
    folder = store.results / "another-machine"
    shutil.copytree(Store(store.results).runs()[0].folder, folder)
    content = json.loads((folder / "record.json").read_text()) | changes
    (folder / "record.json").write_text(json.dumps(content))
    client = MlflowClient(store.uri)
    run_id = client.create_run(run.info.experiment_id, tags=run.data.tags).info.run_id
    client.log_artifacts(run_id, str(folder))
    if status:
        client.set_terminated(run_id, status, run.info.end_time + ended)


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
    assert RunRecord.model_validate_json(path.read_bytes()) == record


def test_run_is_finished_and_gone_from_the_outbox(store, uploaded):
    assert uploaded.info.status == "FINISHED"
    assert list(store.outbox.folder.iterdir()) == []


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


def test_record_is_the_same_before_and_after_upload(store, record):
    for _ in range(2):
        (stored,) = store.runs()
        assert stored.record == record
        assert store.get("run", record.key) == record
        assert store.get("choice", record.spec.choice_key) == record.choice
        assert (stored.folder / "summaries.npy").is_file()
        store.sync()


def test_has_knows_waiting_and_uploaded_records_and_no_others(store, record):
    assert store.has("run", record.key)
    store.sync()
    assert store.has("run", record.key)
    assert not store.has("choice", record.key)
    assert not store.has("run", record.spec.choice_key)


def test_second_sync_of_a_key_makes_no_second_run(store, uploaded, finished):
    shutil.copytree(finished[1].folder, store.outbox.folder, dirs_exist_ok=True)
    assert (store.sync().uploaded, store.sync().left) == (3, 0)
    assert [len(shown(store, kind)) for kind in ("run", "choice", "opening")] == [1, 1, 1]
    assert list(store.outbox) == []


@pytest.mark.parametrize(("ended", "kept"), [(1000, "first"), (-1000, "second")])
def test_earliest_finished_of_a_key_is_kept(store, uploaded, record, ended, kept):
    upload_another(store, uploaded, status="FINISHED", ended=ended, oracle_h=99.0)
    expected = {"first": record.oracle_h, "second": 99.0}[kept]
    (stored,) = store.runs()
    assert stored.record.oracle_h == expected
    assert store.get("run", record.key).oracle_h == expected


def test_runs_that_never_ended_are_ignored(store, uploaded, record):
    upload_another(store, uploaded, oracle_h=99.0)
    store.client.set_tag(uploaded.info.run_id, "zslbench.key", "another")
    assert not store.has("run", record.key)
    assert store.get("run", record.key) is None
    assert [run.run_id for run in store.runs()] == [uploaded.info.run_id]


def test_upload_that_was_killed_is_done_again(store, record, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "set_terminated", lambda *_: (_ for _ in ()).throw(SystemExit))
        with pytest.raises(SystemExit):
            store.sync()
    assert Store(store.results).sync().left == 0
    assert [run.record for run in store.runs()] == [record]
    assert sorted(r.info.status for r in shown(store, "choice")) == ["FINISHED", "RUNNING"]


def test_ledger_counts_each_opening_once(store, record, finished):
    run = ("softmax", record.test_digest)
    assert store.ledger()[run] == 1
    store.sync()
    assert store.ledger()[run] == 1
    shutil.copytree(finished[1].folder, store.outbox.folder, dirs_exist_ok=True)
    assert store.ledger()[run] == 1
    store.commit(Opening(run_key="r", method="softmax", dataset="toy", test_digest=run[1]))
    assert store.ledger() == {run: 2}
    assert Store(store.results, NOWHERE).ledger()[run] == 2


@pytest.mark.parametrize(
    "read",
    [
        lambda store, record: store.runs()[0].record == record,
        lambda store, record: store.get("run", record.key) == record,
        lambda store, record: store.ledger().total() == 1,
    ],
    ids=["runs", "get", "ledger"],
)
def test_record_that_moves_to_mlflow_while_one_reads_is_not_missed(
    store, record, monkeypatch, read
):
    """Another process uploads everything between this one's two looks, outbox and MLflow."""
    looks = []

    def disturbed(real):
        def look(self, what):
            looks.append(what)
            if len(looks) == 2:
                Store(store.results).sync()
            return real(self, what)

        return look

    for name in ("_waiting", "_look"):
        monkeypatch.setattr(Store, name, disturbed(getattr(Store, name)))
    assert read(store, record)
    assert list(store.outbox) == []


def test_lost_artifacts_are_dead_links_and_no_results(store, uploaded, record):
    assert store.dead_links() == []
    shutil.rmtree(store.runs()[0].folder)
    assert store.dead_links() == [uploaded.info.run_id]
    assert store.runs() == []
    assert store.get("run", record.key) is None


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


def test_unreachable_server_costs_a_later_sync_and_nothing_else(
    unreachable, tiny_root, store, monkeypatch
):
    words = ["--results", str(store.results)]
    run = ["run", "eszsl", "--dataset", "tiny", "--data-root", str(tiny_root), *words]
    away = CliRunner().invoke(app, run)
    assert away.exit_code == 0
    assert "could not be reached" in away.stderr
    assert "`zslbench sync` uploads them" in away.stderr
    assert CliRunner().invoke(app, ["sync", *words]).exit_code == 1
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert CliRunner().invoke(app, ["sync", *words]).exit_code == 0
    assert list(store.outbox) == []
    again = CliRunner().invoke(app, run)
    assert "0 run, 1 reused, 0 failed" in again.stderr
    assert again.stdout == away.stdout


def test_broken_database_loses_nothing(store, record):
    store.tracking.database.write_bytes(b"this is no database")
    report = store.sync()
    assert report.left == 3
    assert "not a database" in report.error
    assert [run.record for run in store.runs()] == [record]


def test_database_half_made_by_a_killed_process_is_made_again(tmp_path, monkeypatch, make_database):
    monkeypatch.setattr(Tracking, "_make_database", make_database)
    with monkeypatch.context() as patch:
        patch.setattr("mlflow.store.db.utils._upgrade_db", lambda engine: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            Store(tmp_path).has("run", "k")
    assert not (tmp_path / "mlflow.db").exists()
    store = Store(tmp_path)
    assert not store.has("run", "k")
    assert store.error is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["locks", "mlflow.db"]


def test_corrupt_record_does_not_keep_others_from_being_uploaded(store, record):
    (store.outbox.path("run", record.key) / "record.json").write_text("{}")
    report = store.sync()
    assert (report.left, report.error) == (1, None)
    assert len(shown(store, "choice")) == 1
    assert shown(store, "run") == []


@pytest.mark.parametrize("before", [True, False])
def test_reading_leaves_the_garbage_collector_as_it_was(before, tmp_path):
    store = Store(tmp_path / "results")
    (gc.enable if before else gc.disable)()
    try:
        assert (store.runs(), store.ledger().total()) == ([], 0)
        assert gc.isenabled() == before
    finally:
        gc.enable()
