"""MATLAB v5 files as untrusted input: arrays come out checked, everything else is a `DataError`.

SciPy reads the numbers, after a look at their tags: one wrong type code makes its reader (1.17)
follow a null pointer, which ends the process. Texts are read here: cells in cells overrun its
stack, and it replaces what it cannot decode. Nothing else is read: no struct, object or function.
Format: MathWorks, "MAT-File Format", chapter 1.
"""

import math
import os
import struct
import zlib
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from zslbench.data.texts import nfc
from zslbench.errors import DataError, reading

FAULTS = (TypeError, struct.error, zlib.error, MemoryError)
AGAIN = "Download the file again; it may be truncated or altered."
MISSING = "Check --data-root and the file's name."
STORE = "Store numbers as a full matrix, and names as a cell array of strings."

HDF5 = b"\x89HDF\r\n\x1a\n"
BYTE_ORDERS = {b"\x00\x01IM": "<", b"\x01\x00MI": ">"}
HEADER, HEAD = 128, 1024  # bytes of a file's header; more than lie before a variable's values
LONGEST = 2**28  # bytes of a variable of texts: enough for a million names, no bomb
MATRIX, COMPRESSED = 14, 15
CELL, CHAR, OPAQUE, COMPLEX = 1, 4, 17, 0x800
TYPES = (1, 2, 3, 4, 5, 6, 7, 9, 12, 13)
NUMBERS = dict(enumerate(("f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"), start=6))
UNREAD = {2: "a struct", 3: "an object", 5: "sparse", 16: "a function", OPAQUE: "an object"}
UTF8, UTF16, UTF32 = ("utf-8", 1), ("utf-16", 2), ("utf-32", 4)
TEXTS = {1: UTF8, 2: UTF8, 4: UTF16, 16: UTF8, 17: UTF16, 18: UTF32}


def read_variables(
    path: Path, required: tuple[str, ...], optional: tuple[str, ...] = ()
) -> dict[str, NDArray[Any]]:
    """Return variables of a `.mat` file; the optional ones where they are there.

    A cell array is an array of `str` objects, with None where a cell is no text; a table of
    characters is an array of texts, one a row, without the blanks that fill it up.

    Raises:
        DataError: If the file is missing, is not a MATLAB v5 file, or lacks a required variable.
    """
    from scipy.io import loadmat

    failing = "is not a readable MATLAB v5 file"
    with reading(path, failing, AGAIN, *FAULTS, missing=MISSING):
        with path.open("rb") as file:
            found = _scan(file, _byte_order(file.read(520), path), {*required, *optional})
        kinds = {name: kind for name, kind in found.items() if isinstance(kind, str)}
        numbers = loadmat(str(path), variable_names=list(kinds), appendmat=False)
        for name, kind in kinds.items():  # small integers are stored in fewer bytes
            found[name] = numbers[name].astype(kind, casting="safe", copy=False)
    for name in required:
        if name not in found:
            listing = ", ".join(sorted(found)) or "none"
            fix = "Add it, or take the file that holds it."
            raise DataError(path, f"has no variable `{name}` (found: {listing})", fix)
    return {name: value for name, value in found.items() if isinstance(value, np.ndarray)}


def names_in(path: Path) -> set[str]:
    """Return the names of a `.mat` file's variables, of which no values are read.

    Raises:
        DataError: If the file is not a MATLAB v5 file.
    """
    with reading(path, "is not a readable MATLAB v5 file", AGAIN, *FAULTS), path.open("rb") as file:
        return set(_scan(file, _byte_order(file.read(520), path), set()))


def is_hdf5(path: Path) -> bool:
    """Return whether a `.mat` file is one of v7.3.

    Raises:
        DataError: If it is missing.
    """
    with reading(path, "cannot be read", AGAIN, missing=MISSING), path.open("rb") as file:
        return _starts_hdf5(file.read(520))


def _starts_hdf5(start: bytes) -> bool:
    return HDF5 in (start[:8], start[512:])


def _byte_order(start: bytes, path: Path) -> str:
    if _starts_hdf5(start):
        message = "is a MATLAB v7.3 (HDF5) file, and only v5 is read"
        raise DataError(path, message, "Save it in MATLAB with save(..., '-v7').")
    if start[124:HEADER] not in BYTE_ORDERS or 0 in start[:4]:  # SciPy takes a 0 there for v4
        raise ValueError("its header is not that of a v5 file")
    return BYTE_ORDERS[start[124:HEADER]]


def _scan(file: BinaryIO, order: str, wanted: set[str]) -> dict[str, NDArray[Any] | str | None]:
    """Return texts as they are, the MATLAB type of numbers, None for what is not wanted."""
    found: dict[str, NDArray[Any] | str | None] = {}
    begin, end = HEADER, os.fstat(file.fileno()).st_size
    while begin < end:
        file.seek(begin)
        kind, size = _Elements(file.read(8), order).tag()
        element = partial(_element, file, begin, kind, size)
        begin += 8 + size
        if begin > end:
            raise ValueError(f"it ends {begin - end} bytes too early")
        matrix = _Matrix(_Elements(element(HEAD), order))
        if matrix.name not in wanted:
            found[matrix.name] = None
        elif matrix.name in found:
            raise ValueError(f"it holds `{matrix.name}` twice")
        elif matrix.code in (CELL, CHAR):
            found[matrix.name] = _Matrix(_Elements(element(LONGEST), order)).texts()
        elif unread := matrix.unread():
            message = f"`{matrix.name}` is {unread}, not a full matrix or cell array"
            raise DataError(file.name, message, STORE)
        else:
            found[matrix.name] = matrix.number_type()
    return found


def _element(file: BinaryIO, begin: int, kind: int, size: int, length: int) -> bytes:
    """Return a variable as one element, or its beginning, inflated if it is compressed."""
    file.seek(begin if kind != COMPRESSED else begin + 8)
    if kind != COMPRESSED:
        return file.read(min(8 + size, length))
    return zlib.decompressobj().decompress(file.read(min(size, length)), length)


class _Elements:
    """The elements of a stretch of a file: type codes with their bytes, never beyond its end."""

    def __init__(self, data: bytes, order: str) -> None:
        self.data, self.order, self.position = data, order, 0

    def tag(self) -> tuple[int, int]:
        """Return type and size of the next element, whose bytes `take` gives."""
        kind, size = struct.unpack(self.order + "II", self.take(8))
        if kind > 0xFFFF:
            kind, size, self.position = kind & 0xFFFF, kind >> 16, self.position - 4
            if size > 4:
                raise ValueError(f"a short element of {size} bytes")
        return kind, size

    def next(self) -> tuple[int, bytes]:
        kind, size = self.tag()
        body = self.take(size)
        self.position += -self.position % 8
        return kind, body

    def take(self, size: int) -> bytes:
        begin, self.position = self.position, self.position + size
        if self.position > len(self.data):
            raise ValueError(f"it ends {self.position - len(self.data)} bytes too early")
        return self.data[begin : self.position]


class _Matrix:
    """A variable or cell, whose header was read; its values are next."""

    def __init__(self, rest: _Elements) -> None:
        kind, size = rest.tag()
        self.rest, self.end = rest, rest.position + size + -size % 8
        if kind != MATRIX:
            raise ValueError(f"type {kind} where a variable or cell is expected")
        kind, flags = rest.next() if size else (6, bytes(8))  # an empty cell has no header
        if kind != 6 or len(flags) != 8:
            raise ValueError("a variable without flags")
        self.flags = struct.unpack(rest.order + "II", flags)[0]
        self.code = self.flags & 0xFF
        dims = rest.next()[1] if size and self.code != OPAQUE else bytes(8)
        self.shape = tuple(np.frombuffer(dims, rest.order + "i4").tolist())
        if len(self.shape) < 2 or min(self.shape) < 0:
            raise ValueError(f"a shape of {self.shape[:8]}")
        self.name = str(rest.next()[1], "ascii") if size else ""
        if self.name and not self.name.isidentifier():
            raise ValueError(f"a variable of the name {self.name[:40]!r}")

    def unread(self) -> str:
        """Return what a variable is that holds neither real numbers nor texts; else nothing."""
        return "complex" if self.flags & COMPLEX else UNREAD.get(self.code, "")

    def number_type(self) -> str:
        """Return the type of numbers that SciPy can read."""
        if self.code not in NUMBERS:
            raise ValueError(f"`{self.name}` is of class {self.code}")
        kind, size = self.rest.tag()
        if kind not in TYPES:
            raise ValueError(f"numbers of type {kind}")
        end = self.rest.position + size
        if end + -end % 8 != self.end:
            raise ValueError(f"`{self.name}` goes on after its last value")
        return NUMBERS[self.code]

    def texts(self) -> NDArray[Any]:
        """Return the rows of a table of characters, or the cells of an array of them."""
        if self.code == CHAR:
            text, rows = self.text(), self.shape[0]
            if len(self.shape) > 2 or len(text) != math.prod(self.shape):
                raise ValueError(f"`{self.name}` is no table of characters")
            return np.array([text[row::rows].rstrip() for row in range(rows)], dtype=str)
        texts = []
        while self.rest.position < self.end:
            cell = _Matrix(self.rest)
            texts.append(cell.text() if cell.code == CHAR and cell.shape[0] <= 1 else None)
            self.rest.position = cell.end
        if len(texts) != math.prod(self.shape):
            raise ValueError(f"`{self.name}` has {len(texts)} cells for shape {self.shape}")
        return np.array(texts, dtype=object).reshape(self.shape, order="F")

    def text(self) -> str:
        """Return a text, or a table of characters column by column."""
        kind, body = self.rest.next()
        if kind not in TEXTS:
            raise ValueError(f"text of type {kind}")
        encoding, unit = TEXTS[kind]
        text = str(body, encoding + ("-le" if self.rest.order == "<" else "-be") * (unit > 1))
        if math.prod(self.shape) not in (len(text), len(body) // unit):
            raise ValueError(f"a text of {len(text)} characters, declared as {self.shape}")
        return text


def check_real(value: NDArray[Any], name: str, path: Path, fix: str = STORE) -> None:
    """Check that an array is a matrix of real numbers of up to 64 bits.

    Raises:
        DataError: If it is not.
    """
    real = value.dtype.kind in "fiu" and value.dtype.itemsize <= 8
    if value.ndim != 2 or not real or value.size == 0:
        kind = {"O": "a cell array", "U": "text"}.get(value.dtype.kind, str(value.dtype))
        message = f"`{name}` is {kind} of shape {value.shape}, not a matrix of real numbers"
        raise DataError(path, message, fix)


def real_matrix(value: NDArray[Any], name: str, path: Path) -> NDArray[np.floating]:
    """Return a two-dimensional, finite, real array as stored (float32 stays float32).

    Raises:
        DataError: If it is none.
    """
    check_real(value, name, path)
    matrix = value if value.dtype.kind == "f" else value.astype(np.float64)
    if not np.isfinite(matrix).all():
        row, column = np.argwhere(~np.isfinite(matrix))[0]
        message = f"`{name}` holds {matrix[row, column]} at row {row + 1}, column {column + 1}"
        raise DataError(path, message, "Replace it by a number, or download the file again.")
    return matrix


def indices(
    value: NDArray[Any], name: str, path: Path, top: int | None = None
) -> NDArray[np.int64]:
    """Return 1-based MATLAB indices as 0-based int64 `[n]`, checked to lie in 1..top."""
    flat = real_matrix(value, name, path).ravel()
    bad = flat[(flat != np.rint(flat)) | (flat < 1) | (flat > (top or np.iinfo(np.int32).max))]
    if len(bad):
        message = f"`{name}` holds {bad[0]:.10g}, which is no index from 1 to {top or 'n'}"
        raise DataError(path, message, "Count items and classes from 1 on, as MATLAB does.")
    zero_based: NDArray[np.int64] = flat.astype(np.int64) - 1
    return zero_based


def strings(value: NDArray[Any], name: str, path: Path) -> list[str]:
    """Return the strings of a cell array, or the rows of a table of characters."""
    texts = value.ravel().tolist()
    for number, text in enumerate(texts, start=1):
        if not isinstance(text, str):
            message = f"`{name}` is not a cell array of strings (entry {number})"
            raise DataError(path, message, STORE)
        if not text.strip() or not text.isprintable():
            raise DataError(path, f"`{name}` holds {text!r} as entry {number}", AGAIN)
    return [nfc(text) for text in texts]
