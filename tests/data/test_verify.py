"""`verify`: what a dataset holds, and everything that is wrong with it, at once."""

import json
import shutil
import sys

import numpy as np
import pytest
from datasets import write_tiny
from scipy.io import loadmat, savemat

from zslbench.cli import main
from zslbench.data.load import DataRequest, load_dataset
from zslbench.data.provide import UnservedError, check_names_describe
from zslbench.data.verify import verify
from zslbench.errors import DataError

COUNTS = ("classes", "attributes", "trainval", "test_seen", "test_unseen", "seen", "unseen")
REAL = [
    ("CUB", (200, 312, 7057, 1764, 2967, 150, 50), [[100, 50]] * 3),
    ("AWA2", (50, 85, 23527, 5882, 7913, 40, 10), [[27, 13]] * 3),
    ("SUN", (717, 102, 10320, 2580, 1440, 645, 72), [[580, 65]] * 3),
]


@pytest.fixture
def tiny(tmp_path):
    """A tiny dataset that a test may alter."""
    return write_tiny(tmp_path / "data" / "tiny")


def command(monkeypatch, capsys, *words):
    """Return status, standard output and standard error of a command line."""
    monkeypatch.setattr(sys, "argv", ["zslbench", *map(str, words)])
    with pytest.raises(SystemExit) as end:
        main()
    return end.value.code or 0, *capsys.readouterr()


@pytest.mark.parametrize(("name", "counts", "splits"), REAL)
def test_verify_finds_no_problem_with_the_published_files(real_data, name, counts, splits):
    found = verify(name.lower(), real_data / "xlsa17")
    assert found.name == name
    assert found.problems == []
    assert tuple(found.facts[fact] for fact in COUNTS) == counts
    assert found.facts["class_splits"] == splits
    assert any("--images" in note for note in found.notes)


def test_verify_finds_every_image_of_cub20(real_data):
    found = verify("cub20", real_data)
    assert found.problems == []
    assert found.facts["images"] == 1185
    assert found.facts["features"] == ["mobilenetv2"]
    assert found.facts["class_splits"] == [[10, 3], [7, 6], [8, 5]]


@pytest.mark.parametrize(("name", "classes", "attributes"), [("AWA1", 50, 85), ("APY", 32, 64)])
def test_verify_takes_a_folder_that_holds_only_splits(real_data, name, classes, attributes):
    found = verify(name, real_data / "xlsa17")
    assert found.problems == []
    assert (found.facts["classes"], found.facts["attributes"]) == (classes, attributes)
    assert "seen" not in found.facts
    assert any("nothing to run on yet" in note for note in found.notes)


def test_verify_counts_the_leaking_images(real_data, tmp_path):
    folder = tmp_path / "SUN"
    folder.mkdir()
    shutil.copy(real_data / "xlsa17_variants/SUN_2018_leaky/att_splits.mat", folder)
    shutil.copy(real_data / "xlsa17/SUN/index.csv.gz", folder)
    (problem,) = verify("SUN", tmp_path).problems
    assert "2580 test images" in problem
    assert "--resplit" in problem


def test_verify_names_all_problems_at_once(tiny):
    content = {k: v for k, v in loadmat(tiny / "att_splits.mat").items() if k[0] != "_"}
    test_image = content["test_seen_loc"][:1]
    savemat(tiny / "att_splits.mat", content | {"train_loc": test_image, "val_loc": test_image})
    shutil.copy(tiny / "res101.mat", tiny / "cut.mat")
    (tiny / "cut.mat").write_bytes((tiny / "cut.mat").read_bytes()[:5000])
    (tiny / "photos" / "class_0").mkdir(parents=True)
    (tiny / "photos" / "class_0" / "0.jpg").touch()
    (tiny / "testclasses.txt").write_text("class_9")
    (tiny / "trainclasses1.txt").write_text("clas_0")
    (tiny / "valclasses1.txt").write_text("class_1")
    expected = [
        "1 test images are inside train_loc",
        "cut.mat: is not a readable MATLAB v5 file",
        "testclasses.txt: class class_10 is not named here",
        "Did you mean 'class_0'?",
        "143 of 144 image files are not below this folder",
    ]
    problems = verify("tiny", tiny.parent).problems
    assert len(problems) == len(expected)
    for said, problem in zip(expected, problems, strict=True):
        assert said in problem


def test_verify_goes_on_where_the_last_feature_file_is_broken(tiny):
    (tiny / "zzz.mat").write_bytes(b"nothing")
    found = verify("tiny", tiny.parent, images=tiny)
    assert len(found.problems) == 2
    assert "zzz.mat" in found.problems[0]
    assert "144 of 144 image files" in found.problems[1]
    assert found.facts["seen"] == 9


def test_verify_reads_every_feature_file(tiny):
    content = loadmat(tiny / "res101.mat")
    features = content["features"].copy()
    features[0, 0] = np.nan
    savemat(tiny / "vit.mat", {"features": features, "labels": content["labels"]})
    (problem,) = verify("tiny", tiny.parent).problems
    assert "vit.mat: `features` holds nan in item 1, dimension 1" in problem


@pytest.mark.parametrize(
    "held",
    [
        ("att", "trainval_loc", "test_seen_loc", "test_unseen_loc"),  # binaryAtt_splits.mat
        ("trainval_loc",),
        ("original_att", "allclasses_names"),
    ],
)
def test_splits_and_attributes_alone_are_no_feature_file(tiny, held):
    content = loadmat(tiny / "att_splits.mat")
    savemat(tiny / "another.mat", {name: content[name] for name in held})
    found = verify("tiny", tiny.parent)
    assert (found.problems, found.facts["features"]) == ([], ["res101"])
    (tiny / "res101.mat").rename(tiny / "vit.mat")
    data = load_dataset(DataRequest("tiny", tiny.parent))
    assert data.backbone.name == "features:vit"


def change_items(folder, **changes):
    """Write the dataset's items as `vit.mat`, with changes."""
    content = {k: v for k, v in loadmat(folder / "res101.mat").items() if k[0] != "_"}
    savemat(folder / "vit.mat", content | {k: change(content[k]) for k, change in changes.items()})


def moved(files):
    files = files.copy()
    files[5, 0] = "photos/class_3/5.jpg"
    return files


def test_labels_are_compared_with_the_class_folders_of_the_images(tiny):
    change_items(tiny, image_files=moved)
    said = "vit.mat: item 6 is labelled class_0 and lies in photos/class_3"
    assert any(said in problem for problem in verify("tiny", tiny.parent).problems)
    with pytest.raises(DataError, match=said):
        load_dataset(DataRequest("tiny", tiny.parent, features="vit"))


def test_folders_in_folders_are_classes_as_in_sun(tiny):
    content = {k: v for k, v in loadmat(tiny / "att_splits.mat").items() if k[0] != "_"}
    names = content["allclasses_names"].copy()
    names[:2, 0] = ["kitchen", "bakery_kitchen"]
    savemat(tiny / "att_splits.mat", content | {"allclasses_names": names})
    change_items(tiny, image_files=lambda files: np.array(
        [[f"/x/b/bakery/kitchen/{i}.jpg"] if "class_1/" in f[0][0] else [f[0][0]]
         for i, f in enumerate(files)], dtype=object))  # fmt: skip
    load_dataset(DataRequest("tiny", tiny.parent, features="vit"))


def write_index(folder, labels, files):
    rows = [f"{item + 1},{label},{files[item]}" for item, label in enumerate(labels)]
    text = "\n".join(["index_1based,label_1based,image_file", *rows])
    (folder / "index.csv").write_text(text)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda labels, files: None, None),
        (lambda labels, files: labels.__setitem__(0, 2), "item 1 has label 1 here and 2 in index"),
        (
            lambda labels, files: files.__setitem__(2, "a/class_0/z.jpg"),
            "item 3 has image file 2.jpg here and z.jpg in index.csv",
        ),
        (lambda labels, files: labels.pop(), "holds 144 items, index.csv 143"),
    ],
)
def test_a_feature_file_is_compared_with_the_index(tiny, change, said):
    content = loadmat(tiny / "res101.mat")
    labels = content["labels"].ravel().tolist()
    files = [f"elsewhere/{cell[0]}" for cell in content["image_files"].ravel()]
    change(labels, files)
    write_index(tiny, labels, files)
    request = DataRequest("tiny", tiny.parent)
    if said is None:
        load_dataset(request)
        assert verify("tiny", tiny.parent).problems == []
        return
    with pytest.raises(DataError, match=said):
        load_dataset(request)
    assert verify("tiny", tiny.parent).problems


def test_two_lists_of_attribute_names_must_agree(tiny):
    lines = [f"attribute {i}" for i in range(8)]
    (tiny / "attributes.txt").write_text("\n".join(lines))
    (tiny / "predicates.txt").write_text("\r\n".join(f"{i} {n}" for i, n in enumerate(lines, 1)))
    assert verify("tiny", tiny.parent).problems == []
    (tiny / "predicates.txt").write_text("\n".join(lines[::-1]))
    (problem,) = verify("tiny", tiny.parent).problems
    assert "attributes.txt: names other attributes than predicates.txt" in problem


@pytest.mark.parametrize("absent", ["trainclasses1.txt", "valclasses1.txt"])
def test_a_class_list_without_its_other_half_is_refused(tiny, absent):
    (tiny / ("valclasses1.txt" if "train" in absent else "trainclasses1.txt")).write_text("class_1")
    (problem,) = verify("tiny", tiny.parent).problems
    assert f"{absent}: there is no such file" in problem


@pytest.mark.parametrize(
    ("names", "read"),
    [
        (None, "1"),  # FLO's file has none
        (np.array([f"Class {i}" for i in range(12)]), "Class 0"),  # savemat of a list of str
        (np.array([[f"Häher {i}" for i in range(12)]], dtype=object), "Häher 0"),
        (np.array([f"a\u0308 {i}" for i in range(12)], dtype=object), "ä 0"),
    ],
    ids=["none", "table of characters", "row of cells", "normal form NFD"],
)
def test_splits_files_as_others_write_them_are_read(tiny, names, read):
    content = {k: v for k, v in loadmat(tiny / "att_splits.mat").items() if k[0] != "_"}
    del content["allclasses_names"]
    savemat(
        tiny / "att_splits.mat", content | ({} if names is None else {"allclasses_names": names})
    )
    assert verify("tiny", tiny.parent).problems == []
    assert load_dataset(DataRequest("tiny", tiny.parent)).classes.names[0] == read


@pytest.mark.parametrize(
    ("variable", "change", "said"),
    [
        ("att", None, "has no variable `att` .*Add it, or take the file that holds it"),
        (
            "allclasses_names",
            np.arange(12.0),
            "Store numbers as a full matrix, and names as a cell",
        ),
        ("att", "text", "Store numbers as a full matrix"),
        ("trainval_loc", lambda v: v * (v > 2), "holds 0, .*Count items and classes from 1 on"),
    ],
)
def test_a_sound_file_of_other_content_is_not_called_truncated(tiny, variable, change, said):
    content = {k: v for k, v in loadmat(tiny / "att_splits.mat").items() if k[0] != "_"}
    content[variable] = change(content[variable]) if callable(change) else change
    savemat(tiny / "att_splits.mat", {k: v for k, v in content.items() if v is not None})
    with pytest.raises(DataError, match=said) as refused:
        load_dataset(DataRequest("tiny", tiny.parent))
    assert "ownload" not in refused.value.fix


@pytest.mark.parametrize(
    ("names", "said"),
    [(None, "1 is none"), (["134.crane", "517.Crane"], "those of 134.crane and 517.Crane are one")],
)
def test_a_method_that_reads_names_is_refused_those_that_say_nothing(tiny, names, said):
    content = {k: v for k, v in loadmat(tiny / "att_splits.mat").items() if k[0] != "_"}
    known = content.pop("allclasses_names")
    if names:
        known[:2, 0] = names
        content["allclasses_names"] = known
    savemat(tiny / "att_splits.mat", content)
    change_items(
        tiny, image_files=lambda files: np.array([[f"{i}.jpg"] for i in range(144)], object)
    )
    dataset = load_dataset(DataRequest("tiny", tiny.parent, features="vit"))
    with pytest.raises(UnservedError, match=said):
        check_names_describe("clip_zero_shot", dataset)


def test_verify_says_whether_attributes_have_names(tiny):
    assert any("no names" in note for note in verify("tiny", tiny.parent).notes)
    (tiny / "attributes.txt").write_text("\n".join(f"attribute {i}" for i in range(8)))
    found = verify("tiny", tiny.parent)
    assert found.facts["attribute_names"] is True
    assert not any("no names" in note for note in found.notes)


def test_the_command_verify_ends_with_status_2_where_there_are_problems(tiny, monkeypatch, capsys):
    words = "data", "verify", "tiny", "--data-root", tiny.parent
    status, out, _ = command(monkeypatch, capsys, *words)
    assert (status, "PROBLEM" in out) == (0, False)
    (tiny / "testclasses.txt").write_text("class_9")
    status, out, err = command(monkeypatch, capsys, *words)
    assert (status, err) == (2, "")
    assert out.count("PROBLEM") == 1


@pytest.mark.parametrize("name", ["AWA1", "APY"])
def test_the_command_describe_shows_a_folder_that_holds_only_splits(
    real_data, monkeypatch, capsys, name
):
    words = "data", "describe", name, "--data-root", real_data / "xlsa17", "--json"
    status, out, err = command(monkeypatch, capsys, *words)
    assert (status, err) == (0, "")
    assert json.loads(out)["problems"] == []
    assert json.loads(out)["features"] == []
