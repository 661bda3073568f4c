"""Data that cannot be used: one paragraph that names file, value and fix, and nothing written."""

import gzip
import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from datasets import write_tiny
from scipy.io import loadmat, savemat

from zslbench.cli import main
from zslbench.data.formats.items import read_items
from zslbench.data.load import DataRequest, load_dataset
from zslbench.errors import DataError, ZslbenchError

SPLITS, FEATURES = "att_splits.mat", "res101.mat"
ZSLBENCH = Path(sys.executable).with_name("zslbench")


def alter(file, **changes):
    """Return the damage: variables of a file replaced, or left out where the value is None."""

    def damage(folder):
        content = {k: v for k, v in loadmat(folder / file).items() if not k.startswith("__")}
        for name, change in changes.items():
            value = change(content[name]) if callable(change) else change
            content[name] = value
            if value is None:
                del content[name]
        savemat(folder / file, content)

    return damage


def put(row, column, number):
    def change(value):
        value = value.astype(np.result_type(value, np.asarray(number)))
        value[row, column] = number
        return value

    return change


def to_bytes(file, change):
    def damage(folder):
        (folder / file).write_bytes(change((folder / file).read_bytes()))

    return damage


def remove(file):
    return lambda folder: (folder / file).unlink()


class Bomb:
    """A pickle that, once loaded, leaves a file behind."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def pickled(file):
    def damage(folder):
        (folder / file).write_bytes(pickle.dumps(Bomb(folder / "executed")))

    return damage


def names_of_attributes(count):
    lines = "".join(f"{i} name {i}\n" for i in range(1, count + 1))
    return lambda folder: (folder / "attributes.txt").write_text(lines)


HDF5 = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(384) + b"\x89HDF\r\n\x1a\n"
ONE = np.array([[1]])
OBJECTS = np.array([["a", "b"], ["c", "d"]], dtype=object)
BAD = {
    "cut": (to_bytes(SPLITS, lambda b: b[:3000]), SPLITS, "bytes too early"),
    "cut in the header": (to_bytes(SPLITS, lambda b: b[:90]), SPLITS, "not that of a v5 file"),
    "empty": (to_bytes(SPLITS, lambda b: b""), SPLITS, "not that of a v5 file"),
    "text": (to_bytes(SPLITS, lambda b: b"att = 1\n" * 50), SPLITS, "not that of a v5 file"),
    "v7.3": (to_bytes(SPLITS, lambda b: HDF5), SPLITS, "is a MATLAB v7.3 (HDF5) file"),
    "pickled": (pickled(SPLITS), SPLITS, "is not a readable MATLAB v5 file"),
    "no att": (
        alter(SPLITS, att=None),
        SPLITS,
        "has no variable `att` (found: allclasses_names, original_att, test_seen_loc",
    ),
    "att NaN": (alter(SPLITS, att=put(2, 4, np.nan)), SPLITS, "`att` holds nan at row 3, column 5"),
    "original_att inf": (
        alter(SPLITS, original_att=put(0, 0, np.inf)),
        SPLITS,
        "`original_att` holds inf at row 1, column 1",
    ),
    "att complex": (alter(SPLITS, att=lambda a: a * 1j), SPLITS, "`att` is complex"),
    "att text": (alter(SPLITS, att="none"), SPLITS, "`att` is text"),
    "att objects": (alter(SPLITS, att=OBJECTS), SPLITS, "`att` is a cell array"),
    "att struct": (alter(SPLITS, att={"a": 1.0}), SPLITS, "`att` is a struct"),
    "att with too few classes": (
        alter(SPLITS, att=lambda a: a[:, :-1]),
        SPLITS,
        "`allclasses_names` has 12 names for 11 columns of `att`",
    ),
    "att with too few attributes": (
        alter(SPLITS, att=lambda a: a[:-1]),
        SPLITS,
        "`original_att` is (8, 12), `att` is (7, 12)",
    ),
    "att of other values": (
        alter(SPLITS, att=lambda a: a[:, ::-1]),
        SPLITS,
        "`att` is not `original_att` with unit columns (class class_",
    ),
    "class of zeros": (
        alter(SPLITS, att=lambda a: a * (np.arange(12) != 5)),
        SPLITS,
        "class class_5 has no attribute other than 0",
    ),
    "names twice": (
        alter(SPLITS, allclasses_names=put(3, 0, "class_4")),
        SPLITS,
        "class 'class_4' stands there twice, in entries 4 and 5",
    ),
    "names are numbers": (
        alter(SPLITS, allclasses_names=np.arange(12.0)[:, None]),
        SPLITS,
        "`allclasses_names` is not a cell array of strings",
    ),
    "locs overlap": (
        alter(SPLITS, test_seen_loc=put(0, 0, 2)),
        SPLITS,
        "`test_seen_loc` and `trainval_loc` overlap in 1 items",
    ),
    "locs twice": (
        alter(SPLITS, trainval_loc=put(0, 0, 3)),
        SPLITS,
        "`trainval_loc` names items twice",
    ),
    "locs out of range": (
        alter(SPLITS, test_unseen_loc=put(0, 0, 145)),
        SPLITS,
        "the splits hold 144 items but name item 145",
    ),
    "locs far out of range": (alter(SPLITS, trainval_loc=put(0, 0, 1e18)), SPLITS, "holds 1e+18"),
    "locs 0": (alter(SPLITS, trainval_loc=put(0, 0, 0)), SPLITS, "`trainval_loc` holds 0"),
    "locs -1": (alter(SPLITS, trainval_loc=put(0, 0, -1)), SPLITS, "`trainval_loc` holds -1"),
    "locs 2.5": (alter(SPLITS, trainval_loc=put(0, 0, 2.5)), SPLITS, "`trainval_loc` holds 2.5"),
    "locs complex": (
        alter(SPLITS, trainval_loc=put(0, 0, 2j)),
        SPLITS,
        "`trainval_loc` is complex",
    ),
    "locs text": (alter(SPLITS, trainval_loc="1:90"), SPLITS, "`trainval_loc` is text"),
    "locs empty": (
        alter(SPLITS, test_seen_loc=np.zeros((0, 1))),
        SPLITS,
        "`test_seen_loc` is float64 of shape (0, 1)",
    ),
    "val_loc 0": (alter(SPLITS, train_loc=ONE, val_loc=0 * ONE), SPLITS, "`val_loc` holds 0"),
    "leak": (
        alter(SPLITS, train_loc=ONE + 1, val_loc=ONE),
        SPLITS,
        "1 test images are inside train_loc and val_loc",
    ),
    "items missing": (
        alter(FEATURES, labels=lambda v: v[:-2], features=lambda v: v[:, :-2], image_files=None),
        FEATURES,
        "holds 142 items, att_splits.mat beside it 144",
    ),
    "features cut": (to_bytes(FEATURES, lambda b: b[:5000]), FEATURES, "bytes too early"),
    "features pickled": (pickled(FEATURES), FEATURES, "is not a readable MATLAB v5 file"),
    "no feature file": (remove(FEATURES), "", "has no feature file"),
    "no features": (alter(FEATURES, features=None), FEATURES, "has no variable `features`"),
    "no labels": (alter(FEATURES, labels=None), FEATURES, "has no variable `labels`"),
    "features NaN": (
        alter(FEATURES, features=put(9, 143, np.nan)),
        FEATURES,
        "`features` holds nan in item 144, dimension 10",
    ),
    "features turned round": (
        alter(FEATURES, features=lambda v: v.T),
        FEATURES,
        "`features` has 10 items for 144 labels",
    ),
    "labels out of range": (
        alter(FEATURES, labels=put(0, 0, 13)),
        FEATURES,
        "`labels` holds 13, which is no index from 1 to 12",
    ),
    "label 0": (alter(FEATURES, labels=put(0, 0, 0)), FEATURES, "`labels` holds 0"),
    "files missing": (
        alter(FEATURES, image_files=lambda v: v[:-1]),
        FEATURES,
        "`image_files` names 143 files for 144 labels",
    ),
    "attribute names missing": (names_of_attributes(7), "", "7 attribute names for 8 attributes"),
    "attribute names are no text": (
        lambda folder: (folder / "attributes.txt").write_bytes(b"\xff\xfe\x00"),
        "attributes.txt",
        "line 1 is no UTF-16 text (byte 0x00)",
    ),
}
THROUGH_THE_PROCESS = ["cut", "no att", "att NaN", "locs overlap", "pickled"]
cases = pytest.mark.parametrize(("damage", "file", "said"), BAD.values(), ids=BAD)


@pytest.fixture
def damaged(tmp_path, damage):
    """A data root with one dataset, `tiny`, damaged."""
    damage(write_tiny(tmp_path / "data" / "tiny"))
    return tmp_path / "data"


def check_paragraph(text, path, said):
    assert text.startswith(f"zslbench: {path}: ")
    assert said in text
    assert text.count("\n") == 1
    assert text.endswith(".\n")
    assert "Traceback" not in text


def words(root, results, *more):
    run = ["run", "eszsl", "--dataset", "tiny", "--data-root", root, "--results", results]
    return [*map(str, run), *more]


@cases
def test_load_refuses_with_file_value_and_mend(damaged, file, said):
    with pytest.raises(DataError) as refused:
        load_dataset(DataRequest("tiny", damaged))
    assert refused.value.where == str(damaged / "tiny" / file)
    assert said in refused.value.what
    assert refused.value.fix.endswith(".")


@cases
def test_run_says_what_is_wrong_in_one_paragraph_and_writes_nothing(
    damaged, tmp_path, monkeypatch, capsys, file, said
):
    before = sorted(damaged.rglob("*"))
    monkeypatch.setattr(sys, "argv", ["zslbench", *words(damaged, tmp_path / "results")])
    with pytest.raises(SystemExit) as end:
        main()
    out, err = capsys.readouterr()
    assert end.value.code == 2
    assert out == ""
    check_paragraph(err, damaged / "tiny" / file, said)
    assert not (tmp_path / "results").exists()
    assert sorted(damaged.rglob("*")) == before


@pytest.mark.parametrize(
    ("damage", "file", "said"), [BAD[k] for k in THROUGH_THE_PROCESS], ids=THROUGH_THE_PROCESS
)
def test_the_process_ends_with_status_2_and_one_json_document(damaged, tmp_path, file, said):
    results = tmp_path / "results"
    results.mkdir()
    command = [ZSLBENCH, *words(damaged, results, "--json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    check_paragraph(done.stderr, damaged / "tiny" / file, said)
    assert list(json.loads(done.stdout)) == ["error"]
    assert said in json.loads(done.stdout)["error"]
    assert not any(results.iterdir())
    assert not (damaged / "tiny" / "executed").exists()


def test_a_planted_pickle_would_show_if_it_were_loaded(tmp_path):
    pickled("a.mat")(tmp_path)
    pickle.loads((tmp_path / "a.mat").read_bytes())
    assert (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no column 'image_file' in its first line (nothing)"),
        ("1,2,a.jpg\n", "has no column 'image_file' in its first line (1, 2, a.jpg)"),
        ("index_1based,label_1based\n1,1\n", "has no column 'image_file'"),
        ("index_1based,label_1based,image_file\n1,1,a,b\n", "line 2 has 4 cells, the first 3"),
        ("index_1based,image_file,image_file\n1,a,b\n", "twice, in places 2 and 3"),
        (
            "index_1based,label_1based,image_file\n2,1,a.jpg\n1,2,a.jpg\n",
            "image file 'a.jpg' stands there twice, in items 1 and 2",
        ),
        ("index_1based,label_1based,image_file\n2,1,a.jpg\n", "`index_1based` is not 1..n"),
        ("index_1based,label_1based,image_file\n1,1,a\n1,1,b\n", "`index_1based` is not 1..n"),
        ("index_1based,label_1based,image_file\n1,one,a.jpg\n", "line 2: label_1based is 'one'"),
        ("index_1based,label_1based,image_file\n1,,a.jpg\n", "`label_1based` holds nan"),
        ("index_1based,label_1based,image_file\n1,9,a.jpg\n", "`label_1based` holds 9"),
        ("index_1based,label_1based,image_file\n1,1.5,a.jpg\n", "`label_1based` holds 1.5"),
        ("index_1based,label_1based,image_file\n1,1,\n", "names no image file for item 1"),
    ],
)
def test_an_index_that_cannot_be_right_is_refused(tmp_path, text, said):
    (tmp_path / "index.csv").write_text(text)
    with pytest.raises(DataError) as refused:
        read_items(tmp_path, None, classes=8)
    assert said in refused.value.what
    assert refused.value.where == str(tmp_path / "index.csv")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("seed", range(20))
def test_a_damaged_packed_index_is_refused(tmp_path, seed):
    rows = "".join(f"{i},{i % 8 + 1},photos/{i}.jpg\n" for i in range(1, 500))
    packed = bytearray(gzip.compress(b"index_1based,label_1based,image_file\n" + rows.encode()))
    rng = np.random.default_rng(seed)
    packed[int(rng.integers(10, len(packed)))] ^= 1 << int(rng.integers(8))
    (tmp_path / "index.csv.gz").write_bytes(packed)
    with pytest.raises(DataError, match=r"index\.csv\.gz: cannot be read"):
        read_items(tmp_path, None, classes=8)


def test_a_folder_without_splits_is_no_dataset(tmp_path):
    remove(SPLITS)(write_tiny(tmp_path / "tiny"))
    with pytest.raises(ZslbenchError, match="There is no dataset 'tiny'"):
        load_dataset(DataRequest("tiny", tmp_path))
