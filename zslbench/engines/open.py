"""An engine as the command line names it."""

from functools import partial

from zslbench.engines.calls import OVERALL, Engine, InProcess, Ticks, no_ticks
from zslbench.engines.on_ray import OnRay
from zslbench.engines.processes import Processes
from zslbench.errors import ZslbenchError, unknown

ENGINES = ("local", "ray")


def open_engine(
    jobs: int | None = None,
    ticks: Ticks = no_ticks,
    name: str = "local",
    address: str | None = None,
) -> Engine:
    """Return an engine.

    Args:
        jobs: Calls at once; `local` has by default one, in this process, and takes processes for
            more; `ray` as many as the cluster has GPUs, or else nodes.
        ticks: Progress.
        name: `local` or `ray`.
        address: Of a Ray cluster.

    Raises:
        ZslbenchError: If there is no such engine, or it is not available.
    """
    if name not in ENGINES:
        raise unknown("engine", name, ENGINES)
    if name == "ray":
        return OnRay(jobs, address, ticks)
    if address is not None:
        raise ZslbenchError(f"address {address} is that of a Ray cluster: choose the engine ray.")
    if jobs in (None, 1):
        return InProcess(ticks, partial(ticks, row=OVERALL))
    return Processes(jobs, ticks)
