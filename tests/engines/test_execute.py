"""Many runs: reuse, one choice for all seeds, failures kept, the ledger before the labels."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from fakes import commit_run, softmax_job, use_softmax

from zslbench.data.types import SealedLabels
from zslbench.engines import execute as module
from zslbench.engines.execute import execute
from zslbench.errors import ZslbenchError
from zslbench.method.conformance import toy_dataset
from zslbench.protocol.run import no_tick
from zslbench.store import Store


@pytest.fixture
def store(tmp_path, monkeypatch):
    use_softmax(monkeypatch)
    return Store(tmp_path / "results")


@pytest.fixture
def dataset():
    return toy_dataset()


@pytest.fixture
def calls(monkeypatch):
    """Count what `execute` asks of the protocol: a list of the names called."""
    called = []

    def count(name):
        real = getattr(module, name)
        monkeypatch.setattr(
            module, name, lambda *words, **more: called.append(name) or real(*words, **more)
        )

    count("select")
    count("evaluate")
    return called


def dies(*_, **__):
    raise SystemExit("killed")


def openings(store):
    """Return the ledger's total as a process that starts afresh reads it."""
    return Store(store.results).ledger().total()


def test_execute_runs_everything_and_uploads_it(store, dataset):
    jobs = [softmax_job(dataset, seed) for seed in range(3)]
    report = execute(jobs, store)
    assert (report.done, report.reused, report.failures) == (3, 0, [])
    assert {run.record.key for run in store.runs()} == {job.spec.key for job in jobs}
    assert store.waiting() == []


def test_seeds_differ_in_their_numbers(store, dataset):
    execute([softmax_job(dataset, seed) for seed in range(2)], store)
    one, other = (run.record for run in store.runs())
    assert one.losses != other.losses


def test_finished_runs_are_reused(store, dataset, calls):
    jobs = [softmax_job(dataset, seed) for seed in range(2)]
    execute(jobs, store)
    calls.clear()
    report = execute(jobs, Store(store.results))
    assert (report.done, report.reused) == (0, 2)
    assert calls == []
    assert dataset.test_labels.openings == openings(store) == 2


def test_only_what_is_missing_is_run(store, dataset, calls):
    execute([softmax_job(dataset, 0)], store)
    calls.clear()
    report = execute([softmax_job(dataset, seed) for seed in range(3)], store)
    assert (report.done, report.reused) == (2, 1)
    assert calls == ["evaluate", "evaluate"]


def test_choice_is_made_once_for_all_seeds(store, dataset, calls):
    execute([softmax_job(dataset, seed) for seed in range(3)], store)
    assert calls.count("select") == 1
    choices = [run.record.choice for run in store.runs()]
    assert choices == [store.get("choice", softmax_job(dataset).spec.choice_key)] * 3


def test_server_that_goes_away_between_a_choice_and_its_runs_costs_nothing(
    store, dataset, monkeypatch
):
    sync = Store.sync

    def sync_and_lose_the_server(self, **words):
        report = sync(self, **words)
        self.mirror.error = "the server is gone"
        return report

    monkeypatch.setattr(Store, "sync", sync_and_lose_the_server)
    report = execute([softmax_job(dataset, seed) for seed in range(2)], store)
    assert (report.done, report.failures) == (2, [])
    assert len({run.record.choice.created for run in store.runs()}) == 1


def test_each_config_has_its_own_choice(store, dataset, calls):
    execute([softmax_job(dataset, rate=rate) for rate in (1.0, 2.0)], store)
    assert calls.count("select") == 2


def test_method_that_raises_is_recorded_and_the_others_go_on(store, dataset):
    broken = softmax_job(dataset, breaks=True)
    report = execute([broken, softmax_job(dataset, 0), softmax_job(dataset, 1)], store)
    assert report.done == 2
    (failure,) = report.failures
    assert failure.spec == broken.spec
    assert failure.error == "ArithmeticError: this method was told to break"
    assert "fakes.py" in failure.traceback
    assert store.get("failure", failure.key) == failure


def test_failed_run_is_tried_again_next_time(store, dataset):
    broken = softmax_job(dataset, breaks=True)
    assert len(execute([broken], store).failures) == 1
    assert len(execute([broken], store).failures) == 1
    assert openings(store) == 0


@pytest.mark.parametrize("step", ["select", "evaluate"])
def test_what_the_user_can_mend_stops_everything(store, dataset, monkeypatch, step):
    def complain(*_, **__):
        raise ZslbenchError("fix it")

    monkeypatch.setattr(module, step, complain)
    with pytest.raises(ZslbenchError, match="fix it"):
        execute([softmax_job(dataset)], store)
    assert store.index.entries("failure") == []


def test_opening_is_in_the_ledger_before_the_labels_are_out(store, dataset, monkeypatch):
    real, found = SealedLabels.open, []

    def look(self, announce):
        return real(self, lambda: (announce(), found.append(openings(store))))

    monkeypatch.setattr(SealedLabels, "open", look)
    execute([softmax_job(dataset)], store)
    assert found == [0, 0, 1]  # two tuning worlds, which nobody counts, then the final one


def test_run_that_dies_with_the_labels_open_has_its_entry_in_the_ledger(
    store, dataset, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr("zslbench.protocol.run.Trajectory", dies)
        with pytest.raises(SystemExit):
            execute([softmax_job(dataset)], store)
    assert openings(store) == 1
    assert not store.has("run", softmax_job(dataset).spec.key)
    execute([softmax_job(dataset)], store)
    assert openings(store) == 2


def test_labels_stay_sealed_where_the_ledger_cannot_be_written(store, dataset, monkeypatch):
    def commit(record, write=None, real=store.commit):
        if record.kind == "opening":
            raise OSError("disk full")
        real(record)

    monkeypatch.setattr(store, "commit", commit)
    (failure,) = execute([softmax_job(dataset)], store).failures
    assert failure.error == "OSError: disk full"
    assert dataset.test_labels.openings == 0


def test_run_killed_before_its_commit_leaves_nothing_half_written(store, dataset, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(module, "write_evaluation", dies)
        with pytest.raises(SystemExit):
            execute([softmax_job(dataset)], store)
    assert store.runs() == []
    assert not list(store.folders.folder.glob(".*"))


def test_progress_goes_from_the_tuning_worlds_to_the_final_one(store, dataset):
    stages = []
    execute([softmax_job(dataset)], store, lambda stage, done, total: stages.append(stage))
    assert list(dict.fromkeys(stages)) == [
        "softmax: tuning world 1 of 2",
        "softmax: tuning world 2 of 2",
        "softmax: final world, seed 0",
    ]
    assert stages.count("softmax: final world, seed 0") == 4


def test_run_that_another_process_does_is_waited_for_and_not_done_again(store, dataset, calls):
    """Two on one disk would write to one checkpoint, and one of them would fail."""
    job = softmax_job(dataset)
    with ThreadPoolExecutor() as pool:
        with store.lock(f"run-{job.spec.key[:16]}"):
            second = pool.submit(module.do_run, job, store, tick=no_tick)
            commit_run(store, job)
        assert second.result() is False
    assert calls == []
