"""What a process may be started without: a home folder, open standard streams, their letters."""

import io
import os
import select
import sys
from typing import Any

from zslbench.errors import ZslbenchError


def supply_missing() -> None:
    """Supply what many libraries take for granted: standard streams, and a home folder.

    Where a stream is closed, as cron, daemons and `2>&-` leave it, the next file to be opened, a
    database, would have its number, and would be written to by whatever warns. Where no home is
    known (a user of a container without HOME), libraries stop, or make a folder called `~`: they
    get one that nothing can be written to, which they expect.
    """
    for number, (name, mode) in enumerate({"stdin": "r", "stdout": "w", "stderr": "w"}.items()):
        try:
            os.fstat(number)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
    if os.path.expanduser("~") == "~":  # noqa: PTH111 - pathlib raises
        os.environ["HOME"] = os.devnull


def make_lenient() -> None:
    """Have the standard streams of this process take every letter, whoever reads them.

    A letter that their encoding lacks is written as an escape. What a reader that has left (`head`)
    does not take is dropped, and so is whatever standard error does not take: neither changes what
    a command does. Standard output that cannot be written is an error; see `_Lenient`.
    """
    supply_missing()
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is getattr(sys, f"__{name}__"):  # nobody, such as a notebook, has replaced it
            raw = io.BufferedWriter(_Lenient(stream.fileno(), "w", closefd=False))
            text = io.TextIOWrapper(
                raw, stream.encoding, "backslashreplace",
                line_buffering=stream.line_buffering, write_through=stream.write_through,
            )  # fmt: skip
            setattr(sys, name, text)


class _Lenient(io.FileIO):
    """A standard stream that drops what nobody reads.

    Raises:
        ZslbenchError: Once, if standard output cannot be written for another reason.
    """

    dropping = False

    def write(self, data: Any) -> int:
        try:
            while not self.dropping:
                written = super().write(data)
                if written is not None:
                    return written
                select.select([], [self], [])  # another process has made it non-blocking
        except OSError as error:
            self.dropping = True
            if self.fileno() == 1 and not isinstance(error, BrokenPipeError):
                raise ZslbenchError(
                    f"standard output cannot be written ({error.strerror}), and what was to be "
                    "printed is lost. Free some space there, or redirect it elsewhere; finished "
                    "runs are kept, and the same command prints them."
                ) from None
        return len(data)
