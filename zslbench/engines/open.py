"""An engine as the command line names it."""

from functools import partial

from zslbench.engines.calls import OVERALL, Engine, InProcess, Ticks, no_ticks
from zslbench.engines.processes import Processes


def open_engine(jobs: int, ticks: Ticks = no_ticks) -> Engine:
    """Return the engine for so many calls at once."""
    if jobs == 1:
        return InProcess(ticks, partial(ticks, row=OVERALL))
    return Processes(jobs, ticks)
