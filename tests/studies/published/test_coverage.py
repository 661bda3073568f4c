"""Every row of a published table runs here, or says why not."""

import json

import pytest
from typer.testing import CliRunner

from zslbench.cli import app
from zslbench.method.registry import load_method, method_modules
from zslbench.studies.published.coverage import coverage, not_run
from zslbench.studies.published.numbers import fold, read_published

ROWS = coverage()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.source}: {row.title}")
def test_a_row_runs_as_a_method_or_says_why_not(row):
    assert bool(row.method) != bool(row.why)
    assert bool(row.why) != bool(row.suites or row.settings)  # a variant has a way to run, too


def test_no_published_number_is_left_out():
    assert sum(len(row.published) for row in ROWS) == len(read_published())


def test_reasons_are_of_published_methods_that_are_not_here_or_of_variants():
    here = set(map(fold, method_modules()))
    for name, variant in not_run():
        assert any((fold(r.method), r.variant) == (fold(name), variant) for r in read_published())
        assert bool(variant) == (fold(name) in here)


@pytest.mark.parametrize(
    ("title", "runs_as"),
    [
        ("SAE F to S", "sae (direction=f_to_s)"),
        ("TF-VAEGAN without feedback", "tf_vaegan (feedback=False)"),
        ("CN-ZSL without class normalisation", "cn_zsl (standardise=none)"),
        ("TF-VAEGAN fine-tuned", ""),
        ("SDGZSL fine-tuned", ""),
        ("SDGZSL sentences", ""),
        ("CE-GZSL sentences", ""),
    ],
)
def test_variants_that_no_suite_has_run_by_their_settings_or_not_at_all(title, runs_as):
    (row,) = [row for row in ROWS if row.title == title]
    assert row.runs_as == runs_as


@pytest.mark.parametrize("row", [row for row in ROWS if row.settings], ids=lambda row: row.title)
def test_settings_are_the_methods_and_not_its_defaults(row):
    config = load_method(row.method).Config
    assert config(**row.settings) != config()


def test_variants_are_found_in_the_suites_that_have_them():
    (row,) = [r for r in ROWS if r.title == "SVIP w/o P2A" and r.source.endswith("Table 2")]
    assert (row.runs_as, "svip_table2" in row.suites) == ("svip (pooling=class_token)", True)


def test_the_command_lists_them():
    found = CliRunner().invoke(app, ["methods", "--coverage", "--json"])
    assert len(json.loads(found.stdout)) == len(ROWS)
    found = CliRunner().invoke(app, ["methods", "--coverage"], terminal_width=200)
    assert f"of {len(ROWS)} rows of published tables run here" in found.stdout
