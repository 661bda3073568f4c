"""Files of JSON lines that many processes append to; each process reads a line once."""

import json
import os
from pathlib import Path
from typing import Any


class Journal:
    """A file of JSON lines.

    A line that a kill cut short is skipped, and spoils no other: every entry begins a line.

    Args:
        path: The file; made when first needed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lines: list[Any] = []
        self._read, self._inode = 0, 0

    def append(self, *entries: Any, durable: bool = False) -> None:
        """Add entries; a durable one survives a power failure once this returns."""
        lines = [json.dumps(entry, separators=(",", ":")) for entry in entries]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as file:
            file.write(("\n" + "\n".join(lines) + "\n").encode())
            if durable:
                file.flush()
                os.fsync(file.fileno())

    def lines(self) -> list[Any]:
        """Return all entries so far, in the file's order."""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            self._lines, self._read = [], 0
            return self._lines
        if status.st_ino != self._inode or status.st_size < self._read:
            self._lines, self._read, self._inode = [], 0, status.st_ino
        if status.st_size > self._read:
            with self.path.open("rb") as file:
                file.seek(self._read)
                text, newline, _ = file.read().rpartition(b"\n")
            self._read += len(text) + len(newline)
            self._lines.extend(_parsed([line for line in text.split(b"\n") if line]))
        return self._lines


def _parsed(lines: list[bytes]) -> list[Any]:
    """Return the entries; where a line was cut short, of all others."""
    try:
        found: list[Any] = json.loads(b"[" + b",".join(lines) + b"]")
    except ValueError:
        return [entry for line in lines for entry in _parsed([line])] if len(lines) > 1 else []
    return found
