"""What users write, read in one way everywhere: numbers, paths, names."""

import os
import re
import unicodedata
from pathlib import Path
from urllib.parse import quote_from_bytes, unquote_to_bytes

from zslbench.errors import ZslbenchError

# Python's own `int` and `float` take "1_000", "nan" and the digits of every script, and stop with
# a ValueError at 4300 digits or at a superscript that `str.isdigit` calls a digit.
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
_NUMBER = re.compile(r"[+-]?([0-9]{1,300}\.?[0-9]{0,300}|\.[0-9]{1,300})(e[+-]?[0-9]{1,3})?", re.I)

_CONTROL = re.compile("[\0-\x1f\x7f\x85\u2028\u2029]")


def whole(text: str) -> int | None:
    """Return the whole number that a text of digits 0 to 9 is; None where it is none."""
    return int(text) if _WHOLE.fullmatch(text.strip()) else None


def finite(text: str) -> float | None:
    """Return the finite number that a text is, written as 1, 0.1 or 1e-3; None where it is none."""
    found = float(text) if _NUMBER.fullmatch(text.strip()) else None
    return found if found is not None and abs(found) < float("inf") else None


def expanded(path: str | Path, fix: str = "Write the path in full.") -> Path:
    """Return a path with a leading `~` or `~USER` replaced by that home folder.

    Raises:
        ZslbenchError: If it is empty, or there is no such home: no HOME and no entry of this user
            in the system's list (containers), or no such user.
    """
    if path == "":
        raise ZslbenchError("A path is empty. Write . for the current folder.")
    try:
        full = Path(path).expanduser()
    except RuntimeError:
        full = Path(os.devnull, path)
    if str(path).startswith("~") and full.is_relative_to(os.devnull):  # see startup.py
        raise ZslbenchError(f"{path}: the home folder that ~ means is not known. {fix}")
    return full


def recordable(name: str) -> str:
    """Return a name as records, databases and tables can hold it.

    Python keeps the bytes of a file name that is not UTF-8 as lone surrogates, which no encoding
    takes: they become escapes, the same that a terminal shows.
    """
    return name.encode("utf-8", "backslashreplace").decode()


def one_line(name: str) -> str:
    """Return a file name as a line of a text file can hold it: else percent-encoded; see `on_disk`.

    A file's name may hold line ends, and bytes that are no text.
    """
    plain = recordable(name) == name and not _CONTROL.search(name)
    return name if plain else quote_from_bytes(os.fsencode(name))


def on_disk(name: str) -> str:
    """Return the file name that `one_line` has percent-encoded; what is no file name stays."""
    found = os.fsdecode(unquote_to_bytes(name))
    return name if "/" in found else found


def folded(name: str) -> str:
    """Return what names that differ in case, or in how an accent is composed, have in common."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
