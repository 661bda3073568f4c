"""Ray: every call is a task with its share of a cluster, tried again when its node or worker dies.

All nodes need the same packages, and the same files under the same paths: Ray moves none of them.
"""

import os
import socket
from pathlib import Path
from typing import Any

from zslbench.engines.calls import Answer, Call, End, Engine, Ticks, end_of, no_ticks, perform
from zslbench.engines.processes import threads_of
from zslbench.errors import ZslbenchError

RETRIES = 3
LOOK_SECONDS = 0.5
KNOCK_SECONDS = 10.0
PASSED_ON = ("GOMP_", "MLFLOW_", "OMP_", "PG", "ZSLBENCH_")


class OnRay(Engine):
    """Calls run as Ray's tasks.

    Args:
        places: How many at once; by default one for each GPU of the cluster, or for each node where
            there are none.
        address: The cluster's; by default `RAY_ADDRESS`, else one is started on this machine.
        ticks: Progress, a row for each place.

    Raises:
        ZslbenchError: If Ray is not installed, or the cluster cannot be reached.
    """

    def __init__(
        self, places: int | None = None, address: str | None = None, ticks: Ticks = no_ticks
    ) -> None:
        self._ray = _connected(address)
        total = self._ray.cluster_resources()
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        cpus = [int(node["CPU"]) for node in nodes if node.get("CPU")]
        gpus = total.get("GPU", 0)
        super().__init__(places or int(gpus) or len(cpus), ticks)
        threads = max(1, min(int(total["CPU"]) // self.places, *cpus))
        passed = {k: v for k, v in os.environ.items() if k.startswith(PASSED_ON)}
        self._task = self._ray.remote(
            num_cpus=threads,
            num_gpus=min(1, gpus / self.places),
            max_retries=RETRIES,
            max_calls=0,  # workers stay, those on GPUs too
            runtime_env={"env_vars": passed | threads_of(threads)},
        )(run_packed)
        self._queue = self._new_queue()
        self._running: dict[Any, tuple[int, Call]] = {}

    def __exit__(self, *_: object) -> None:
        for reference in self._running:
            self._ray.cancel(reference, force=True)
        self._ray.shutdown()

    def start(self, call: Call) -> None:
        """Hand a call to the cluster."""
        rows = {row for row, _ in self._running.values()}
        row = next(n for n in range(self.places) if n not in rows)
        reference = self._task.remote(call.packed(), str(Path.cwd()), self._queue, row)
        self._running[reference] = row, call

    def wait(self) -> End:
        """Pass progress on until a call ends, or its processes have died too often."""
        while True:
            done, _ = self._ray.wait(list(self._running), num_returns=1, timeout=LOOK_SECONDS)
            self._pass_on()
            if done:
                _, call = self._running.pop(done[0])
                try:
                    answer = self._ray.get(done[0])
                except self._ray.exceptions.RayTaskError as error:
                    what = str(error).strip().splitlines()[-1]
                    raise ZslbenchError(
                        f"--engine ray: a node could not begin its work ({what}). All "
                        "nodes need the same packages, and this folder, the data and the results "
                        "under the same paths."
                    ) from error
                except self._ray.exceptions.RayError as error:
                    return End(call, died=f"{RETRIES + 1} times, {type(error).__name__}")
                return end_of(call, answer)

    def _pass_on(self) -> None:
        labels = {row: call.label for row, call in self._running.values()}
        for row, stage, done, total in self._queue.get_nowait_batch(self._queue.qsize()):
            if row in labels:
                self._ticks(labels[row] + stage, done, total, row=row)

    def _new_queue(self) -> Any:
        """Return a queue for progress that lives as long as this process's node."""
        from ray.util.queue import Queue
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = self._ray.get_runtime_context().get_node_id()
        strategy = NodeAffinitySchedulingStrategy(here, soft=False)
        return Queue(actor_options={"num_cpus": 0, "scheduling_strategy": strategy})


def run_packed(packed: bytes, folder: str, queue: Any, row: int) -> Answer:
    """Run a call on a node, in the same folder as here."""
    os.chdir(folder)
    return perform(packed, lambda *words: queue.put_nowait((row, *words)))


def _connected(address: str | None) -> Any:
    try:
        import ray
    except ImportError:
        raise ZslbenchError(
            "--engine ray: Ray is not installed. Install it with pip install 'zslbench[ray]'."
        ) from None
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    address = address or os.environ.get("RAY_ADDRESS")
    try:
        _knock(address)
        ray.init(address, log_to_driver=False, logging_level="ERROR", include_dashboard=False)
    except (OSError, ValueError, RuntimeError) as error:
        what = str(error).strip().splitlines()[0]
        raise ZslbenchError(
            f"--address {address}: no Ray cluster could be reached ({what}). Name its head node, "
            "such as --address HOST:6379, or leave it out to start Ray on this machine."
        ) from error
    return ray


def _knock(address: str | None) -> None:
    """Fail at once where nobody answers: Ray itself tries for minutes."""
    host, _, port = (address or "").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), KNOCK_SECONDS).close()
