"""What is done, what failed, what is left, and how long that may take."""

from dataclasses import replace

import pytest
from fakes import Softmax, commit_run, softmax_job, use_softmax

from zslbench.engines.execute import execute
from zslbench.method.conformance import toy_dataset
from zslbench.store import Store
from zslbench.studies.status import Estimate, PastRuns, status_of


@pytest.fixture
def store(tmp_path, monkeypatch):
    use_softmax(monkeypatch)
    return Store(tmp_path / "results")


@pytest.fixture
def dataset():
    return toy_dataset()


def keys(*jobs):
    return {job.spec.key for job in jobs}


def test_jobs_are_done_failed_or_missing(store, dataset):
    done, missing = softmax_job(dataset, 0), softmax_job(dataset, 1)
    broken = softmax_job(dataset, breaks=True)
    execute([done, broken], store)
    for read in (store, Store(store.results)):
        status = status_of([done, broken, missing], read)
        assert status.done == keys(done)
        assert set(status.failed) == keys(broken)
        assert status.failed[broken.spec.key].error.startswith("ArithmeticError")


def test_failures_of_other_plans_are_nobodys(store, dataset):
    execute([softmax_job(dataset, breaks=True)], store)
    assert status_of([softmax_job(dataset)], store).failed == {}


def test_the_latest_failure_counts_until_the_run_is_finished(store, dataset, monkeypatch):
    broken, real = softmax_job(dataset, breaks=True), Softmax.fit
    execute([broken], store)

    def other(*_):
        raise OSError("another reason")

    def mended(self, prepared, after=None):
        self.config = self.config.model_copy(update={"breaks": False})
        return real(self, prepared, after)

    monkeypatch.setattr(Softmax, "fit", other)
    execute([broken], store)
    assert status_of([broken], store).failed[broken.spec.key].error == "OSError: another reason"
    monkeypatch.setattr(Softmax, "fit", mended)
    execute([broken], store)
    status = status_of([broken], store)
    assert (status.done, status.failed) == (keys(broken), {})


def test_failures_that_wait_for_mlflow_are_found(store, dataset, monkeypatch):
    broken = softmax_job(dataset, breaks=True)
    monkeypatch.setattr(store, "sync", lambda **_: None)
    execute([broken], store)
    assert len(store.waiting()) == 1
    assert set(status_of([broken], store).failed) == keys(broken)


def test_an_estimate_is_the_mean_of_past_runs_and_counts_a_choice_once(store, dataset):
    records = [commit_run(store, softmax_job(dataset, seed)) for seed in range(2)]
    fits = sum(r.cost.fit_seconds + r.cost.score_seconds for r in records) / 2
    choosing = sum(r.choice.seconds / len(r.choice.worlds) for r in records) / 2
    history = PastRuns(store)
    chosen = [softmax_job(dataset, seed) for seed in (2, 3)]
    assert history.estimate(chosen) == Estimate(pytest.approx(2 * fits), 0)
    other = [softmax_job(dataset, seed, rate=1.0) for seed in range(3)]
    assert history.estimate(other) == Estimate(pytest.approx(3 * fits + 2 * choosing), 0)


def test_what_past_runs_do_not_tell_is_unknown(store, dataset):
    commit_run(store, softmax_job(dataset))
    stranger = softmax_job(dataset, 1)
    elsewhere = replace(stranger, spec=stranger.spec.model_copy(update={"dataset": "elsewhere"}))
    assert PastRuns(store).estimate([elsewhere]) == Estimate(0.0, 1)
