"""MATLAB v5 files: sound ones are read as SciPy reads them, damaged ones are refused."""

import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from scipy.io import loadmat, savemat

from zslbench.data.formats.matlab import indices, read_variables, real_matrix, strings
from zslbench.errors import DataError

MATLABS_OWN = Path(scipy.io.__file__).parent / "matlab" / "tests" / "data"
HERE = Path("there.mat")
ARRAYS = {
    "double": np.array([[1.5, -2.0, np.pi], [1e300, 5e-324, -0.0]]),
    "single": np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4),
    "three_dimensional": np.arange(24.0).reshape(2, 3, 4),
    "empty": np.zeros((0, 3)),
    "not_finite": np.array([[np.nan, np.inf]]),
    "a_name_of_thirty_one_characters": np.ones((1, 1)),
    **{kind: np.array([[0, 1], [2, 100]], dtype=kind) for kind in ("i1", "u2", "i4", "u8")},
}
TEXTS = ["abbey", "grizzly+bear", "Kákapó", "鳥", "x" * 300]


def element(kind, data, order="<"):
    return struct.pack(f"{order}II", kind, len(data)) + data + bytes(-len(data) % 8)


def matrix(name, code, shape, *parts, order="<"):
    """Return the bytes of a variable, written by hand."""
    flags = struct.pack(f"{order}II", code, 0)
    dims = struct.pack(f"{order}{len(shape)}i", *shape)
    head = element(6, flags, order) + element(5, dims, order) + element(1, name.encode(), order)
    return element(14, head + b"".join(parts), order)


def write(path, *variables, order="<"):
    version = {"<": b"\x00\x01IM", ">": b"\x01\x00MI"}[order]
    path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(124) + version + b"".join(variables))
    return path


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "compressed"])
@pytest.mark.parametrize("name", ARRAYS)
def test_read_variables_returns_what_scipy_wrote(tmp_path, name, compressed):
    savemat(tmp_path / "a.mat", {name: ARRAYS[name]}, do_compression=compressed)
    value = read_variables(tmp_path / "a.mat", (name,))[name]
    assert value.dtype == ARRAYS[name].dtype
    np.testing.assert_array_equal(value, ARRAYS[name])


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "compressed"])
def test_read_variables_returns_cells_of_text(tmp_path, compressed):
    cells = np.array(TEXTS, dtype=object)[:, None]
    savemat(tmp_path / "a.mat", {"names": cells}, do_compression=compressed)
    value = read_variables(tmp_path / "a.mat", ("names",))["names"]
    assert value.shape == (len(TEXTS), 1)
    assert strings(value, "names", HERE) == TEXTS


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("testdouble_7.4_GLNX86.mat", "testdouble"),
        ("testdouble_6.1_SOL2.mat", "testdouble"),
        ("test3dmatrix_7.1_GLNX86.mat", "test3dmatrix"),
        ("testminus_7.4_GLNX86.mat", "testminus"),
        ("testmulti_7.4_GLNX86.mat", "theta"),
        ("testmulti_7.1_GLNX86.mat", "a"),
        ("big_endian.mat", "floats"),
    ],
)
def test_read_variables_agrees_with_scipy_on_files_of_matlab_itself(file, name):
    if not (MATLABS_OWN / file).is_file():
        pytest.skip("SciPy is installed without its test data")
    expected = loadmat(MATLABS_OWN / file, mat_dtype=True)[name]
    value = read_variables(MATLABS_OWN / file, (name,))[name]
    assert value.dtype.kind == expected.dtype.kind
    np.testing.assert_array_equal(value, expected)


@pytest.mark.parametrize("order", ["<", ">"], ids=["little", "big"])
def test_read_variables_knows_both_byte_orders_and_texts_of_matlab(tmp_path, order):
    words = ["Kea", "鳥"]
    codec = {"<": "utf-16-le", ">": "utf-16-be"}[order]
    texts = [
        matrix("", 4, (1, len(word)), element(4, word.encode(codec), order), order=order)
        for word in words
    ]
    counts = element(3, struct.pack(f"{order}2h", 1, -2), order)
    path = write(
        tmp_path / "a.mat",
        matrix("names", 1, (2, 1), *texts, order=order),
        matrix("few", 6, (1, 2), counts, order=order),
        order=order,
    )
    found = read_variables(path, ("names", "few"))
    assert found["names"].ravel().tolist() == words
    assert found["few"].tolist() == [[1.0, -2.0]]
    assert found["few"].dtype == np.float64


def test_read_variables_returns_the_rows_of_a_table_of_characters(tmp_path):
    savemat(tmp_path / "a.mat", {"names": TEXTS})
    value = read_variables(tmp_path / "a.mat", ("names",))["names"]
    assert strings(value, "names", HERE) == TEXTS


def test_read_variables_needs_the_memory_of_the_array_alone(tmp_path):
    features = np.random.default_rng(0).standard_normal((1000, 1000))
    savemat(tmp_path / "a.mat", {"features": features}, do_compression=True)
    tracemalloc.start()
    read_variables(tmp_path / "a.mat", ("features",))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.3 * features.nbytes


@pytest.mark.slow
@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "compressed"])
def test_read_variables_survives_every_flipped_bit(tmp_path, compressed):
    path = tmp_path / "a.mat"
    content = {"att": np.eye(2), "names": np.array(["kea", "kiwi"], object), "rows": ["ab", "c"]}
    savemat(path, content, do_compression=compressed)
    sound = path.read_bytes()
    refused = 0
    for bit in range(8 * 128, 8 * len(sound)):
        damaged = bytearray(sound)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        try:
            read_variables(path, (), ("att", "names", "rows"))
        except DataError:
            refused += 1
    assert refused > len(sound)


def test_read_variables_leaves_out_what_is_optional_and_absent(tmp_path):
    savemat(tmp_path / "a.mat", {"att": np.eye(2), "other": np.eye(3)})
    assert set(read_variables(tmp_path / "a.mat", ("att",), ("labels",))) == {"att"}


def test_read_variables_passes_over_kinds_it_does_not_read(tmp_path):
    content = {"s": {"a": 1.0}, "text": "hello", "att": np.eye(2)}
    savemat(tmp_path / "a.mat", content)
    assert read_variables(tmp_path / "a.mat", ("att",))["att"].shape == (2, 2)
    with pytest.raises(DataError, match="`s` is a struct, not a full matrix"):
        read_variables(tmp_path / "a.mat", ("s",))


NUMBERS = element(9, struct.pack("<2d", 1, 2))
NOISE = element(9, np.random.default_rng(0).bytes(1600))
LONG = element(14, b"")[:4] + struct.pack("<I", 2**31)
OPAQUE = element(
    14, element(6, struct.pack("<II", 17, 0)) + element(1, b"a") + element(1, b"MCOS") + NUMBERS
)
DAMAGE = {
    "type code without meaning": (matrix("a", 6, (1, 2), element(41, bytes(16))), "type 41"),
    "type code 0": (matrix("a", 6, (1, 2), element(0, bytes(16))), "type 0"),
    "unknown class": (matrix("a", 40, (1, 2), NUMBERS), "of class 40"),
    "longer than the file": (LONG, "bytes too early"),
    "shape too large": (matrix("a", 6, (2**31 - 1, 2**31 - 1), NUMBERS), "size 2 into shape"),
    "negative shape": (matrix("a", 6, (-1, -2), NUMBERS), "a shape of"),
    "one dimension": (matrix("a", 6, (2,), NUMBERS), "a shape of"),
    "values left over": (matrix("a", 6, (1, 2), NUMBERS, NUMBERS), "goes on after"),
    "no values": (matrix("a", 6, (1, 2)), "too early"),
    "stored wider than its class": (matrix("a", 9, (1, 2), NUMBERS), "to dtype('uint8')"),
    "cells without end": (matrix("a", 1, (2**31 - 1, 1)), "0 cells for shape"),
    "cell that is no matrix": (matrix("a", 1, (1, 2), NUMBERS), "type 9 where"),
    "text of another length": (
        matrix("a", 1, (1, 1), matrix("", 4, (1, 9), element(16, b"kea"))),
        "a text of 3 characters",
    ),
    "text that is not UTF-8": (
        matrix("a", 1, (1, 1), matrix("", 4, (1, 1), element(16, b"\xff"))),
        "can't decode",
    ),
    "short element of five bytes": (struct.pack("<HHI", 14, 5, 0), "short element"),
    "name that is none": (matrix("a\0", 6, (1, 2), NUMBERS), r"of the name 'a\x00'"),
    "no matrix": (NUMBERS, "type 9 where"),
    "twice": (matrix("a", 6, (1, 2), NUMBERS) * 2, "holds `a` twice"),
    "not deflated": (element(15, b"not deflated")[:20], "incorrect header check"),
    "deflated and cut": (
        element(15, zlib.compress(matrix("a", 6, (1, 200), NOISE))[:1200]),
        "could not read bytes",
    ),
}


@pytest.mark.parametrize(("content", "said"), DAMAGE.values(), ids=DAMAGE)
def test_read_variables_refuses_what_breaks_the_format(tmp_path, content, said):
    path = write(tmp_path / "a.mat", content)
    with pytest.raises(DataError) as refused:
        read_variables(path, ("a",))
    assert "is not a readable MATLAB v5 file" in refused.value.what
    assert said in refused.value.what


UNREAD = {
    "object": (matrix("a", 3, (1, 1), NUMBERS), "is an object"),
    "function": (matrix("a", 16, (1, 1), NUMBERS), "is a function"),
    "opaque object": (OPAQUE, "is an object"),
    "complex": (matrix("a", 0x806, (1, 2), NUMBERS, NUMBERS), "is complex"),
}


@pytest.mark.parametrize(("content", "said"), UNREAD.values(), ids=UNREAD)
def test_read_variables_says_how_to_store_what_it_does_not_read(tmp_path, content, said):
    """Such a file is sound: MATLAB's own string arrays, for one, are objects."""
    path = write(tmp_path / "a.mat", content)
    with pytest.raises(DataError, match=rf"a\.mat: `.*` {said}.*names as a cell array") as refused:
        read_variables(path, ("a",))
    assert "ownload" not in refused.value.fix


def test_read_variables_is_not_led_into_deep_recursion(tmp_path):
    nested = matrix("", 6, (1, 2), NUMBERS)
    for _ in range(3000):
        nested = matrix("", 1, (1, 1), nested)
    path = write(tmp_path / "a.mat", matrix("a", 1, (1, 1), nested))
    with pytest.raises(DataError, match="not a cell array of strings"):
        strings(read_variables(path, ("a",))["a"], "a", path)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([[0]], "holds 0"),
        ([[4]], "holds 4"),
        ([[1.5]], "holds 1.5"),
        ([[-1]], "holds -1"),
        ([[1e300]], "holds 1e+300"),
        ([[np.nan]], "holds nan at row 1, column 1"),
        ([[1j]], "is complex128"),
        ([["1"]], "is text"),
        ([[None]], "is a cell array"),
        (np.zeros((1, 1, 1)), "is float64 of shape (1, 1, 1)"),
        (np.zeros((0, 1)), "is float64 of shape (0, 1)"),
    ],
)
def test_indices_are_whole_numbers_from_1_to_the_top(value, said):
    with pytest.raises(DataError) as refused:
        indices(np.asarray(value), "loc", HERE, top=3)
    assert refused.value.what.startswith(f"`loc` {said}")


def test_indices_become_zero_based():
    assert indices(np.array([[3], [1]], dtype=np.uint16), "loc", HERE, top=3).tolist() == [2, 0]


def test_real_matrix_keeps_single_precision_and_widens_integers():
    assert real_matrix(np.eye(2, dtype=np.float32), "att", HERE).dtype == np.float32
    assert real_matrix(np.eye(2, dtype=np.uint8), "att", HERE).dtype == np.float64


@pytest.mark.parametrize("bad", ["", " ", "two\nlines", "\x1b[31m", None, 7.0])
def test_strings_are_printable_and_not_empty(bad):
    with pytest.raises(DataError, match=r"`names`.*\bentry 2"):
        strings(np.array([["kea"], [bad]], dtype=object), "names", HERE)
