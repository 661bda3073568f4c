"""Where calls run: in this process, in local processes, on Ray. One interface for all three."""

from zslbench.engines.calls import Call, End, Engine, InProcess, Ticks, dealt, dealt_twice
from zslbench.engines.open import open_engine
