"""Suites: what a file may say, what is refused, and that those that ship can be run."""

import re
from pathlib import Path

import pytest

from zslbench.data.load import KNOBS, DataRequest, is_embedded
from zslbench.data.plumage import PlumageConfig
from zslbench.data.provide import DataSource
from zslbench.errors import ZslbenchError
from zslbench.studies.leaderboard.plan.suite import Suite, read_suite
from zslbench.studies.published.coverage import coverage
from zslbench.studies.published.numbers import fold, read_published
from zslbench.studies.suites import parse_text, shipped

ROOT = Path(__file__).parents[3]
# Names of studies that are no published table begin so.
OURS = ("real_", "plumage_maps", "plumage_features")
SHIPPED = sorted(name for name in shipped() if name != "regression")
WHOLE = """
title = "t"
datasets = ["a"]
seeds = [3, 4]
worlds = 2
reference = "ESZSL"
settings = { reg_x = 10 }

[[rows]]
method = "eszsl"
label = "ESZSL"

[[rows]]
method = "eszsl"
settings = { reg_s = 1 }

[[rows]]
method = "ale"

[[grids]]
method = "eszsl"
settings = { reg_x = [1, 10], reg_s = [1, 100] }
"""


def test_a_suite_is_its_rows_then_its_grids():
    entries = parse_text(Suite, "s", WHOLE).entries()
    titles = ["ESZSL", "eszsl (reg_s=1)", "ale", "eszsl (reg_x=1)", "eszsl (reg_s=100)"]
    assert [entry.label for entry in entries] == titles
    assert [entry.config.reg_x for entry in entries if entry.method == "eszsl"] == [10, 10, 1, 10]
    assert [entry.seeds for entry in entries] == [(3,), (3,), (3, 4), (3,), (3,)]


def changed(old, new):
    assert old in WHOLE
    return WHOLE.replace(old, new, 1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("title = [", "s.toml: is not TOML"),
        (changed("worlds", "wolds"), "no key 'wolds' in a suite (s.toml). Did you mean 'worlds'?"),
        (changed("label", "lable"), "no key 'lable' in rows 1 (s.toml). Did you mean 'label'?"),
        (changed('title = "t"\n', ""), "title: field required"),
        (changed('["a"]', "[]"), "datasets: list should have at least 1 item"),
        (changed("worlds = 2", "worlds = 0"), "worlds: input should be greater than or equal to 1"),
        (changed("[3, 4]", "[-1]"), "seeds.1: input should be greater than or equal to 0"),
        (changed("worlds = 2", 'rules = ["best"]'), "rules.1: input should be 'validation'"),
        (changed("[1, 10]", "1"), "grids.1.settings.reg_x: input should be a valid list"),
        (changed('"t"', '"t"\nname = "n"'), "no key 'name'"),
        (changed("worlds = 2", "map_size = 448"), "map_size: there is no map: name one"),
        ('title = "t"\ndatasets = ["a"]\nrows = 3', "rows: input should be a valid list"),
        ('title = "t"\ndatasets = ["a"]\nrows = [3]', "rows.1: input should be a valid dictionary"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_suite_is_refused(text, said):
    with pytest.raises(ZslbenchError, match=re.escape(said)) as refusal:
        parse_text(Suite, "s", text)
    assert "\n" not in str(refusal.value).partition("is not TOML")[0]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"eszsl"\nlabel', '"eszl"\nlabel', "s, row 'ESZSL': There is no method 'eszl'. Did you"),
        ("{ reg_s = 1 }", "{ regs = 1 }", "There is no setting of eszsl 'regs'. Did you mean"),
        ("{ reg_s = 1 }", "{ reg_s = -1 }", "s, row 'eszsl (reg_s=-1)': reg_s=-1: input should be"),
        ("{ reg_s = 1 }", "{ reg_s = 'much' }", "reg_s=much: input should be a valid number"),
        ("[1, 100]", "[1, 1e9]", "reg_s=1000000000.0: input should be less than"),
        ("{ reg_x = 10 }", "{ reg_z = 10 }", "no setting of any method 'reg_z' in s. Did you mean"),
        ("{ reg_s = 1 }", "{ reg_x = 10 }", "'ESZSL' and 'eszsl (reg_x=10)' are the same run"),
        ('"ale"', '"ale"\nlabel = "ESZSL"', "two rows are called 'ESZSL'"),
        ('"ESZSL"\nsettings', '"EZSL"\nsettings', "no row 'EZSL' in s to be reference. Did you"),
    ],
)
def test_rows_that_cannot_be_run_are_refused(old, new, said):
    with pytest.raises(ZslbenchError, match=re.escape(said)):
        parse_text(Suite, "s", changed(old, new)).entries()


def test_a_suite_without_rows_is_refused():
    with pytest.raises(ZslbenchError, match="it has no rows"):
        parse_text(Suite, "s", 'title = "t"\ndatasets = ["a"]').entries()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("svip_tabel2", "There is no suite 'svip_tabel2'. Did you mean 'svip_table2'?"),
        ("nowhere/mine.toml", "nowhere/mine.toml: there is no such file. Name a suite"),
    ],
)
def test_a_suite_that_is_not_there(name, said):
    with pytest.raises(ZslbenchError, match=re.escape(said)):
        read_suite(name)


def test_a_suite_of_ones_own_is_named_by_its_file(tmp_path):
    (tmp_path / "mine.toml").write_text(WHOLE)
    assert read_suite(str(tmp_path / "mine.toml")).name == "mine"


@pytest.mark.parametrize("name", SHIPPED)
def test_every_row_of_a_shipped_suite_is_a_config_of_its_method(name):
    suite = read_suite(name)
    entries = suite.entries()
    assert len(entries) >= 2
    assert suite.reference
    assert suite.source or name.startswith(OURS)
    for dataset in filter(is_embedded, suite.datasets):
        pairs = filter(None, dataset.partition(":")[2].split(","))
        knobs = dict(pair.split("=") for pair in pairs)
        assert set(knobs) <= set(KNOBS)
        PlumageConfig(**{key: int(value) for key, value in knobs.items()})


@pytest.mark.parametrize(
    "name", [name for name in SHIPPED if not name.startswith(("plumage", *OURS))]
)
def test_every_shipped_suite_has_a_twin_with_the_same_rows(name):
    suite, twin = read_suite(name), read_suite(f"plumage_{name}")
    assert [(row.method, row.label) for row in suite.rows] == [
        (row.method, row.label) for row in twin.rows
    ]
    assert [list(grid.settings) for grid in suite.grids] == [
        list(grid.settings) for grid in twin.grids
    ]
    assert "plumage twin" in twin.title
    assert twin.about.startswith("Twin on small sets of procedural birds")
    assert all(map(is_embedded, twin.datasets))


@pytest.mark.parametrize("name", ["svip_table2", "vspcn_ablation"])
def test_ablations_have_every_published_variant_under_its_name(name):
    suite = read_suite(name)
    method = suite.reference
    published = {row.variant for row in read_published()
                 if fold(row.method) == fold(method) and row.variant}  # fmt: skip
    assert published
    assert published <= {row.label for row in suite.rows}


def test_first_table_s_methods_run_on_its_backbone():
    """All rows run on the suite's one ViT, but for those that need a map or a pair."""
    suite = read_suite("svip_table1")
    rows = {row.method for row in suite.rows}
    assert rows == {
        "ale", "apn", "cada_vae", "clip_zero_shot", "coop", "dap", "dazle", "devise", "eszsl",
        "gem_zsl", "hsva", "i2dformer", "i2mvformer", "icis", "msdn", "psvma", "rff", "sae",
        "sdgzsl", "sje", "svip", "svip_released", "tf_vaegan", "transzero", "vit_attr_head",
        "vspcn", "zslvit",
    }  # fmt: skip
    (request,) = suite.requests([DataRequest("CUB", Path())])
    endings = ("tokens", "map", "pair")
    assert [DataSource(request).source(ending).ending for ending in endings] == [*endings]


def test_a_map_has_a_size_of_its_own():
    """The released code of MSDN and its kin works at 448 px, beside a ViT at its own size."""
    text = WHOLE.replace("worlds", '''
        backbone = "random:deit_tiny_patch16_224"
        map = "random:resnet10t"
        map_size = 448
        worlds''', 1)  # fmt: skip
    (request,) = parse_text(Suite, "s", text).requests([DataRequest("CUB", Path())])
    found = [DataSource(request).source(ending) for ending in ("tokens", "map")]
    assert [(source.size, source.grid) for source in found] == [(224, 14), (448, 14)]
    assert found[1].record.title == "random:resnet10t at 448 px"


PRESETS = """
title = "t"
datasets = ["CUB"]
presets = true
settings = { epochs = 30 }

[[rows]]
method = "psvma"

[[rows]]
method = "psvma"
label = "SUN's"
settings = { preset = "SUN" }

[[rows]]
method = "eszsl"
"""


def test_presets_are_those_of_each_dataset_and_what_a_suite_sets_goes_before_them():
    psvma, fixed, eszsl = parse_text(Suite, "s", PRESETS).entries()
    found = [psvma.on(name) for name in ("plumage", "cub", "AWA2")]
    assert [(c.debiasing, c.sampling, c.epochs) for c in found] == [
        (0.001, "batches", 30), (0.001, "2-shot", 30), (0.1, "3-shot", 30),
    ]  # fmt: skip
    assert {fixed.on(name).debiasing for name in ("plumage", "AWA2", "SUN")} == {0.02}
    assert eszsl.on("CUB") == eszsl.config


def test_presets_that_make_two_rows_one_run_on_a_dataset_are_refused():
    text = PRESETS.replace('["CUB"]', '["CUB", "SUN"]')
    with pytest.raises(ZslbenchError, match=r"'psvma' and \"SUN's\" are the same run: remove one"):
        parse_text(Suite, "s", text).entries()


def test_a_value_of_a_grid_that_is_known_on_one_dataset_alone_is_refused_and_not_left_out():
    text = PRESETS.replace('["CUB"]', '["CUB", "AWA2"]')
    text += '[[grids]]\nmethod = "psvma"\nsettings = { debiasing = [0.1] }'
    with pytest.raises(ZslbenchError, match=r"'psvma' and 'psvma \(debiasing=0.1\)' are the same"):
        parse_text(Suite, "s", text).entries()


TABLES = {
    "svip_table1": "SVIP (ICCV 2025), Table 1",
    "vspcn_main": "VSPCN (CVPR 2025), as summarised",
}


@pytest.mark.parametrize("name", TABLES)
def test_main_tables_have_every_published_row_that_runs_here(name):
    """Variants have tables of their own; SDGZSL with sentences is a row of other data."""
    missing = {
        row.title
        for row in coverage()
        if TABLES[name] in row.source and row.method and not row.published[0].variant
        and {name, f"plumage_{name}"} - set(row.suites)
    }  # fmt: skip
    assert missing == set()


def test_the_document_lists_what_ships():
    text = (ROOT / "docs/suites.md").read_text()
    named = (
        r"`((?:plumage_)?(?:svip|vspcn|zslvit|zeromamba|real)_\w+"
        r"|plumage_(?:study|mamba_clip|cn_zsl|maps|features))`"
    )
    assert set(re.findall(named, text)) == set(SHIPPED)
