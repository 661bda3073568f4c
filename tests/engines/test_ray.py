"""Ray: a cluster of two nodes on this machine, one of which goes away in the middle."""

import os
from collections import deque

import errands
import pytest
from fakes import kept
from searches import SEARCHES, found, nothing_runs_here

from zslbench.data.load import DataRequest
from zslbench.engines import Call, dealt
from zslbench.engines.execute import execute
from zslbench.engines.on_ray import OnRay
from zslbench.errors import ZslbenchError
from zslbench.store import Store
from zslbench.studies.plan import plan

pytestmark = pytest.mark.slow
pytest.importorskip("ray", reason="Ray is absent: pip install 'zslbench[ray]'")


class TwoNodes:
    """A cluster with one processor on each of two nodes; the second one can be removed."""

    def __init__(self):
        from ray.cluster_utils import Cluster

        self.cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
        self.second = self.cluster.add_node(num_cpus=1)
        self.cluster.wait_for_nodes()
        self.busy, self.removed = set(), False

    def remove(self):
        self.cluster.remove_node(self.second, allow_graceful=False)
        self.removed = True


@pytest.fixture
def nodes(monkeypatch):
    monkeypatch.setenv("RAY_worker_niceness", "0")
    monkeypatch.setenv("PYTHONPATH", os.path.dirname(errands.__file__))  # noqa: PTH120
    two = TwoNodes()
    yield two
    two.cluster.shutdown()


def jobs_on(root):
    """Two configs, so that a choice is made on each node at the same time, and three seeds."""
    request = DataRequest("tiny", root)
    return [
        job
        for rate in (0.5, 1)
        for job in plan(
            ["ale"], [request], settings={"lr": rate, "epochs": 300}, seeds=(0, 1, 2), worlds=2
        )
    ]


def test_node_that_goes_away_takes_no_run_with_it(nodes, tiny_root, tmp_path):
    jobs = jobs_on(tiny_root)

    def tick(stage, done, total, row=0):
        nodes.busy |= {row} if row >= 0 else set()
        if nodes.busy == {0, 1} and not nodes.removed:
            nodes.remove()

    store = Store(tmp_path / "results")
    with OnRay(address=nodes.cluster.address, ticks=tick) as engine:
        assert engine.places == 2
        report = execute(jobs, store, engine=engine)
    assert nodes.removed
    assert (report.done, report.failures) == (6, [])
    alone = Store(tmp_path / "alone")
    execute(jobs, alone)
    assert kept(store) == kept(alone)


@pytest.mark.parametrize("words", SEARCHES.values(), ids=SEARCHES)
def test_searches_find_there_what_one_process_finds(
    nodes, zslbench, tiny_root, tmp_path, monkeypatch, words
):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    alone = found(zslbench, tiny_root, tmp_path / "alone", *words)
    nothing_runs_here(monkeypatch)
    there = ("--engine", "ray", "--address", nodes.cluster.address)
    assert found(zslbench, tiny_root, tmp_path / "two", *words, *there) == alone


def test_what_happens_in_a_task_arrives(nodes, monkeypatch):
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    heard = []
    with OnRay(address=nodes.cluster.address, ticks=lambda *w, row=0: heard.append(w)) as engine:
        ready = deque(Call(errands.greet, (n,), f"{n}: ") for n in range(4))
        assert {end.value for end in dealt(engine, ready)} == {f"hello {n}" for n in range(4)}
        assert {stage for stage, *_ in heard} == {f"{n}: greeting" for n in range(4)}
        (end,) = dealt(engine, deque([Call(errands.process, ())]))
        assert (end.value[1], end.value[3]) == ("1", "active")
        engine.start(Call(errands.refuse, ()))
        with pytest.raises(ZslbenchError, match=r"^att_splits.mat: is broken. Fix it.$"):
            engine.wait()
        engine.start(Call(errands.die, ()))
        assert "4 times, WorkerCrashedError" in engine.wait().died


def test_cluster_that_is_not_there_is_refused():
    with pytest.raises(ZslbenchError, match=r"--address 127.0.0.1:9: no Ray cluster"):
        OnRay(address="127.0.0.1:9")
