"""An engine as the command line names it."""

from zslbench.engines.calls import Engine, InProcess, Ticks, no_ticks
from zslbench.engines.processes import Processes


def open_engine(jobs: int, ticks: Ticks = no_ticks) -> Engine:
    """Return the engine for so many calls at once."""
    return InProcess(ticks) if jobs == 1 else Processes(jobs, ticks)
