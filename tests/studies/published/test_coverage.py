"""Every row of a published table runs here, or says why not."""

import json

import pytest
from typer.testing import CliRunner

from zslbench.cli import app
from zslbench.method.registry import method_modules
from zslbench.studies.published.coverage import coverage, not_run
from zslbench.studies.published.numbers import fold, read_published

ROWS = coverage()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.source}: {row.title}")
def test_a_row_runs_as_a_method_or_says_why_not(row):
    assert bool(row.method) != bool(row.why)
    assert not row.suites or row.method


def test_no_published_number_is_left_out():
    assert sum(len(row.published) for row in ROWS) == len(read_published())


def test_reasons_are_of_published_methods_that_are_not_here():
    here = set(map(fold, method_modules()))
    published = {fold(row.method) for row in read_published()}
    assert {fold(name) for name in not_run()} <= published - here


def test_variants_are_found_in_the_suites_that_have_them():
    (row,) = [r for r in ROWS if r.title == "SVIP w/o P2A" and r.source.endswith("Table 2")]
    assert (row.method, "svip_table2" in row.suites) == ("svip", True)


def test_the_command_lists_them():
    found = CliRunner().invoke(app, ["methods", "--coverage", "--json"])
    assert len(json.loads(found.stdout)) == len(ROWS)
    found = CliRunner().invoke(app, ["methods", "--coverage"], terminal_width=200)
    assert f"of {len(ROWS)} rows of published tables run here" in found.stdout
