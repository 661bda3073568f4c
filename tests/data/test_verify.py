"""`verify`: what a dataset holds, and everything that is wrong with it, at once."""

import json
import shutil
import sys

import numpy as np
import pytest
from datasets import write_tiny
from scipy.io import loadmat, savemat

from zslbench.cli import main
from zslbench.data.verify import verify

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
