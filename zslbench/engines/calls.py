"""Calls, and what every engine does with them, wherever it does it."""

import pickle
import traceback
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

from zslbench.errors import ZslbenchError
from zslbench.protocol.run import Tick
from zslbench.startup import make_lenient

OVERALL = -1


class Ticks(Protocol):
    """Shows how far a stage is, in one of several rows."""

    def __call__(self, stage: str, done: int, total: int, row: int = 0) -> None:
        """Take in steps done and steps in all."""


def no_ticks(stage: str, done: int, total: int, row: int = 0) -> None:
    """Report progress to nobody."""


@dataclass(frozen=True)
class Call:
    """A function to be called somewhere.

    Attributes:
        function: Of a module, so that other processes find it. It takes the arguments and, by
            name, `tick`.
        arguments: What can be pickled, unless the engine is this process.
        label: Stands before the stages that it reports.
        again: Whether it was started before, and lost with its process.
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    label: str = ""
    again: bool = False

    def packed(self) -> bytes:
        """Return it as it travels to another process."""
        return pickle.dumps((self.function, self.arguments))


@dataclass(frozen=True)
class End:
    """The end of a call: what the function returned, or how the process that ran it died."""

    call: Call
    value: Any = None
    died: str = ""


class Engine(AbstractContextManager["Engine"]):
    """Where calls run: as many at once as it has places.

    `wait` returns the end of a call that was started, whichever is first. It raises what the user
    can fix, and what no function should raise. Leaving the context ends what still runs.

    Args:
        places: How many.
        ticks: Progress, a row for each place.
    """

    def __init__(self, places: int, ticks: Ticks = no_ticks) -> None:
        self.places, self._ticks = places, ticks

    @abstractmethod
    def start(self, call: Call) -> None:
        """Start a call; there must be a free place."""

    @abstractmethod
    def wait(self) -> End:
        """Return the next end."""

    def tell(self, stage: str, done: int, total: int) -> None:
        """Show how far all calls together are."""
        self._ticks(stage, done, total, row=OVERALL)


def dealt(engine: Engine, ready: deque[Call]) -> Iterator[End]:
    """Keep an engine's places busy with what is ready, which may grow meanwhile; yield the ends."""
    running = 0
    while ready or running:
        while ready and running < engine.places:
            engine.start(ready.popleft())
            running += 1
        yield engine.wait()
        running -= 1


def dealt_twice(engine: Engine, ready: deque[Call]) -> Iterator[End]:
    """Likewise, where a call whose process dies is started once more before its end counts."""
    for end in dealt(engine, ready):
        if end.died and not end.call.again:
            ready.append(replace(end.call, again=True))
        else:
            yield end


class InProcess(Engine):
    """Calls run here, one after the other.

    Args:
        tick: Progress of a call.
        overall: Progress of all calls.
    """

    def __init__(self, tick: Tick = no_ticks, overall: Tick = no_ticks) -> None:
        super().__init__(1)
        self._tick, self._overall = tick, overall
        self._started: deque[Call] = deque()

    def __exit__(self, *_: object) -> None:
        self._started.clear()

    def start(self, call: Call) -> None:
        """Take a call."""
        self._started.append(call)

    def wait(self) -> End:
        """Run it."""
        call = self._started.popleft()

        def tick(stage: str, done: int, total: int) -> None:
            self._tick(call.label + stage, done, total)

        return End(call, call.function(*call.arguments, tick=tick))

    def tell(self, stage: str, done: int, total: int) -> None:
        """Show how far all calls together are."""
        self._overall(stage, done, total)


Answer = tuple[Literal["returned", "refused", "raised"], Any]


def perform(packed: bytes, tick: Tick) -> Answer:
    """Run a call in another process; what it raises is told, for not every error can travel."""
    make_lenient()
    try:
        function, arguments = pickle.loads(packed)
        return "returned", function(*arguments, tick=tick)
    except ZslbenchError as error:
        return "refused", str(error)
    except Exception as error:
        return "raised", "".join(traceback.format_exception(error))


def end_of(call: Call, answer: Answer) -> End:
    """Return what another process answered.

    Raises:
        ZslbenchError: What the user can fix, as it was raised there.
        RuntimeError: With the traceback from there.
    """
    kind, value = answer
    if kind == "refused":
        raise ZslbenchError(value)
    if kind == "raised":
        raise RuntimeError(f"in another process:\n{value}")
    return End(call, value)
