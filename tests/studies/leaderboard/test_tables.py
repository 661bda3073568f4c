"""A leaderboard as text: Markdown, CSV, JSON, the terminal; and its other tables."""

import csv
import io
import json
import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from boards import RULES, as_csv, as_markdown, board_of, rows_of

from zslbench.report.writers import terminal
from zslbench.stats import Interval
from zslbench.studies.leaderboard.results import Leaderboard, build_leaderboard
from zslbench.studies.leaderboard.tables import other_tables


def test_rendering_twice_gives_the_same_bytes(stored):
    board, again = board_of(stored, RULES), board_of(list(reversed(stored)), RULES)
    for render in (as_markdown, as_csv, lambda b: json.dumps(b.to_dict())):
        assert render(board) == render(again)


def test_markdown_escapes_names_that_would_break_the_table(stored):
    (row, *_) = rows_of(stored)
    text = as_markdown(Leaderboard([replace(row, method="a|b", dataset="<script>")]))
    assert "a\\|b" in text
    assert "<script>" not in text


def test_markdown_prints_the_best_bold_and_the_second_underlined(stored):
    first, second = (line.split(" | ") for line in as_markdown(board_of(stored)).splitlines()
                     if line.startswith("| eszsl") and "<br>(" in line)  # fmt: skip
    assert first[4].startswith("**")
    assert second[4].startswith("<u>")


def test_partial_table_says_so_in_its_title(stored):
    board = replace(board_of(stored), title="Some <table>", planned=9, missing=2)
    assert as_markdown(board).startswith("# Some &lt;table> (PARTIAL: 2 of 9 runs are missing)\n")


def test_csv_has_both_ends_of_both_intervals(stored):
    lines = list(csv.DictReader(io.StringIO(as_csv(board_of(stored)))))
    for name in ("T1", "U", "S", "H", "AUSUC"):
        for line in lines:
            for classes in ("these_classes", "new_classes"):
                low, high = (float(line[f"{name}_{end}_{classes}"]) for end in ("low", "high"))
                assert low <= float(line[name]) <= high


def test_terminal_shows_value_intervals_and_control(stored):
    from rich.console import Console

    console = Console(file=io.StringIO(), width=140)
    for part in terminal(board_of(stored).document(), console.width):
        console.print(part, markup=False)
    text = console.file.getvalue()
    assert "p = 0." in text
    assert "control" in text
    assert "features:toy" in text


def test_json_leaves_the_evidence_out(stored):
    assert all("evidence" not in row for row in board_of(stored).to_dict()["rows"])


def test_unbounded_interval_is_null_in_json(stored):
    board = board_of(stored)
    intervals = {**board.rows[0].intervals, "h": {"these_classes": Interval(1.0, -np.inf, np.inf)}}
    document = Leaderboard([replace(board.rows[0], intervals=intervals)]).to_dict()
    json.dumps(document, allow_nan=False)
    assert document["rows"][0]["intervals"]["h"]["these_classes"] == {
        "mean": 1.0, "low": None, "high": None,
    }  # fmt: skip


def test_where_methods_look_is_told_once_and_without_an_interval_of_one_seed(stored):
    looks = {"patch_auc": 60.0}
    runs = [replace(run, record=run.record.model_copy(update={"localisation": looks}))
            for run in stored]  # fmt: skip
    (grid,) = (g for g in other_tables(board_of(runs, RULES)) if g.title == "where methods look")
    assert len(grid.rows) == 2
    assert {line[1] for line in grid.rows} == {"60.0\n"}


@pytest.mark.parametrize(("deterministic", "told"), [(True, "0.0"), (False, "-")])
def test_one_seed_has_no_spread_where_seeds_matter(stored, deterministic, told):
    update = {"deterministic": deterministic}
    one = replace(stored[0], record=stored[0].record.model_copy(update=update))
    (grid,) = (g for g in other_tables(board_of([one], RULES)) if g.title == "inflation")
    assert grid.rows[0][-1] == told


def test_a_classifiers_own_epochs_have_a_column_where_a_method_has_them(stored):
    """Nothing to choose for the others: no column without such a method, else a dash."""
    column = "classifier epoch on test"
    (grid,) = (g for g in other_tables(board_of(stored, RULES)) if g.title == "inflation")
    assert column not in grid.columns
    several = replace(stored[2], record=stored[2].record.model_copy(update={"passes": 5}))
    board = board_of([*stored[:2], several], RULES)
    (grid,) = (g for g in other_tables(board) if g.title == "inflation")
    cells = {line[0].text.splitlines()[0]: line[grid.columns.index(column)] for line in grid.rows}
    assert sorted(cells.values()) == ["+0.0\n= +0.0 +0.0", "-"]
    assert cells["eszsl"] == "-"


def test_rows_are_called_as_their_suite_does(stored):
    labels = {run.record.spec.choice_key: "full" for run in stored if not run.record.spec.settings}
    board = build_leaderboard(stored, Counter(), labels=labels)
    names = {row.title: row.configured for row in board.rows}
    assert names["full"] == "eszsl"
    text = as_markdown(board)
    assert "| full<br>rule validation" in text
    assert re.search(r"\* full: .*; eszsl; |\* full: eszsl; ", text)
    assert {line["label"] for line in csv.DictReader(io.StringIO(as_csv(board)))} == {"full", ""}
