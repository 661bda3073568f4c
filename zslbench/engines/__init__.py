"""Where calls run: in this process, in local processes, on Ray. One interface for all three."""

from zslbench.engines.calls import (
    Call,
    End,
    Engine,
    InProcess,
    Tick,
    Ticks,
    dealt,
    dealt_twice,
    no_ticks,
)
from zslbench.engines.open import open_engine

__all__ = [
    "Call",
    "End",
    "Engine",
    "InProcess",
    "Tick",
    "Ticks",
    "dealt",
    "dealt_twice",
    "no_ticks",
    "open_engine",
]
