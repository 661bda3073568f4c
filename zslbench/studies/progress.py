"""What a study reports on the way: progress with time left, on standard error."""

import sys
import time
from dataclasses import dataclass
from typing import Any, Self

PLAIN_EVERY = 10.0


@dataclass
class _Row:
    """What one row of progress shows, and since when and which step the time is taken."""

    ticked: float | None = None
    stage: str = ""
    name: str = ""
    began: float = 0.0
    first: int = 0
    said: float = 0.0
    bar: Any = None


class Display:
    """Progress with time left: live rows on a terminal, plain lines without one."""

    def __init__(self) -> None:
        self._live: Any = None
        self._rows: dict[int, _Row] = {}

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

    def tick(self, stage: str, done: int, total: int, row: int = 0) -> None:
        """Show how far a stage is, in one of several rows.

        What follows a `;` in its name may change on the way: what is best so far.
        """
        now, shown = time.monotonic(), self._rows.setdefault(row, _Row())
        shown.name, (stage, *_) = stage, stage.split(";")
        if stage != shown.stage:
            # A stage reports when its first step is done: it began when the one before it ended.
            # What was before the first stage, imports and all, says nothing about its steps.
            shown.began, shown.first = (now, done) if shown.ticked is None else (shown.ticked, 0)
            shown.stage, shown.said = stage, 0.0
            if self._live and shown.bar is None:
                shown.bar = self._live.add_task(stage, total=total)
            elif self._live:
                self._live.reset(shown.bar, description=stage, total=total)
        shown.ticked = now
        if self._live:
            self._live.update(shown.bar, completed=done, total=total, description=shown.name)
        else:
            _say(shown, done, total)


def _say(row: _Row, done: int, total: int) -> None:
    now = time.monotonic()
    if now - row.said < PLAIN_EVERY and done < total:
        return
    row.said = now
    timed = done - row.first
    left = (now - row.began) / timed * (total - done) if timed else 0.0
    note = f", about {left:.0f} s left" if timed and done < total else ""
    print(f"{row.name}: {done}/{total}{note}", file=sys.stderr, flush=True)


def say(text: str) -> None:
    """Tell the user something that is not the result."""
    print(text, file=sys.stderr, flush=True)
