"""MATLAB v5 files as untrusted input: arrays come out checked, everything else is a `DataError`."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.errors import DataError

AGAIN = "Download the file again; it may be truncated or altered."


def read_variables(path: Path, names: tuple[str, ...] | None = None) -> dict[str, NDArray[Any]]:
    """Return the variables of a `.mat` file that are there, of those named.

    Raises:
        DataError: If the file is missing or is not a readable MATLAB v5 file.
    """
    from scipy.io import loadmat

    if not path.is_file():
        raise DataError(path, "there is no such file", "Check --data-root and the file's name.")
    try:
        content = loadmat(str(path), variable_names=names, verify_compressed_data_integrity=True)
    except NotImplementedError as error:
        message = "is a MATLAB v7.3 (HDF5) file, and only v5 is read"
        raise DataError(path, message, "Save it in MATLAB with save(..., '-v7').") from error
    except Exception as error:  # scipy's parser raises whatever a broken file leads it to
        reason = f"{type(error).__name__}: {error}"[:120].rstrip(". ")
        raise DataError(path, f"is not a readable MATLAB v5 file ({reason})", AGAIN) from error
    return {
        name: value
        for name, value in content.items()
        if not name.startswith("__") and isinstance(value, np.ndarray)
    }


def require(variables: dict[str, NDArray[Any]], name: str, path: Path) -> NDArray[Any]:
    """Return a variable, or say that it is missing and what there is instead."""
    if name not in variables:
        found = ", ".join(sorted(variables)) or "none"
        raise DataError(path, f"has no variable `{name}` (found: {found})", AGAIN)
    return variables[name]


def real_matrix(value: NDArray[Any], name: str, path: Path) -> NDArray[np.floating]:
    """Return a two-dimensional, finite, real array as stored (float32 stays float32)."""
    if value.ndim != 2 or value.dtype.kind not in "fiu" or value.size == 0:
        message = f"`{name}` is {value.dtype} of shape {value.shape}, not a real matrix"
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
    whole = np.rint(flat).astype(np.int64)
    if (whole != flat).any() or whole.min() < 1 or (top is not None and whole.max() > top):
        bad = flat[(whole != flat) | (whole < 1) | (whole > (top or whole.max()))][0]
        message = f"`{name}` holds {bad:g}, which is no index from 1 to {top or 'n'}"
        raise DataError(path, message, AGAIN)
    zero_based: NDArray[np.int64] = whole - 1
    return zero_based


def strings(value: NDArray[Any], name: str, path: Path) -> list[str]:
    """Return the strings of a cell array."""
    found = []
    for cell in value.ravel():
        inner = np.asarray(cell).ravel()
        if inner.size != 1 or inner.dtype.kind not in "US":
            raise DataError(path, f"`{name}` is not a cell array of strings", AGAIN)
        found.append(str(inner[0]))
    return found
