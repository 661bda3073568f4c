"""What the user sees: progress on standard error, results on standard output."""

import json
import sys
import time
from collections.abc import Sequence
from typing import Any, Self

PLAIN_EVERY = 10.0


class Display:
    """Progress with time left: a live line on a terminal, plain lines without one."""

    def __init__(self) -> None:
        self._live: Any = None
        self._task: Any = None
        self._stage = self._shown = ""
        self._said = 0.0
        self._began = self._ticked = time.monotonic()

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
            from rich.progress import TimeRemainingColumn as Left

            columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Left()
            self._live = Progress(*columns, console=Console(stderr=True), transient=True)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def tick(self, stage: str, done: int, total: int) -> None:
        """Show how far a stage is.

        What follows a `;` in its name may change on the way: what is running, what is best so far.
        """
        self._shown, (stage, *_) = stage, stage.split(";")
        if stage != self._stage:
            # A stage reports when its first step is done: it began when the one before it ended.
            self._stage, self._began, self._said = stage, self._ticked, 0.0
            if self._live:
                if self._task is not None:
                    self._live.remove_task(self._task)
                self._task = self._live.add_task(stage, total=total)
        self._ticked = time.monotonic()
        if self._live:
            self._live.update(self._task, completed=done, total=total, description=self._shown)
        else:
            self._say(done, total)

    def _say(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._said < PLAIN_EVERY and done < total:
            return
        self._said = now
        left = (now - self._began) / done * (total - done) if done else 0.0
        note = f", about {left:.0f} s left" if done < total else ""
        print(f"{self._shown}: {done}/{total}{note}", file=sys.stderr, flush=True)


def say(text: str) -> None:
    """Tell the user something that is not the result."""
    print(text, file=sys.stderr, flush=True)


def print_json(document: Any) -> None:
    """Print the one JSON document."""
    print(json.dumps(document, indent=2, allow_nan=False))


def print_parts(parts: Sequence[Any]) -> None:
    """Print rich renderables; wide enough for the tables where there is no terminal."""
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console = Console(highlight=False, markup=False, width=132)
    for part in parts:
        console.print(part)
