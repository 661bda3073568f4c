"""Names and numbers that a command accepts: none is taken for another, all can be used again."""

import json
import os

import pytest
from datasets import write_tiny
from PIL import Image

KNOBS = "plumage:classes=12,unseen=4,images_per_class=6"


@pytest.fixture(scope="module")
def twins(tmp_path_factory):
    """A data root with datasets whose names are nearly one."""
    root = tmp_path_factory.mktemp("twins")
    names = {"CUB": 12, "cub": 10, "M\u00f6wen": 11, "Mo\u0308wen": 9, os.fsdecode(b"M\xf6"): 8}
    for name, classes in names.items():
        write_tiny(root / name, classes=classes)
    return root


@pytest.mark.parametrize(
    ("name", "classes"),
    [
        ("CUB", 12), ("cub", 10), ("M\u00f6wen", 11), ("Mo\u0308wen", 9),
        (os.fsdecode(b"M\xf6"), 8), ("M\\udcf6", 8), ("m\\UDCF6", 8),
    ],
)  # fmt: skip
def test_a_dataset_is_found_by_its_very_name_and_else_in_any_case(zslbench, twins, name, classes):
    status, out, _ = zslbench("data", "describe", name, "--data-root", twins, "--json")
    assert (status, json.loads(out)["classes"]) == (0, classes)


def test_what_only_a_folder_has_is_not_asked_of_the_birds(zslbench, twins):
    status, _, err = zslbench("data", "verify", KNOBS, "--data-root", twins)
    assert (status, f"{KNOBS!r} means the birds" in err, "no folder" in err) == (2, True, True)


@pytest.mark.parametrize(("name", "which"), [("Cub", "CUB' and 'cub"), ("MÖWEN", "' and 'M")])
def test_a_name_that_may_mean_two_datasets_is_refused(zslbench, twins, name, which):
    status, _, err = zslbench("run", "eszsl", "--dataset", name, "--data-root", twins)
    assert status == 2
    assert which in err
    assert "write one of these names" in err


def test_a_dataset_whose_name_is_no_text_is_recorded_and_shown(zslbench, twins, tmp_path):
    name, there = os.fsdecode(b"M\xf6"), ("--data-root", twins, "--results", tmp_path)
    words = ("run", "eszsl", "--worlds", "1", *there, "--dataset")
    assert zslbench(*words, name)[0] == 0
    assert "0 run, 1 reused" in zslbench(*words, "M\\udcf6")[2]
    _, out, _ = zslbench("leaderboard", "--results", tmp_path, "--json")
    assert [row["dataset"] for row in json.loads(out)["rows"]] == ["M\\udcf6"]
    assert "M\\\\udcf6" in (tmp_path / "leaderboard.json").read_text()


@pytest.fixture
def photos(tmp_path):
    """Eight classes of three images, and their table."""
    for number, name in enumerate("abcdefgh"):
        (tmp_path / "img" / name).mkdir(parents=True)
        for i in range(3):
            Image.new("RGB", (16, 16), (number, i, 0)).save(tmp_path / "img" / name / f"{i}.png")
    lines = ["class,x,y", *(f"{name},0.{i + 1},0.5" for i, name in enumerate("abcdefgh"))]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    return "--images", tmp_path / "img", "--attributes", tmp_path / "a.csv"


@pytest.mark.parametrize(
    "name",
    ["", "plumage", "Plumage", "plumage:x", ".", "..", "a/b", "a,b", "a=b", " a", "a ", ".a", "-a",
     "two\nlines", "x" * 300],
)  # fmt: skip
def test_a_dataset_is_not_built_under_a_name_that_no_option_can_say(
    zslbench, photos, tmp_path, name
):
    before = sorted(tmp_path.rglob("*"))
    status, _, err = zslbench("data", "build", *photos, "--data-root", tmp_path / "d", "--", name)
    assert (status, err.count("\n")) == (2, 1)
    assert "Choose another name" in err
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", ["my birds", "Möwen", "B&W %20 #1?", "a.b-c_d", "ß", "a~"])
def test_a_dataset_that_is_built_can_be_named_in_a_list(zslbench, photos, tmp_path, name):
    root = ("--data-root", tmp_path / "d")
    assert zslbench("data", "build", name, *photos, *root)[0] == 0
    assert zslbench("data", "list", *root)[1:] == (f"{name}\n", "")
    words = ("leaderboard", "--methods", "svip", "--dataset", f"{name}, {KNOBS}", "--plan")
    _, _, err = zslbench(*words, *root, "--results", tmp_path / "r")
    assert f"{name} needs a backbone for its images" in err


def test_photos_of_any_name_are_found_again(zslbench, photos, tmp_path):
    names = [
        b"\xff\xfe.png",
        b"two\nlines.png",
        b"a,b\"c'.png",
        b"%41.png",
        "Möwe\u2028.png".encode(),
    ]
    for number, name in enumerate(names):
        Image.new("RGB", (16, 16), (number, 9, 9)).save(tmp_path / "img/a/new.png")
        (tmp_path / "img/a/new.png").rename(tmp_path / "img/a" / os.fsdecode(name))
    root = ("--data-root", tmp_path / "d")
    assert zslbench("data", "build", "mine", *photos, *root)[0] == 0
    (tmp_path / "d/mine/index.csv").read_text(encoding="utf-8")
    status, out, err = zslbench("data", "verify", "mine", *root, "--json")
    assert status == 0, err
    assert json.loads(out)["images"] == 24 + len(names)


def test_a_folder_called_plumage_is_named_and_hides_nothing(zslbench, tmp_path):
    write_tiny(tmp_path / "Plumage")
    _, out, err = zslbench("data", "list", "--data-root", tmp_path)
    assert out == "Plumage\n"
    assert "note: 'Plumage' means the birds that zslbench draws itself. Rename the folder" in err
    status, _, err = zslbench("run", "eszsl", "--dataset", KNOBS, "--data-root", tmp_path)
    assert status == 2
    assert "Rename the folder" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--dataset", KNOBS, "--features", "res101"], "--features res101: plumage is drawn"),
        (["--dataset", KNOBS, "--images", "img"], "--images img: plumage is drawn"),
        (["--dataset", "plumage:classes=²"], "plumage:classes=²: write it as knob=number"),
        (["--dataset", "plumage:classes=１２"], "write it as knob=number"),
        (["--dataset", "plumage:classes=1_2"], "write it as knob=number"),
        (["--dataset", "plumage:seed=" + "1" * 5000], "write it as knob=number"),
        (["--dataset", "tiny", "--seeds", "²"], "whole numbers"),
        (["--dataset", "tiny", "--seeds", "1_0"], "whole numbers"),
        (["--dataset", "tiny", "--worlds", "1_0"], "valid number"),
        (["--dataset", "tiny", "--set", "reg_x=１"], "reg_x=１"),
        (["--dataset", "tiny", "--set", "reg_x=1_0"], "reg_x=1_0"),
        (["--dataset", "tiny", "--set", "reg_x=nan"], "reg_x=nan"),
        (["--dataset", "tiny", "--set", "class_attributes=\udcff"], "class_attributes="),
        (["--dataset", "tiny", "--words", "random:１"], "names no seed"),
        (["--dataset", "tiny", "--words", "~nosuchuser/w"], "the home folder that ~ means"),
        (["--dataset", "tiny", "--descriptions", "~nosuchuser/d"], "the home folder that ~ means"),
        (["--dataset", "tiny", "--results", "~nosuchuser/r"], "the home folder that ~ means"),
        (["--dataset", "tiny", "--results", ""], "A path is empty"),
    ],
)
def test_what_means_nothing_is_refused_before_the_run(zslbench, tiny_root, tmp_path, words, said):
    where = [] if "--results" in words else ["--results", tmp_path / "r"]
    status, out, err = zslbench("run", "eszsl", "--data-root", tiny_root, *where, *words)
    assert (status, out) == (2, "")
    assert said in err
    assert "Traceback" not in err
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("space", ["reg_x=1:１０", "reg_x=1:nan", "reg_x=1_0:20", "reg_x=:1"])
def test_a_space_has_plain_numbers(zslbench, tiny_root, tmp_path, space):
    words = ("--dataset", "tiny", "--data-root", tiny_root, "--results", tmp_path)
    status, _, err = zslbench("sweep", "eszsl", "--space", space, *words)
    assert status == 2
    assert "write it as reg_x=low:high" in err


def test_a_cache_without_a_home_is_refused(zslbench, monkeypatch):
    monkeypatch.setenv("ZSLBENCH_CACHE", "~nosuchuser/c")
    status, _, err = zslbench("data", "prepare", KNOBS)
    assert (status, err.count("\n")) == (2, 1)
    assert "Set ZSLBENCH_CACHE to the path of a folder, in full" in err


def test_results_whose_path_is_no_text_are_refused_before_the_run(zslbench, tiny_root, tmp_path):
    results = tmp_path / os.fsdecode(b"r\xff")
    words = ("--dataset", "tiny", "--data-root", tiny_root, "--results", results)
    status, _, err = zslbench("run", "eszsl", *words)
    assert status == 2
    assert "the path is no UTF-8 text" in err
    assert not results.exists()
