"""MATLAB v5 files as untrusted input: arrays come out checked, everything else is a `DataError`.

They are read here and not by SciPy: one flipped bit in a type code makes its reader (1.17) follow
a null pointer, which ends the process. Read is what datasets are made of: matrices of numbers, and
cell arrays of texts. Format: MathWorks, "MAT-File Format", chapter 1.
"""

import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.errors import DataError

AGAIN = "Download the file again; it may be truncated or altered."

HDF5 = b"\x89HDF\r\n\x1a\n"
HEADER = 128
BYTE_ORDERS = {b"\x00\x01IM": "<", b"\x01\x00MI": ">"}
MATRIX, COMPRESSED = 14, 15
CELL, CHAR, OPAQUE = 1, 4, 17
COMPLEX = 0x08
TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
UTF8, UTF16, UTF32 = ("utf-8", 1), ("utf-16", 2), ("utf-32", 4)
TEXTS = {1: UTF8, 2: UTF8, 4: UTF16, 16: UTF8, 17: UTF16, 18: UTF32}
NUMBERS = {
    6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8",
}  # fmt: skip
UNREAD = {2: "a struct", 3: "an object", CHAR: "a text", 5: "a sparse matrix", 16: "a function",
          OPAQUE: "an object"}  # fmt: skip


def read_variables(
    path: Path, required: tuple[str, ...], optional: tuple[str, ...] = ()
) -> dict[str, NDArray[Any]]:
    """Return variables of a `.mat` file; the optional ones where they are there.

    Raises:
        DataError: If the file is missing, is not a MATLAB v5 file, or lacks a required variable.
    """
    if not path.is_file():
        raise DataError(path, "there is no such file", "Check --data-root and the file's name.")
    found: dict[str, NDArray[Any] | None] = {}
    try:
        content = path.read_bytes()
        _refuse_version_7_3(content, path)
        for matrix in _matrices(content):
            wanted = matrix.name in required or matrix.name in optional
            if wanted and matrix.name in found:
                raise ValueError(f"it holds `{matrix.name}` twice")
            found[matrix.name] = matrix.value() if wanted else None
    except (ValueError, zlib.error, OSError, MemoryError) as error:
        reason = f"{str(error) or type(error).__name__}"[:120].rstrip(". ")
        raise DataError(path, f"is not a readable MATLAB v5 file ({reason})", AGAIN) from error
    for name in required:
        if name not in found:
            listing = ", ".join(sorted(found)) or "none"
            raise DataError(path, f"has no variable `{name}` (found: {listing})", AGAIN)
    return {name: value for name, value in found.items() if value is not None}


def _refuse_version_7_3(content: bytes, path: Path) -> None:
    if HDF5 in (content[:8], content[512:520]):
        message = "is a MATLAB v7.3 (HDF5) file, and only v5 is read"
        raise DataError(path, message, "Save it in MATLAB with save(..., '-v7').")


class _Elements:
    """The elements of a stretch of a file: type codes with their bytes, never beyond its end."""

    def __init__(self, data: memoryview, order: str) -> None:
        self.data, self.order, self.position = data, order, 0

    def __bool__(self) -> bool:
        return self.position < len(self.data)

    def next(self) -> tuple[int, memoryview]:
        kind, size = struct.unpack(f"{self.order}II", self._take(8))
        if kind >> 16:
            kind, size = kind & 0xFFFF, kind >> 16
            if size > 4:
                raise ValueError(f"a short element of {size} bytes")
            return kind, self.data[self.position - 4 :][:size]
        body = self._take(size)
        if kind != COMPRESSED:
            self.position += -size % 8
        return kind, body

    def _take(self, size: int) -> memoryview:
        begin, self.position = self.position, self.position + size
        if self.position > len(self.data):
            raise ValueError(f"it ends {self.position - len(self.data)} bytes too early")
        return self.data[begin : self.position]

    def numbers(self) -> NDArray[Any]:
        kind, body = self.next()
        if kind not in TYPES:
            raise ValueError(f"numbers of type {kind}")
        stored = np.dtype(self.order + TYPES[kind])
        return np.frombuffer(body, stored).astype(stored.newbyteorder("="), copy=False)


@dataclass(frozen=True)
class _Matrix:
    """A variable or cell whose header was read, its values not yet."""

    name: str
    kind: int
    is_complex: bool
    shape: tuple[int, ...]
    rest: _Elements

    def value(self) -> NDArray[Any]:
        if self.kind == CELL:
            values = self._cells()
        elif self.kind in NUMBERS:
            values = self._numbers()
            if self.is_complex:
                values = values + 1j * self._numbers()
        else:
            what = UNREAD.get(self.kind, f"of class {self.kind}")
            raise ValueError(f"`{self.name}` is {what}, not a full matrix or cell array")
        if self.rest:
            raise ValueError(f"`{self.name}` goes on after its last value")
        if values.size != math.prod(self.shape):
            raise ValueError(f"`{self.name}` has {values.size} values for shape {self.shape}")
        return values.reshape(self.shape, order="F")

    def _numbers(self) -> NDArray[Any]:
        """Return the values; small integers are stored in fewer bytes than their class has."""
        stored, target = self.rest.numbers(), np.dtype(NUMBERS[self.kind])
        if not np.can_cast(stored.dtype, target):
            raise ValueError(f"`{self.name}` stores {target} as {stored.dtype}")
        return stored.astype(target, copy=False)

    def _cells(self) -> NDArray[Any]:
        """Return the texts of a cell array; None stands for a cell that is not text."""
        texts = []
        while self.rest:
            kind, body = self.rest.next()
            cell = _matrix(kind, body, self.rest.order) if len(body) else None
            texts.append(cell.text() if cell and cell.kind == CHAR else None)
        values = np.empty(len(texts), dtype=object)
        values[:] = texts
        return values

    def text(self) -> str | None:
        """Return a text of one line, None for a table of characters."""
        kind, body = self.rest.next() if self.rest else (1, memoryview(b""))
        if kind not in TEXTS:
            raise ValueError(f"text of type {kind}")
        encoding, unit = TEXTS[kind]
        if unit > 1:
            encoding += "-le" if self.rest.order == "<" else "-be"
        text = str(body, encoding)
        if math.prod(self.shape) not in (len(text), len(body) // unit):
            raise ValueError(f"a text of {len(text)} characters, declared as {self.shape}")
        return text if self.shape[0] <= 1 else None


def _matrices(content: bytes) -> Iterator[_Matrix]:
    order = BYTE_ORDERS.get(content[124:HEADER])
    if order is None:
        raise ValueError("its header is not that of a v5 file")
    elements = _Elements(memoryview(content)[HEADER:], order)
    while elements:
        kind, body = elements.next()
        if kind == COMPRESSED:
            inflated = _Elements(memoryview(_inflate(body)), order)
            kind, body = inflated.next()
        yield _matrix(kind, body, order)


def _inflate(body: memoryview) -> bytes:
    inflater = zlib.decompressobj()
    inflated = inflater.decompress(body)
    if not inflater.eof:
        raise ValueError("a compressed variable is cut short")
    return inflated


def _matrix(kind: int, body: memoryview, order: str) -> _Matrix:
    """Read the header of a variable or cell."""
    if kind != MATRIX:
        raise ValueError(f"type {kind} where a variable or cell is expected")
    elements = _Elements(body, order)
    flags = elements.numbers()
    if flags.dtype != np.uint32 or len(flags) != 2:
        raise ValueError("a variable without flags")
    code = int(flags[0]) & 0xFF
    dims = np.zeros(2, np.int32) if code == OPAQUE else elements.numbers()
    if dims.dtype.kind not in "iu" or len(dims) < 2 or (dims < 0).any():
        raise ValueError(f"a shape of {dims.tolist()[:8]}")
    name = str(elements.next()[1], "ascii")
    if name and not name.isidentifier():
        raise ValueError(f"a variable of the name {name[:40]!r}")
    return _Matrix(name, code, bool(flags[0] >> 8 & COMPLEX), tuple(dims.tolist()), elements)


def real_matrix(value: NDArray[Any], name: str, path: Path) -> NDArray[np.floating]:
    """Return a two-dimensional, finite, real array as stored (float32 stays float32)."""
    if value.ndim != 2 or value.dtype.kind not in "fiu" or value.size == 0:
        kind = "a cell array" if value.dtype == object else str(value.dtype)
        message = f"`{name}` is {kind} of shape {value.shape}, not a matrix of real numbers"
        raise DataError(path, message, AGAIN)
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
        raise DataError(path, message, AGAIN)
    zero_based: NDArray[np.int64] = flat.astype(np.int64) - 1
    return zero_based


def strings(value: NDArray[Any], name: str, path: Path) -> list[str]:
    """Return the strings of a cell array."""
    texts = value.ravel().tolist()
    for number, text in enumerate(texts, start=1):
        if not isinstance(text, str):
            message = f"`{name}` is not a cell array of strings (entry {number})"
            raise DataError(path, message, AGAIN)
        if not text.strip() or not text.isprintable():
            raise DataError(path, f"`{name}` holds {text!r} as entry {number}", AGAIN)
    return texts
