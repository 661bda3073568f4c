"""Text files that users bring, all read in one way.

They are UTF-8, or UTF-16 where a byte-order mark says so; marks are no part of the text. Lines end
in LF, CRLF or CR. Text is in Unicode's normal form NFC, so that a name equals itself whatever
system it was written on. A gzip file is unpacked; any other packed file is refused.
"""

import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

from zslbench.errors import DataError, reading

GZIP, MARK, UTF16 = b"\x1f\x8b", b"\xef\xbb\xbf", (b"\xff\xfe", b"\xfe\xff")
PACKED = {
    b"PK\x03\x04": "zip",
    b"BZh91AY&SY": "bzip2",
    b"\xfd7zXZ\0": "xz",
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"Rar!": "rar",
    b"\x28\xb5\x2f\xfd": "zstandard",
}
ENDS = re.compile("\r\n?")
UNPACK = "Unpack it first; save a spreadsheet as CSV."
SAVE = "Save it as plain text in UTF-8."


def nfc(text: str) -> str:
    """Return a text in normal form NFC: one character for a letter with its accent."""
    return normalize("NFC", text)


@contextmanager
def unpacked(path: Path) -> Iterator[BinaryIO]:
    """Open a file as bytes: behind the byte-order mark of UTF-8, and out of its gzip file.

    Raises:
        DataError: If it is packed in another way.
    """
    with path.open("rb") as file:
        start = file.read(10)
        for magic, kind in PACKED.items():
            if start.startswith(magic):
                raise DataError(path, f"is a {kind} file", UNPACK)
        file.seek(0)
        packed = start.startswith(GZIP)
        content = cast(BinaryIO, gzip.GzipFile(fileobj=file)) if packed else file
        if content.read(len(MARK)) != MARK:
            content.seek(0)
        yield content


def read_text(path: Path, missing: str = "Check its path.") -> str:
    """Return what a text file holds.

    Args:
        path: The file.
        missing: What to do where there is no such file.

    Raises:
        DataError: If it cannot be read, or is no text, with the line.
    """
    fix = "See that you may read it, or download it again."
    failing = reading(path, "cannot be read", fix, EOFError, zlib.error, missing=missing)
    with failing, unpacked(path) as file:
        data = file.read()
    encoding = "UTF-16" if data.startswith(UTF16) else "UTF-8"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = _line(data[: error.start].decode(encoding, "ignore"))
        message = f"line {line} is no {encoding} text (byte {data[error.start]:#04x})"
        raise DataError(path, message, SAVE) from None
    if "\0" in text:
        line = _line(text.partition("\0")[0])
        raise DataError(path, f"line {line} is no text: it holds a null character", SAVE)
    return nfc(ENDS.sub("\n", text).replace("\ufeff", ""))


def _line(before: str) -> int:
    """Return the number of the line that a text breaks off in."""
    return ENDS.sub("\n", before).count("\n") + 1


def read_lines(path: Path) -> dict[int, str]:
    """Return line number -> line, stripped, of the lines of a text file that are not blank."""
    lines = enumerate(read_text(path).split("\n"), start=1)
    return {number: line.strip() for number, line in lines if line.strip()}


def read_json(path: Path, fix: str, missing: str = "Check its path.") -> Any:
    """Return what a JSON file holds; a key that stands twice in an object is refused."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        refuse_twice(path, "key", dict(enumerate((key for key, _ in pairs), start=1)), "places")
        return dict(pairs)

    text = read_text(path, missing)
    with reading(path, "is no readable JSON", fix, RecursionError):
        return json.loads(text, object_pairs_hook=once)


def read_csv(path: Path, fix: str) -> tuple[list[str], dict[int, list[str]]]:
    """Return the header of a CSV file, and line number -> cells of the rows that are not blank.

    Raises:
        DataError: If a column's name comes twice, or a row is longer or shorter than the header.
    """
    text = read_text(path)
    with reading(path, "is not a readable CSV file", fix, csv.Error):
        lines = csv.reader(io.StringIO(text), strict=True)
        numbered = [(lines.line_num, row) for row in lines if any(map(str.strip, row))]
    rows = dict(numbered)
    header = [" ".join(cell.split()) for cell in rows.pop(min(rows, default=0), [])]
    refuse_twice(path, "column", {n: name for n, name in enumerate(header, 1) if name}, "places")
    for line, row in rows.items():
        if len(row) != len(header):
            message = f"line {line} has {len(row)} cells, the first {len(header)}"
            raise DataError(path, f"{message} ({','.join(row)[:60]})", fix)
    return header, rows


def read_table(
    path: Path, texts: Sequence[str], numbers: Sequence[str], fix: str
) -> tuple[list[list[str]], NDArray[np.float64]]:
    """Return a CSV's columns of texts, and its columns of numbers `[n, columns]`, NaN where empty.

    Raises:
        DataError: If it lacks one of them, or a cell is no number.
    """
    header, rows = read_csv(path, fix)
    for name in (*texts, *numbers):
        if name not in header:
            found = ", ".join(header)[:100] or "nothing"
            raise DataError(path, f"has no column {name!r} in its first line ({found})", fix)
    columns = dict(zip(header, zip(*rows.values(), strict=True), strict=False))
    table = np.empty((len(rows), len(numbers)))
    for place, name in enumerate(numbers):
        for row, (line, cell) in enumerate(zip(rows, columns.get(name, ()), strict=True)):
            try:
                table[row, place] = float(cell.strip() or "nan")
            except ValueError:
                raise DataError(path, f"line {line}: {name} is {cell!r}, no number", fix) from None
    return [list(columns.get(name, ())) for name in texts], table


def find_text(folder: Path, name: str) -> Path | None:
    """Return a text file of a folder, packed or not, where there is one.

    Raises:
        DataError: If there are several.
    """
    tries = (folder / f"{name}{ending}" for ending in ("", ".gz", ".zip"))
    found = [path for path in tries if path.is_file()]
    if len(found) > 1:
        raise DataError(found[0], f"lies beside {found[1].name}", "Remove one of the two.")
    return found[0] if found else None


def refuse_twice(
    path: Path, kind: str, names: Mapping[int, str], places: str = "lines",
    fix: str = "Remove one of the two.",
) -> None:  # fmt: skip
    """Refuse a name that a file gives twice.

    Args:
        path: The file.
        kind: What is named.
        names: The name at each place.
        places: What the places are.
        fix: What to do.

    Raises:
        DataError: With both places.
    """
    first: dict[str, int] = {}
    for place, name in names.items():
        if first.setdefault(name, place) != place:
            message = f"{kind} {name!r} stands there twice, in {places} {first[name]} and {place}"
            raise DataError(path, message, fix)
