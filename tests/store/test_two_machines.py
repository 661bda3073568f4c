"""Two folders, one tracking server: what one has finished the other has too, once it is needed.

The server is a database that both know by its URI; a real one is in `tests/services`.
"""

import pytest
from fakes import commit_run, softmax_job, use_softmax, with_database

from zslbench.engines.execute import execute
from zslbench.method.conformance import toy_dataset
from zslbench.records import Failure
from zslbench.store import Store, find_run


@pytest.fixture
def machines(tmp_path, monkeypatch):
    use_softmax(monkeypatch)
    monkeypatch.chdir(tmp_path)  # where such a server keeps its artifacts
    uri = f"sqlite:///{with_database(tmp_path / 'server').mirror.database}"
    return Store(tmp_path / "here", uri), Store(tmp_path / "there", uri)


@pytest.fixture
def dataset():
    return toy_dataset()


def shown(store, kind):
    return list(store.mirror.search(kind))


def test_what_is_named_is_pulled_with_its_choice_and_nothing_else(machines, dataset):
    here, there = machines
    records = [commit_run(here, softmax_job(dataset, seed, rate=seed + 1.0)) for seed in range(2)]
    here.sync()
    wanted = records[0]
    assert not there.has("run", wanted.key)
    assert there.missing("run", [wanted.key, "unknown"]) == {"unknown"}
    assert [run.record for run in there.runs([wanted.key])] == [wanted]
    assert sorted(there.folders.names()) == sorted(
        [f"run-{wanted.key}", f"choice-{wanted.choice.key}"]
    )
    assert there.waiting() == []
    assert [run.record for run in there.runs()] == [run.record for run in here.runs()]


def test_a_study_is_done_once_by_both_together(machines, dataset):
    here, there = machines
    jobs = [softmax_job(dataset, seed) for seed in range(4)]
    assert execute(jobs[:3], here).done == 3
    assert (execute(jobs, there).done, execute(jobs, here).done) == (1, 0)
    keys = [job.spec.key for job in jobs]
    assert [run.record for run in here.runs(keys)] == [run.record for run in there.runs(keys)]
    assert len(shown(here, "run")) == 4
    assert here.ledger() == there.ledger()
    assert here.ledger().total() == 4


def test_of_two_that_made_the_same_run_the_first_counts_on_both(machines, dataset):
    here, there = machines
    record = commit_run(here, softmax_job(dataset))
    there.commit(record.model_copy(update={"oracle_h": 99.0}))
    here.sync()
    there.sync()
    for store in machines:
        assert [run.record.oracle_h for run in store.runs()] == [record.oracle_h]
        assert store.waiting() == []
    assert len(shown(here, "run")) == len(shown(here, "choice")) == 1


def test_runs_that_never_ended_on_the_server_are_ignored(machines, dataset, monkeypatch):
    here, there = machines
    record = commit_run(here, softmax_job(dataset))
    with monkeypatch.context() as patch:
        patch.setattr(
            type(here.client), "set_terminated", lambda *_: (_ for _ in ()).throw(SystemExit)
        )
        with pytest.raises(SystemExit):
            here.sync()
    assert there.missing("run", [record.key]) == {record.key}
    here.sync()
    assert there.missing("run", [record.key]) == set()


def test_failures_are_pulled_by_the_run_that_failed(machines, dataset):
    here, there = machines
    specs = [softmax_job(dataset, seed).spec for seed in range(2)]
    for number, spec in enumerate(specs):
        here.commit(Failure(key=f"f{number}", spec=spec, error="odd", traceback="..."))
    here.sync()
    assert {key: f.key for key, f in there.failures({specs[1].key}).items()} == {specs[1].key: "f1"}
    assert there.folders.names() == ["failure-f1"]


def test_a_run_of_another_machine_is_found_by_its_key_or_its_id(machines, dataset):
    here, there = machines
    record = commit_run(here, softmax_job(dataset))
    here.sync()
    assert find_run(there, record.key[:8]).record == record
    assert find_run(there, here.runs()[0].run_id).record == record
