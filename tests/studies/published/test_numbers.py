"""The published numbers: the file, what is found in it, and the command that shows it."""

import csv
import io
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import get_args

import pytest

from zslbench.records import Exposure
from zslbench.studies.leaderboard.verdicts import TEST_IMAGES
from zslbench.studies.published.numbers import Selected, check, fold, parse, read_published

ROOT = Path(__file__).parents[3]
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
    ("SDGZSL", "CUB", "", "README", 62.8, 51.5, 58.7, 54.9),
    ("SDGZSL", "CUB", "sentences", "Table 1", 75.5, 59.9, 66.4, 63.0),
    ("TF-VAEGAN", "AWA2", "without feedback", "logs", 67.66, 54.44, 75.24, 63.17),
    ("FREE", "CUB", "", "FREE", None, 55.7, 59.9, 57.7),
    ("CN-ZSL", "SUN", "", "ICLR", None, 44.7, 41.6, 43.1),
    ("CN-ZSL", "AWA1", "", "notebook", 69.7, 64.1, 73.4, 68.4),
    ("CE-GZSL", "CUB", "", "issue 13", None, 52.4, 60.9, 56.4),
    ("PSVMA+", "SUN", "", "PSVMA+", 75.3, None, None, 54.8),
    ("ZeroDiff", "SUN", "", "ZeroDiff", 77.3, 63.0, 56.9, 59.8),
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


PAPERS = {  # rows as the papers count them, and rows times datasets
    "SVIP (ICCV 2025), Table 1": (17, 44),
    "SVIP (ICCV 2025), Table 2": (6, 18),
    "VSPCN (CVPR 2025), main table": (5, 15),
    "VSPCN (CVPR 2025), ablation": (5, 15),
}


@pytest.mark.parametrize("table", PAPERS)
def test_a_table_has_as_many_rows_as_in_its_paper(table):
    source, _, part = table.partition(", ") if "VSPCN" in table else (table, "", "")
    found = [(r.method, r.variant) for r in read_published() if r.source.startswith(source)
             and (not part or bool(r.variant) == (part == "ablation"))]  # fmt: skip
    # SDGZSL's row in Table 1 has sentences on one dataset, attributes on the other
    rows = {name[0] if table.endswith("Table 1") else name for name in found}
    assert (len(rows), len(found)) == PAPERS[table]


def test_a_suspect_cell_says_what_it_may_be():
    found = {(r.method, r.dataset): r.suspicions for r in read_published() if r.suspicions}
    assert found[("HSVA", "AWA2")] == ("suspect: probably the paper's AWA1",)
    suspect = {"HSVA", "RFF", "Dis-VAE", "ICCE", "SDGZSL"}
    assert {method for method, _ in found} == suspect


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


def test_the_file_travels_in_the_wheel(tmp_path):
    build = ["-q", "egg_info", "--egg-base", tmp_path, "build_py", "--build-lib", tmp_path / "lib"]
    subprocess.run(
        [sys.executable, "-c", "import setuptools; setuptools.setup()", *map(str, build)],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    packed = tmp_path / "lib" / "zslbench" / "studies" / "published"
    assert (packed / "published.csv").read_bytes() == TABLE.read_bytes()


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
