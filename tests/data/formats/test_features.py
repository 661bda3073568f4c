"""Feature files of every format: the same dataset, mapped where it can be; and what is refused."""

import pickle
import sys
import zipfile

import h5py
import numpy as np
import pytest
from datasets import write_tiny
from safetensors.numpy import save_file
from scipy.io import loadmat, savemat

from zslbench.cli import main
from zslbench.data.formats.items import find_feature_files, read_items
from zslbench.data.load import DataRequest, load_dataset
from zslbench.data.verify import verify
from zslbench.errors import DataError, ZslbenchError

CLASSES = 12
FILES = ("res101.mat", "vit.npy", "vit.npz", "vit.h5", "vit.hdf5", "vit.safetensors", "v73.mat")


def write_v73(path, content):
    """Write arrays as MATLAB's `save -v7.3` does: axes in reverse, texts as references."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name in ("features", "labels"):
            array = np.atleast_2d(content[name])
            array = array if name == "features" else array.reshape(1, -1).astype(float)
            file.create_dataset(name, data=array, chunks=True, compression="gzip")
        texts = np.empty((1, len(content["image_files"])), dtype=h5py.ref_dtype)
        for number, text in enumerate(content["image_files"]):
            cell = file.create_dataset(f"#refs#/{number}", data=np.frombuffer(
                text.encode("utf-16-le"), "<u2")[:, None])  # fmt: skip
            cell.attrs["MATLAB_class"] = np.bytes_("char")
            texts[0, number] = cell.ref
        file["image_files"] = texts
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")


def write(path, content):
    """Write features `[n, d]` and whatever else of `content` the format has room for."""
    if path.name == "v73.mat":
        write_v73(path, content)
    elif path.suffix == ".mat":
        turned = {"features": content["features"].T, "labels": content["labels"][:, None]}
        savemat(path, turned | {"image_files": np.array(content["image_files"], dtype=object)})
    elif path.suffix == ".npy":
        np.save(path, content["features"])
    elif path.suffix == ".npz":
        np.savez(path, **content)
    elif path.suffix == ".safetensors":
        save_file(
            {k: np.ascontiguousarray(v) for k, v in content.items() if v.dtype.kind != "U"}, path
        )
    else:
        with h5py.File(path, "w") as file:
            for name, value in content.items():
                file[name] = value.astype("S") if value.dtype.kind == "U" else value


@pytest.fixture
def folder(tmp_path):
    """A dataset with an `index.csv` and no feature file."""
    folder = write_tiny(tmp_path / "data" / "tiny")
    labels, files = (
        read_items(folder, None, CLASSES).labels,
        read_items(folder, None, CLASSES).files,
    )
    lines = [f"{n},{c + 1},{f}" for n, (c, f) in enumerate(zip(labels, files, strict=True), 1)]
    (folder / "index.csv").write_text("\n".join(["index_1based,label_1based,image_file", *lines]))
    return folder


@pytest.fixture
def content(folder):
    """What a feature file of it holds, in single precision; `res101.mat` is removed."""
    mat = loadmat(folder / "res101.mat")
    (folder / "res101.mat").unlink()
    files = [str(text[0]) for text in mat["image_files"].ravel()]
    features = np.ascontiguousarray(mat["features"].T, dtype=np.float32)
    return {"features": features, "labels": mat["labels"].ravel(), "image_files": np.array(files)}


def load(folder, features=None):
    return load_dataset(DataRequest(folder.name, folder.parent, features=features))


def stored(folder):
    """Return the array behind the only feature file's rows."""
    return load(folder).inputs._stored


def is_mapped(array):
    while array is not None and not isinstance(array, np.memmap):
        array = array.base
    return array is not None


@pytest.mark.parametrize("name", FILES)
def test_every_format_is_the_same_dataset(folder, content, name):
    write(folder / name, content)
    found, (asked,) = load(folder), find_feature_files(folder)
    np.testing.assert_array_equal(found.inputs[:], content["features"])
    write(folder / "other.mat", content)
    expected = load(folder, "other")
    assert found.backbone.name == f"features:{asked}"
    assert found.digest == expected.digest
    assert found.backbone.weights_digest == expected.backbone.weights_digest
    assert load(folder, asked).backbone == found.backbone


@pytest.mark.parametrize("name", [name for name in FILES if name != "vit.npy"])
def test_labels_and_files_come_with_the_features(folder, content, name):
    (folder / "index.csv").unlink()
    write(folder / name, content)
    items = read_items(folder, None, CLASSES)
    np.testing.assert_array_equal(items.labels, content["labels"] - 1)
    assert items.files == ([] if name.endswith("safetensors") else content["image_files"].tolist())
    assert verify("tiny", folder.parent).problems == []


@pytest.mark.parametrize("name", ["vit.npz", "vit.h5", "vit.safetensors"])
@pytest.mark.parametrize("told", [None, 0, 1])
@pytest.mark.parametrize("stated", [False, True])
def test_the_file_or_its_user_says_that_seen_classes_trained_the_network(
    folder, content, name, told, stated
):
    write(folder / name, content if told is None else content | {"fine_tuned": np.array([told])})
    request = DataRequest(folder.name, folder.parent, fine_tuned=stated)
    backbone = load_dataset(request).backbone
    assert backbone.fine_tuned == (told == 1 or stated)
    assert ("fine_tuned" in backbone.identity) == backbone.fine_tuned
    noted = [note for note in verify("tiny", folder.parent).notes if "fine-tuned" in note]
    assert len(noted) == (told == 1)


@pytest.mark.parametrize("name", ["res101_finetuned.mat", "fine-tuned.npz", "ViT_FineTune.npy"])
def test_a_file_that_says_nothing_is_taken_at_its_names_word(folder, content, name):
    write(folder / name, content)
    (asked,) = find_feature_files(folder)
    assert load(folder, asked).backbone.fine_tuned
    if name.endswith("npz"):
        write(folder / name, content | {"fine_tuned": np.array([0])})
        assert not load(folder, asked).backbone.fine_tuned


@pytest.mark.parametrize("name", [name for name in FILES if name != "res101.mat"])
def test_without_labels_those_of_the_dataset_are_taken(folder, content, name):
    if name == "v73.mat":
        write(folder / name, content)
        with h5py.File(folder / name, "r+") as file:
            del file["labels"], file["image_files"]
    else:
        write(folder / name, {"features": content["features"]})
    found = load(folder)
    np.testing.assert_array_equal(found.inputs[:], content["features"])
    assert verify("tiny", folder.parent).problems == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda files: files[::-1], "item 1 has image file .* here and .* in index.csv"),
        (lambda files: files[:5], "`features` has 144 items for 5 image files"),
    ],
    ids=["in another order", "too few"],
)
def test_image_files_without_labels_are_those_of_the_dataset(folder, content, change, said):
    del content["labels"]
    write(folder / "vit.npz", content)
    assert load(folder).backbone.name == "features:vit.npz"
    write(folder / "vit.npz", content | {"image_files": change(content["image_files"])})
    with pytest.raises(DataError, match=said):
        load(folder)


def test_labels_of_another_feature_file_do_where_there_is_no_index(folder, content):
    (folder / "index.csv").unlink()
    write(folder / "res101.mat", content)
    write(folder / "vit.npy", content)
    assert load(folder, "vit.npy").digest == load(folder, "res101").digest
    (folder / "res101.mat").unlink()
    with pytest.raises(DataError, match=r"neither a feature file with labels .* nor an index"):
        load(folder)


@pytest.mark.parametrize("name", ["vit.npy", "vit.npz", "vit.h5", "vit.safetensors"])
@pytest.mark.parametrize("kind", ["float16", "float32", "float64", "int8", ">f4"])
def test_rows_stay_in_the_file_in_their_own_numbers(folder, content, name, kind):
    if name.endswith("safetensors") and kind == ">f4":
        pytest.skip("safetensors are little-endian")
    content["features"] = content["features"].astype(kind)
    write(folder / name, content)
    assert is_mapped(stored(folder)) and stored(folder).dtype == np.dtype(kind)
    batch = load(folder).inputs[np.array([5, 3])]
    assert batch.dtype == (np.float64 if kind in ("float64", "int8") else np.float32)
    np.testing.assert_array_equal(batch, content["features"][[5, 3]])


def test_what_is_compressed_or_turned_is_read_in_its_own_numbers(folder, content):
    half = content["features"].astype(np.float16)
    np.savez_compressed(folder / "a.npz", features=half)
    np.save(folder / "b.npy", np.asfortranarray(half))
    with h5py.File(folder / "c.h5", "w") as file:
        file.create_dataset("features", data=half, chunks=(8, 4), compression="gzip")
    for name in find_feature_files(folder):
        rows = load(folder, name).inputs._stored
        assert not is_mapped(rows) and rows.dtype == np.float16 and rows.flags.c_contiguous
        np.testing.assert_array_equal(rows, half)


def test_a_digest_is_that_of_the_numbers_that_methods_get(folder, content):
    half = content["features"].astype(np.float16)
    np.save(folder / "half.npy", half)
    np.save(folder / "single.npy", half.astype(np.float32))
    write(folder / "ints.mat", content | {"features": half.astype(np.int16)})
    np.save(folder / "double.npy", half.astype(np.int16).astype(np.float64))
    found = {
        name: load(folder, name).backbone.weights_digest for name in find_feature_files(folder)
    }
    assert found["half.npy"] == found["single.npy"] != found["ints"] == found["double.npy"]


def test_a_file_of_an_unusual_name_for_its_kind_is_called_by_it(folder, content):
    for name in ("vit.npy", "vit.mat"):
        write(folder / name, content)
    assert list(find_feature_files(folder)) == ["vit", "vit.npy"]
    with pytest.raises(DataError, match=r"several feature files \(vit, vit\.npy\)"):
        load(folder)
    with pytest.raises(ZslbenchError, match=r"no feature file 'vit.npz'.*Did you mean 'vit.npy'\?"):
        load(folder, "vit.npz")


def array(**changes):
    """Return a writer of arrays changed: left out where the change is None."""

    def damage(path, content):
        changed = {name: change(content[name]) for name, change in changes.items()}
        write(path, {k: v for k, v in (content | changed).items() if v is not None})

    return damage


def with_fine_tuned(value):
    return lambda path, content: write(path, content | {"fine_tuned": np.array(value)})


def holding(number):
    def change(features):
        features = features.copy()
        features[143, 9] = number
        return features

    return change


def raw(change):
    def damage(path, content):
        write(path, content)
        path.write_bytes(change(path.read_bytes()))

    return damage


def objects(path, content):
    """Write what only a pickle can hold."""
    rows = np.array([[str(path)]], dtype=object)
    if path.suffix == ".npz":
        np.savez(path, features=rows)
    else:
        np.save(path, rows, allow_pickle=True)


def twice(path, content):
    write(path, content)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("features.npy", b"")


def group(path, content):
    with h5py.File(path, "w") as file:
        file.create_group("features")


def bfloat(path, content):
    import torch
    from safetensors.torch import save_file

    save_file({"features": torch.zeros(144, 10, dtype=torch.bfloat16)}, path)


BAD = {
    "NaN": (array(features=holding(np.nan)), "`features` holds nan in item 144, dimension 10"),
    "inf": (array(features=holding(np.inf)), "`features` holds inf in item 144, dimension 10"),
    "turned": (array(features=np.transpose), "10 "),
    "complex": (array(features=lambda v: v * 1j), "`features` is complex"),
    "one axis": (array(features=lambda v: v[:, 0]), "`features` is float32 of shape (144,)"),
    "too short": (array(features=lambda v: v[:-1]), "143 "),
    "cut": (raw(lambda b: b[:-100]), "is not a readable"),
    "cut in the header": (raw(lambda b: b[:7]), "is not a readable"),
    "empty": (raw(lambda b: b""), "is not a readable"),
    "text": (raw(lambda b: b"0.1 0.2\n" * 9), "is not a readable"),
    "pickled": (raw(lambda b: pickle.dumps(np.zeros(3))), "is not a readable"),
}
ALSO = [
    ("vit.npz", array(features=lambda v: None), "has no array `features`"),
    ("vit.npz", array(labels=lambda v: v - 1), "`labels` holds 0, which is no index from 1 to 12"),
    ("vit.npz", array(labels=lambda v: v[:-1]), "`image_files` names 144 files for 143 labels"),
    ("vit.npz", array(image_files=lambda v: np.arange(144)), "not a cell array of strings"),
    ("vit.npz", twice, "two arrays of one name"),
    ("vit.npz", with_fine_tuned([2]), "`fine_tuned` holds [2], which is neither 1 nor 0"),
    ("vit.h5", with_fine_tuned([0, 1]), "`fine_tuned` holds [0, 1], which is neither 1 nor 0"),
    ("vit.npz", objects, "Object arrays cannot be loaded"),
    ("vit.npy", objects, "Python objects in dtype"),
    ("vit.h5", group, "is a group, not an array"),
    ("vit.safetensors", bfloat, "is not a readable .safetensors file"),
    ("vit.npy", array(features=lambda v: v.astype(np.longdouble)), "not a matrix of real numbers"),
]
CASES = [(name, *BAD[bad]) for name in ("vit.npy", "vit.npz", "vit.h5", "vit.safetensors")
         for bad in BAD if (name, bad) != ("vit.safetensors", "complex")]  # fmt: skip


@pytest.mark.parametrize(("name", "damage", "said"), CASES + ALSO)
def test_a_bad_file_is_refused_in_one_paragraph(
    folder, content, tmp_path, monkeypatch, capsys, name, damage, said
):
    damage(folder / name, content)
    words = ["run", "eszsl", "--dataset", "tiny", "--data-root", folder.parent]
    words += ["--results", tmp_path / "results"]
    monkeypatch.setattr(sys, "argv", ["zslbench", *map(str, words)])
    with pytest.raises(SystemExit) as end:
        main()
    out, err = capsys.readouterr()
    assert (end.value.code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"zslbench: {folder / name}: ") and said in err
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("name", ["vit.npy", "vit.npz", "vit.h5", "vit.safetensors", "v73.mat"])
@pytest.mark.parametrize("seed", range(8))
def test_a_damaged_file_is_refused_or_read(folder, content, name, seed):
    write(folder / name, content)
    data, rng = bytearray((folder / name).read_bytes()), np.random.default_rng(seed)
    for place in rng.integers(0, min(len(data), 2048), 4):
        data[place] ^= 1 << int(rng.integers(8))
    (folder / name).write_bytes(data)
    try:
        assert load(folder).inputs.shape == content["features"].shape
    except DataError as refused:
        assert "\n" not in str(refused)


def test_a_table_of_something_else_is_noted_and_refused_as_features(folder, content):
    write(folder / "res101.mat", content)
    np.save(folder / "words.npy", np.ones((8, 300)))
    np.savez(folder / "more.npz", other=np.ones(3))
    found = verify("tiny", folder.parent)
    assert found.problems == []
    assert any("words.npy: has 8 rows for the 144 items of index.csv" in n for n in found.notes)
    assert any("more.npz: has no array `features`" in note for note in found.notes)
    with pytest.raises(DataError, match="8 rows for the 144 items"):
        load(folder, "words.npy")
    assert load(folder).backbone.name == "features:res101"
