"""Runs and trials in several processes: the same numbers as in one, whatever is killed."""

import multiprocessing
import os
import signal

import pytest
from fakes import kept, softmax_job

from zslbench.data.load import DataRequest
from zslbench.data.provide import served
from zslbench.engines.execute import execute
from zslbench.engines.processes import Processes
from zslbench.errors import DataError
from zslbench.records import Backbone, WordVectors
from zslbench.store import Store
from zslbench.studies.plan import plan
from zslbench.studies.sweep.measure import sweep
from zslbench.studies.sweep.plan import SweepPlan
from zslbench.studies.sweep.space import Parameter


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "results")


def planned(root, *methods, seeds=(0, 1), **settings):
    request = DataRequest("tiny", root)
    return plan(methods, [request], settings=settings, seeds=seeds, worlds=2)


class Killer:
    """Progress that kills the process it hears of: in a stage of a name, so many times."""

    def __init__(self, stage, times):
        self.stage, self.times, self.victims = stage, times, []

    def __call__(self, stage, done, total, row=0):
        living = [p.pid for p in multiprocessing.active_children() if p.pid not in self.victims]
        if self.stage in stage and len(self.victims) < self.times and living:
            os.kill(living[0], signal.SIGKILL)
            self.victims.append(living[0])


@pytest.mark.slow
def test_several_processes_give_the_records_of_one(store, tiny_root, tmp_path):
    jobs = planned(tiny_root, "eszsl", "ale", "sae")
    with Processes(2) as engine:
        report = execute(jobs, store, engine=engine)
    assert (report.done, report.reused, report.failures) == (6, 0, [])
    alone = Store(tmp_path / "alone")
    execute(jobs, alone)
    assert kept(store) == kept(alone)
    assert store.ledger() == alone.ledger()
    assert store.waiting() == []
    with Processes(2) as engine:
        assert execute(jobs, Store(store.results), engine=engine).reused == 6
        assert multiprocessing.active_children() == []


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["tuning world 2", "final world"])
def test_run_whose_process_is_killed_is_recorded_and_done_by_another(store, tiny_root, stage):
    jobs, killer = planned(tiny_root, "ale", lr=1, epochs=200), Killer(stage, times=1)
    with Processes(1, killer) as engine:
        report = execute(jobs, store, engine=engine)
    assert len(killer.victims) == 1
    assert (report.done, report.failures) == (2, [])
    (failure,) = store.failures({job.spec.key for job in jobs}).values()
    assert failure.error == "RuntimeError: its process was lost (killed by SIGKILL)"
    assert failure.spec in [job.spec for job in jobs]


@pytest.mark.slow
def test_run_whose_process_is_killed_twice_has_failed_and_the_others_go_on(store, tiny_root):
    (doomed,) = planned(tiny_root, "ale", seeds=(0,), lr=1, epochs=200)
    others = planned(tiny_root, "eszsl")
    with Processes(1, Killer("ale", times=2)) as engine:
        report = execute([doomed, *others], store, engine=engine)
    assert report.done == 2
    assert [failure.spec for failure in report.failures] == [doomed.spec]
    assert "killed by SIGKILL" in report.failures[0].error


def test_job_that_does_not_say_how_its_data_are_read_cannot_travel(store):
    with Processes(1) as engine, pytest.raises(TypeError, match="cannot travel"):
        execute([softmax_job()], store, engine=engine)


@pytest.mark.parametrize(
    "change",
    [
        {"data_digest": "0" * 64},
        {"backbone": Backbone(name="features:res101", weights_digest="0" * 64)},
        {"words": WordVectors(digest="0" * 64, description="another file")},
    ],
    ids=lambda change: next(iter(change)),
)
def test_data_that_differ_elsewhere_are_refused(tiny_root, change):
    (job,) = planned(tiny_root, "eszsl", seeds=(0,))
    assert served(job.request, job.spec).digest == job.dataset.digest
    other = job.spec.model_copy(update=change)
    with pytest.raises(DataError, match="Give every process and machine the same files"):
        served(job.request, other)


# -- sweeps --------------------------------------------------------------------------------------


def searched(root, **settings):
    (base,) = planned(root, "ale", seeds=(0,), **settings)
    space = (Parameter("lr", 0.1, 10.0, log=True), Parameter("margin", 0.1, 2.0))
    return SweepPlan(base, space, "random")


@pytest.mark.slow
def test_several_processes_try_each_number_once(store, tiny_root, tmp_path):
    with Processes(2) as engine:
        found = sweep(searched(tiny_root, epochs=5), store, 6, engine=engine)
    assert [trial.number for trial in found.trials] == list(range(6))
    assert found.done == 6
    alone = Store(tmp_path / "alone")
    same = sweep(searched(tiny_root, epochs=5), alone, 6)
    assert found.trials == same.trials


@pytest.mark.slow
def test_trial_whose_process_is_killed_is_tried_again_at_the_same_point(store, tiny_root, tmp_path):
    killer = Killer("trial 3 of 5", times=1)
    with Processes(1, killer) as engine:
        found = sweep(searched(tiny_root, epochs=100), store, 5, engine=engine)
    assert len(killer.victims) == 1
    alone = Store(tmp_path / "alone")
    assert found.trials == sweep(searched(tiny_root, epochs=100), alone, 5).trials


@pytest.mark.slow
def test_trial_whose_process_is_killed_twice_has_failed(store, tiny_root):
    plan = searched(tiny_root, epochs=100)
    with Processes(1, Killer("trial 2 of 4", times=2)) as engine:
        found = sweep(plan, store, 4, engine=engine)
    assert [trial.state for trial in found.trials] == ["complete", "failed", "complete", "complete"]
    said = "its process was lost twice (killed by SIGKILL, killed by SIGKILL)"
    assert said in found.trials[1].error
    assert said in store.get("trial", plan.trial_key(1, found.trials[1].params)).error
    assert sweep(plan, store, 4).done == 0
