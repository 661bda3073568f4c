"""The published numbers: the file, what is found in it, and how ours are held against it."""

import csv
import io
import json
import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from zslbench.control import Control
from zslbench.records import Exposure
from zslbench.report.cells import other_grids
from zslbench.report.leaderboard import Leaderboard, Row
from zslbench.report.published import Selected, check, fold, parse, read_published
from zslbench.report.render import as_markdown, as_terminal
from zslbench.report.verdicts import TEST_IMAGES, verdict, verdicts
from zslbench.stats import METRICS, Interval

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "results" / "published.csv"
HEADER = ("method,venue,year,backbone,pretraining,dataset,T1,U,S,H,variant,source,"
          "selected_on_test,notes")  # fmt: skip
LINES = list(csv.DictReader(io.StringIO(TABLE.read_text(encoding="utf-8"))))


def rows_from(*lines):
    return parse("\n".join([HEADER, *lines]))


def test_columns_are_those_documented():
    assert TABLE.read_text(encoding="utf-8").splitlines()[0] == HEADER


@pytest.mark.parametrize("line", LINES, ids=lambda x: f"{x['method']}-{x['dataset']}")
def test_every_line_is_well_formed(line):
    scores = [line[name] for name in ("T1", "U", "S", "H")]
    assert any(scores)
    assert all(re.fullmatch(r"\d+\.\d{1,2}", x) and float(x) <= 100 for x in scores if x)
    assert all(value == value.strip() for value in line.values())
    assert line["dataset"] in TEST_IMAGES
    assert line["pretraining"] in {"1k", "21k", "unknown", "web"} <= set(get_args(Exposure))
    assert line["selected_on_test"] in get_args(Selected)
    assert line["method"] and line["backbone"] and line["source"]
    assert not line["year"] or 2009 <= int(line["year"]) <= 2025
    assert bool(line["year"]) == bool(line["venue"])


def test_no_set_of_numbers_is_there_twice():
    keys = Counter(
        (x["method"], x["backbone"], x["dataset"], x["variant"], x["source"]) for x in LINES
    )
    assert len(keys) == len(LINES) > 200


def test_names_that_are_compared_alike_are_spelt_alike():
    for name in ("method", "dataset"):
        names = {line[name] for line in LINES}
        assert len({fold(x) for x in names}) == len(names)


SPOTS = [  # method, dataset, variant, part of the source, T1, U, S, H
    ("SVIP", "CUB", "", "Table 1", 80.4, 72.8, 79.7, 76.1),
    ("SVIP", "CUB", "", "v1", 79.8, None, None, 75.0),
    ("SVIP", "AWA2", "", "footers", 68.87, 66.03, 88.25, 75.54),
    ("SVIP", "SUN", "w/o W2P", "Table 2", 71.7, 54.0, 47.9, 50.8),
    ("ViT attr head", "CUB", "", "Table 2", 76.8, 59.8, 68.4, 63.8),
    ("RFF", "SUN", "", "Table 1", None, 45.7, 38.6, 41.9),
    ("CoOp", "CUB", "", "Table 1", None, 49.2, 63.8, 55.6),
    ("VSPCN", "AWA2", "", "VSPCN", None, None, None, 77.6),
    ("VSPCN", "SUN", "ViT only", "VSPCN", None, None, None, 45.2),
    ("ZSLViT", "CUB", "", "ZSLViT", 78.9, 69.4, 78.2, 73.6),
    ("ZeroMamba", "AWA2", "", "ZeroMamba", 71.9, 67.9, 87.6, 76.5),
    ("ESZSL", "CUB", "", "TPAMI", 53.9, 12.6, 63.8, 21.0),
    ("ESZSL", "AWA1", "", "mvp18", 56.80, 5.29, 86.84, 9.98),
    ("SAE", "APY", "F to S", "mvp18", 16.07, None, None, None),
    ("DAP", "SUN", "", "TPAMI", 39.9, 4.2, 25.1, 7.2),
    ("CMT*", "SUN", "", "TPAMI", None, 8.7, 28.0, 13.3),
    ("APN", "AWA2", "", "README", 68.6, None, None, 67.4),
]


@pytest.mark.parametrize("spot", SPOTS, ids=lambda spot: "-".join(map(str, spot[:4])))
def test_numbers_are_those_of_the_source(spot):
    name, (source, *scores) = spot[:3], spot[3:]
    found = [r for r in read_published() if (r.method, r.dataset, r.variant) == name
             and source in r.source]  # fmt: skip
    assert [[r.t1, r.u, r.s, r.h] for r in found] == [scores]


def test_the_survey_is_complete():
    survey = [r for r in read_published() if r.source.endswith("Proposed Splits")]
    assert len(survey) == 14 * 5
    verified = {r.method for r in survey if not any("unverified" in note for note in r.notes)}
    assert verified == {"ESZSL", "SAE"}


def test_h_that_does_not_follow_from_u_and_s_is_found():
    found = [f for f in check(read_published()) if f.kind == "H is not that of U and S"]
    (zslvit,) = [f for f in found if f.method == "ZSLViT"]
    assert zslvit.dataset == "SUN"
    assert "H 47.3 is printed, 47.1 follows" in zslvit.what
    assert "rounding" not in zslvit.what


@pytest.mark.parametrize(
    ("first", "second", "kinds"),
    [
        ("A,,,R,1k,CUB,50.0,,,,,one,no,", "A,,,R,1k,CUB,50.04,,,,,two,no,", []),
        ("A,,,R,1k,CUB,50.0,,,,,one,no,", "A,,,R,1k,CUB,50.1,,,,,two,no,", ["sources differ"]),
        ("A,,,R,1k,CUB,50.0,,,,,one,no,", "A,,,V,1k,CUB,60.0,,,,,two,no,", []),
        ("A,,,R,1k,CUB,50.0,,,,,one,no,", "A,,,R,1k,CUB,60.0,,,,x,two,no,", []),
        (
            "A,,,R,1k,CUB,50.0,,,,,one,no,",
            "A,,,R,1k,CUB,60.0,,,,,two,no,independent re-implementation",
            ["re-implementations differ"],
        ),
        ("A,,,R,1k,CUB,,40.0,60.0,48.1,,one,no,", "B,,,R,1k,CUB,,0.0,60.0,0.0,,one,no,", []),
        (
            "A,,,R,1k,CUB,,40.0,60.0,48.2,,one,no,",
            "B,,,R,1k,CUB,,40.0,60.0,,,one,no,",
            ["H is not that of U and S"],
        ),
    ],
)
def test_check(first, second, kinds):
    assert [finding.kind for finding in check(rows_from(first, second))] == kinds


def row_of(**changes):
    """A row of ours with every metric at 50, between 48 and 52."""
    interval = {"these_classes": Interval(50, 48, 52), "new_classes": Interval(50, 30, 70)}
    row = Row(
        dataset="CUB", method="eszsl", label="", settings={}, backbone="features:res101",
        exposure="1k", words="", descriptions="", rule="validation", seeds=(0,),
        tuning_worlds=3,
        chosen={"gamma": 0.5}, intervals=dict.fromkeys(METRICS, interval), t1_best=50.0,
        control=Control(0.01, 9.0, 200),
        plain_h=40.0, oracle_h=51.0, openings=1, marks=(), commits=("c",), seconds=1.0,
        test_images=(1764, 2967), localisation={}, evidence=None,
    )  # fmt: skip
    return replace(row, **changes)


def published_of(**changes):
    line = "ESZSL,ICML,2015,ResNet-101,1k,CUB,50.0,50.0,50.0,50.0,,here,no,"
    return replace(rows_from(line)[0], **changes)


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (47.9, "below"),
        (47.95, "within interval"),
        (50.0, "within interval"),
        (52.05, "within interval"),
        (52.1, "above"),
    ],
)
def test_a_published_value_is_held_against_our_interval(value, word):
    found = verdict(row_of(), published_of(t1=value))
    assert found.words["t1"] == word
    assert not found.obstacles


OBSTACLES = [
    ({"dataset": "cub20"}, {}, "dataset is not the real one"),
    ({"test_images": (10, 20)}, {}, "dataset is not the real one"),
    ({"backbone": "features:mobilenetv2"}, {}, "other backbone (ResNet-101, ours features:mobile"),
    ({}, {"backbone": "ViT-B/16"}, "other backbone"),
    ({"backbone": "vmamba_small_224.in1k"}, {"backbone": "VMamba-S"}, "other backbone (VMamba-S"),
    ({"exposure": "21k"}, {}, "pretraining differs or is unknown (1k, ours 21k)"),
    ({"exposure": "unknown"}, {"pretraining": "unknown"}, "pretraining differs or is unknown"),
    ({}, {"selected_on_test": "yes"}, "published value selected on test"),
    ({"marks": ("selected on test",), "rule": "published"}, {}, "our value selected on test"),
    ({}, {"notes": ("crops possible",)}, "possibly on crops"),
    ({}, {"notes": ("trains on unseen attributes",)}, "published value transductive"),
    ({}, {"notes": ("448 px in training and 224 px in test",)}, "trained at 448 pixels"),
    ({}, {"notes": ("trained without the validation classes",)}, "without the validation classes"),
    ({"marks": ("trains on unseen attributes",)}, {}, "our value transductive"),
    ({"marks": ("per-image accuracy",)}, {}, "our value is per-image accuracy"),
    ({"settings": {"reg_x": 1.0}}, {}, "our settings are not the defaults (reg_x=1.0)"),
]


@pytest.mark.parametrize(("ours", "theirs", "reason"), OBSTACLES, ids=lambda x: str(x)[:40])
def test_what_does_not_compare_says_why(ours, theirs, reason):
    found = verdict(row_of(**ours), published_of(**theirs))
    assert set(found.words.values()) == {"not comparable"}
    (obstacle,) = found.obstacles
    assert reason in obstacle


@pytest.mark.parametrize(
    ("note", "reason"),
    [
        ("per-image accuracy for U, S and H", "published value is per-image accuracy"),
        ("no calibration", "published value not calibrated"),
    ],
)
def test_some_obstacles_leave_t1_comparable(note, reason):
    found = verdict(row_of(), published_of(notes=(note,)))
    assert found.words["t1"] == "within interval"
    assert {found.words[m] for m in ("u", "s", "h")} == {"not comparable"}
    assert found.obstacles == [f"U, S, H: {reason}"]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({"rule": "published", "marks": ("selected on test",)}, {"selected_on_test": "yes"}),
        ({"rule": "published", "marks": ("selected on test",)}, {"selected_on_test": "unknown"}),
        ({}, {"selected_on_test": "unknown"}),
        ({"chosen": {"gamma": 0.0}}, {"notes": ("no calibration",)}),
        ({"backbone": "deit_base_patch16_224.fb_in1k"}, {"backbone": "ViT-B/16"}),
        ({"dataset": "cub"}, {}),
        ({"backbone": "vmamba_small_448.in1k"}, {"backbone": "VMamba-S"}),
        ({"backbone": "clip:ViT-B-16.openai"}, {"backbone": "CLIP ViT-B/16"}),
        (
            {"marks": ("trains on unseen attributes",)},
            {"notes": ("trains on unseen attributes", "448 px")},
        ),
    ],
)
def test_what_compares_has_no_obstacle(ours, theirs):
    found = verdict(row_of(**ours), published_of(**theirs))
    assert set(found.words.values()) == {"within interval"}


def test_generative_methods_are_transductive_on_both_sides():
    """They train their classifier on features made from unseen attributes, ours as well."""
    ours = row_of(method="cada_vae", marks=("trains on unseen attributes",))
    obstacles = [text for found in verdicts(ours) for text in found.obstacles]
    assert obstacles
    assert not any("transductive" in text for text in obstacles)


def test_only_what_is_printed_gets_a_verdict():
    assert set(verdict(row_of(), published_of(u=None, s=None)).words) == {"t1", "h"}


@pytest.mark.parametrize(
    ("method", "dataset", "count"),
    [("eszsl", "CUB", 3), ("vit_attr_head", "awa2", 1), ("svip", "SUN", 3),
     ("zeromamba", "SUN", 1), ("clip_zero_shot", "CUB", 1), ("coop", "CUB", 1),
     ("eszsl", "cub20", 0), ("nearest_prototype", "CUB", 0)],
)  # fmt: skip
def test_counterparts_are_of_the_method_itself_on_its_dataset(method, dataset, count):
    found = verdicts(row_of(method=method, dataset=dataset))
    assert len(found) == count
    assert all(not each.published.variant for each in found)


def test_a_row_called_as_a_published_variant_is_held_against_that():
    ablated = row_of(method="svip", label="w/o JSD", settings={"lambda1": 0.0})
    (found,) = verdicts(ablated)
    assert found.published.variant == "w/o JSD"
    assert not any("our settings" in text for text in found.obstacles)
    (first, *_) = verdicts(row_of(method="svip", label="M = 10", settings={"M": 10}))
    assert not first.published.variant
    assert any("our settings are not the defaults (M=10)" in text for text in first.obstacles)


def test_every_table_shows_paper_versus_ours_where_there_is_a_counterpart():
    from rich.console import Console

    board = Leaderboard([row_of()])
    markdown = as_markdown(board)
    assert "## paper versus ours" in markdown
    assert "53.9<br>[48.0, 52.0]<br>above" in markdown
    assert "U, S, H: published value not calibrated" in markdown
    console = Console(file=io.StringIO(), width=132)
    for part in as_terminal(board):
        console.print(part, markup=False)
    assert "paper versus ours" in console.file.getvalue()
    assert other_grids(Leaderboard([row_of(dataset="cub20")])) == []


def test_the_file_travels_in_the_wheel(tmp_path):
    build = ["-q", "egg_info", "--egg-base", tmp_path, "build_py", "--build-lib", tmp_path / "lib"]
    subprocess.run(
        [sys.executable, "-c", "import setuptools; setuptools.setup()", *map(str, build)],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    packed = tmp_path / "lib" / "zslbench" / "published"
    assert (packed / "published.csv").read_bytes() == TABLE.read_bytes()
    assert {path.name for path in packed.iterdir()} == {"__init__.py", "published.csv"}


def test_command_lists_and_checks(zslbench):
    status, out, _ = zslbench("published", "zslvit", "--dataset", "sun", "--check")
    assert status == 0
    assert "47.3" in out
    assert "findings: 1" in out
    assert "ZSLViT on SUN: H is not that of U and S" in out


def test_command_has_one_json_document(zslbench):
    _, out, _ = zslbench("published", "--json")
    document = json.loads(out)
    assert len(document["published"]) == len(LINES)
    assert "findings" not in document
    _, out, _ = zslbench("published", "--check", "--json")
    assert len(json.loads(out)["findings"]) == len(check(read_published()))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["svp"], "Did you mean 'SVIP'?"),
        (["--dataset", "CUBB"], "Did you mean 'CUB'?"),
        (["svip", "--dataset", "APY"], "no dataset 'APY' with published numbers of svip"),
    ],
)
def test_command_suggests_the_nearest_name(zslbench, words, said):
    status, out, err = zslbench("published", *words)
    assert (status, out) == (2, "")
    assert said in err
