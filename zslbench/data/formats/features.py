"""Feature files: a row an item, in the order of the splits, and what the file says of the items.

| file | features | beside them |
|---|---|---|
| `.mat`, v5 (`res101.mat`) | `features [d, n]` | `labels [n, 1]`, `image_files [n, 1]` or none |
| `.mat`, v7.3 | the same, which HDF5 holds as `[n, d]` | likewise, or no labels |
| `.h5`, `.hdf5`, `.npz` | `features [n, d]` | `labels [n]` and `image_files [n]`, or none |
| `.safetensors` | `features [n, d]` | `labels [n]` or none |
| `.npy` | the array `[n, d]` | nothing |

Labels count from 1. All but `.npy` may hold `fine_tuned`, one number: 1 if labels of all seen
classes trained the network, so that nothing may be tuned with it; else 0. A file that says nothing
and is called so (`res101_finetuned.mat`) is taken at its name's word. Rows that lie in the file as
they are get mapped; what is compressed, or stored column by column, is read into memory in the
numbers it is stored in. Nothing is unpickled.
"""

import json
import math
import re
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.data.formats.matlab import (
    AGAIN,
    MISSING,
    check_real,
    indices,
    is_hdf5,
    read_variables,
    strings,
)
from zslbench.data.rows import FeatureRows, pieces
from zslbench.data.types import Int
from zslbench.errors import DataError, reading

Arrays = dict[str, NDArray[Any]]
ABOUT = ("labels", "image_files")
FINE_TUNED = "fine_tuned"
PLAIN = "Write it again, with plain numbers (no objects, no bfloat16), or download it again."
FIX = "Write `features` as [n, d], a row an item in the order of the splits (in MATLAB as [d, n])."


class NoFeaturesError(DataError):
    """A file of a format that features come in, which holds something else."""


def read_features(path: Path, classes: int) -> tuple[FeatureRows, Int | None, list[str]]:
    """Return features `[n, d]`, and what `read_labels` does, of a feature file.

    What can be mapped is checked piece by piece and stays on disk.

    Raises:
        NoFeaturesError: If it holds no features.
        DataError: If it cannot be read, or what it holds cannot be used.
    """
    found = _arrays(path, (*ABOUT, FINE_TUNED, "features"))
    labels, files = _about(found, path, classes)
    if "features" not in found:
        raise NoFeaturesError(path, "has no array `features`", FIX)
    check_real(found["features"], "features", path, FIX)
    stored = np.ascontiguousarray(found["features"])
    for name, said in (("labels", labels), ("image files", files or None)):
        if said is not None and len(said) != len(stored):
            message = f"`features` has {len(stored)} items for {len(said)} {name}"
            raise DataError(path, message, FIX)
    _check_finite(stored, path)
    return FeatureRows(stored, fine_tuned=_fine_tuned(found, path)), labels, files


def read_labels(path: Path, classes: int) -> tuple[Int | None, list[str]]:
    """Return the class of each item `[n]` and its file, as far as a feature file says them.

    Args:
        path: The file.
        classes: How many the dataset has.

    Raises:
        DataError: If it cannot be read, or what it says cannot be right.
    """
    return _about(_arrays(path, ABOUT), path, classes)


def _arrays(path: Path, wanted: tuple[str, ...]) -> Arrays:
    """Return the arrays of these names that a file holds, features with a row an item."""
    if path.suffix == ".mat" and not is_hdf5(path):
        optional = (*ABOUT, FINE_TUNED)
        required = tuple(name for name in wanted if name not in optional[1:])
        found = read_variables(path, required, optional)
        return {name: array.T if name == "features" else array for name, array in found.items()}
    # These readers raise whatever a broken file leads them to.
    with reading(path, f"is not a readable {path.suffix} file", PLAIN, Exception, missing=MISSING):
        return READERS[path.suffix](path, wanted)


def _about(found: Arrays, path: Path, classes: int) -> tuple[Int | None, list[str]]:
    labels, files = None, []
    if "labels" in found:
        labels = indices(np.atleast_2d(found["labels"]), "labels", path, classes)
    if "image_files" in found:
        files = strings(found["image_files"], "image_files", path)
        if labels is not None and len(files) != len(labels):
            message = f"`image_files` names {len(files)} files for {len(labels)} labels"
            raise DataError(path, message, AGAIN)
    return labels, files


def _fine_tuned(found: Arrays, path: Path) -> bool:
    named = re.search(r"fine[-_ ]?tun", path.stem, re.IGNORECASE) is not None
    told = np.ravel(found.get(FINE_TUNED, int(named))).tolist()
    if told not in ([0], [1]):
        message = f"`{FINE_TUNED}` holds {told[:3]}, which is neither 1 nor 0"
        raise DataError(path, message, "Write 1 if labels of all seen classes trained it, else 0.")
    return told == [1]


def _check_finite(features: NDArray[Any], path: Path) -> None:
    for where, batch in pieces(features):
        if not np.isfinite(batch).all():
            row, column = np.argwhere(~np.isfinite(batch))[0]
            place = f"item {where.start + row + 1}, dimension {column + 1}"
            message = f"`features` holds {batch[row, column]} in {place}"
            raise DataError(path, message, "Replace it by a number, or extract them again.")


def _npy(path: Path, wanted: tuple[str, ...]) -> Arrays:
    return {"features": np.lib.format.open_memmap(path, mode="r")} if "features" in wanted else {}


def _npz(path: Path, wanted: tuple[str, ...]) -> Arrays:
    with zipfile.ZipFile(path) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        if len(members) < len(archive.infolist()):
            raise ValueError("it holds two arrays of one name")
        return {name: _member(archive, members[name], path) for name in wanted if name in members}


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> NDArray[Any]:
    """Return an array of an archive, mapped where its bytes lie there as they are."""
    with archive.open(info) as file:
        if info.compress_type == zipfile.ZIP_STORED and np.lib.format.read_magic(file) == (1, 0):
            shape, turned, dtype = np.lib.format.read_array_header_1_0(file)
            if dtype.kind in "fiu":
                if file.tell() + math.prod(shape) * dtype.itemsize != info.file_size:
                    raise ValueError(f"{info.filename} is of another length than it says")
                begin = _begin(path, info) + file.tell()
                return np.memmap(path, dtype, "r", begin, shape, "F" if turned else "C")
        file.seek(0)
        array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
        return array


def _begin(path: Path, info: zipfile.ZipInfo) -> int:
    """Return where a member's bytes begin: behind a header that says how long it is."""
    with path.open("rb") as file:
        file.seek(info.header_offset + 26)
        name, extra = struct.unpack("<HH", file.read(4))
        return info.header_offset + 30 + int(name) + int(extra)


def _hdf5(path: Path, wanted: tuple[str, ...]) -> Arrays:
    import h5py

    with h5py.File(path, "r") as file:
        return {name: _dataset(file[name], path) for name in wanted if name in file}


def _dataset(node: Any, path: Path) -> NDArray[Any]:
    """Return an array of an HDF5 file, mapped where it is contiguous; texts as `str` objects."""
    import h5py

    if not isinstance(node, h5py.Dataset):
        raise ValueError(f"{node.name} is a group, not an array")
    begin = node.id.get_offset()
    if node.dtype.kind in "fiu" and begin is not None and not node.external:
        return np.memmap(path, node.dtype, "r", begin, node.shape)
    if h5py.check_string_dtype(node.dtype):
        return np.asarray(node.asstr()[()])
    if h5py.check_ref_dtype(node.dtype):  # MATLAB's cells
        return np.array([_text(node.file[cell]) for cell in node[()].flat], dtype=object)
    return np.asarray(node[()])


def _text(cell: Any) -> str | None:
    """Return a MATLAB text; None where a cell is something else."""
    if cell.attrs.get("MATLAB_class") != b"char":
        return None
    return "" if "MATLAB_empty" in cell.attrs else str(cell[()].tobytes(), "utf-16-le")


def _safetensors(path: Path, wanted: tuple[str, ...]) -> Arrays:
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file, path.open("rb") as raw:
        names = {*wanted} & {*file.keys()}
        found = {name: file.get_tensor(name) for name in names - {"features"}}
        if "features" in names:
            rows, length = file.get_slice("features"), int.from_bytes(raw.read(8), "little")
            begin = json.loads(raw.read(length))["features"]["data_offsets"][0] + 8 + length
            found["features"] = np.memmap(path, rows[:1].dtype, "r", begin, tuple(rows.get_shape()))
        return found


READERS: dict[str, Callable[[Path, tuple[str, ...]], Arrays]] = {
    ".npy": _npy,
    ".npz": _npz,
    ".safetensors": _safetensors,
    **dict.fromkeys((".mat", ".h5", ".hdf5"), _hdf5),
}
