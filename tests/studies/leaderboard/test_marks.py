"""What a row is marked with."""

from collections import Counter
from dataclasses import replace

import pytest
from boards import RULES, as_markdown, board_of, changed, raw_title, rows_of, stored_run

from zslbench.data.exposure import class_vectors_saw
from zslbench.method import PublishedRule
from zslbench.methods.eszsl import ESZSL
from zslbench.records import WordVectors
from zslbench.studies.leaderboard.results import build_leaderboard
from zslbench.studies.leaderboard.tables import other_tables


def test_choosing_on_test_is_marked(stored, monkeypatch, tmp_path):
    monkeypatch.setattr(ESZSL, "published", PublishedRule(gamma="best"))
    run = stored_run(tmp_path / "cheat")
    by_rule = {row.rule: row for row in rows_of([run], RULES)}
    assert "selected on test" in by_rule["published"].marks
    assert "selected on test" not in by_rule["validation"].marks
    assert by_rule["published"].value("h") == pytest.approx(by_rule["published"].oracle_h)


def test_markdown_names_the_rule_and_its_marks_in_the_table(stored, monkeypatch, tmp_path):
    monkeypatch.setattr(ESZSL, "published", PublishedRule(gamma="best"))
    run = stored_run(tmp_path / "cheat")
    lines = [line for line in as_markdown(board_of([run], RULES)).splitlines()
             if line.startswith("| eszsl<br>rule")]  # fmt: skip
    assert "rule published; features:toy<br>SELECTED ON TEST<br>" in lines[-1]
    assert len(lines) == 3


@pytest.mark.parametrize("kind", ["random", "shuffled"])
def test_words_without_meaning_are_marked(stored, kind):
    record = stored[0].record
    words = WordVectors(digest="0", description=f"{kind}:0, L2")
    spec = record.spec.model_copy(update={"words": words})
    (row,) = rows_of([replace(stored[0], record=record.model_copy(update={"spec": spec}))])
    assert f"{kind} word vectors" in row.marks


def test_what_pretraining_and_class_vectors_know_is_marked_and_told(stored):
    record = stored[0].record
    first, *others = record.choice.worlds
    worlds = (first.model_copy(update={"pretrained": ("Indigo Bunting", "Blue Jay")}), *others)
    choice = record.choice.model_copy(update={"worlds": worlds})
    spec = record.spec.model_copy(update={"dataset": "FLO"})
    known = replace(stored[0], record=record.model_copy(update={"choice": choice, "spec": spec}))
    (row,) = rows_of([known])
    assert {"pretraining may know validation classes", class_vectors_saw("FLO")} <= set(row.marks)
    told = row.evidence.provenance["choice"]
    assert told[f"known to the pretraining in tuning world {first.name}"] == (
        "Indigo Bunting, Blue Jay"
    )
    assert not {"pretraining may know validation classes", ""} & set(rows_of(stored[:1])[0].marks)


def test_one_tuning_world_and_pretraining_beyond_1k_are_marked(stored):
    record = stored[0].record
    backbone = record.spec.backbone.model_copy(update={"exposure": "21k"})
    spec = record.spec.model_copy(update={"backbone": backbone, "tuning_worlds": 1})
    changed = replace(stored[0], record=record.model_copy(update={"spec": spec}))
    (row,) = rows_of([changed])
    assert {"fewer than three tuning worlds", "pretrained beyond ImageNet-1k"} <= set(row.marks)


def limited(run, epoch, **spec):
    """The run with an epoch chosen out of four, and another spec."""
    (first, *_), record = run.record.choice.candidates, run.record
    tried = tuple(first.model_copy(update={"epoch": number}) for number in range(1, 5))
    choice = record.choice.model_copy(update={"epoch": epoch, "candidates": tried})
    record = record.model_copy(update={"choice": choice})
    return changed(replace(run, record=record), **spec)


SHORT = "epoch 4 of 4 chosen: raise epochs"


@pytest.mark.parametrize(("epoch", "marked"), [(4, True), (3, False)])
def test_a_schedule_that_is_too_short_is_marked_in_every_form_of_the_table(
    stored, tmp_path, epoch, marked
):
    board = board_of([limited(stored[0], epoch)])
    assert (SHORT in board.rows[0].marks) is marked
    assert (SHORT.upper() in repr(board)) is marked
    for kind in ("md", "csv", "json", "tex", "html"):
        board.save(tmp_path / f"board.{kind}")
        assert (SHORT in (tmp_path / f"board.{kind}").read_text().lower()) is marked, kind


def test_a_limit_that_one_seed_has_met_is_the_rows_once(stored):
    falling = {"total": [3.0 * 0.9**epoch for epoch in range(12)]}
    runs = [replace(s, record=s.record.model_copy(update={"losses": falling})) for s in stored[:2]]
    for some in (runs, [stored[0], runs[1]]):
        (row,) = rows_of(some)
        assert sum("still falling" in mark for mark in row.marks) == 1


@pytest.mark.parametrize(("trials", "marked"), [(5, True), (0, False)])
def test_a_winner_at_the_edge_of_what_was_searched_is_marked(stored, trials, marked):
    config = {**stored[2].record.spec.config, "reg_x": 9e5}
    record = stored[2].record
    choice = record.choice.model_copy(update={"config": {**record.choice.config, "reg_x": 9e5}})
    run = replace(stored[2], record=record.model_copy(update={"choice": choice}))
    (row,) = rows_of([changed(run, config=config, tuned=trials)])
    mark = "reg_x 900000 chosen, the high end of its range: try higher values"
    assert (mark in row.marks) is marked


def test_a_tuned_row_of_a_method_that_is_gone_has_no_ranges(stored):
    (row,) = rows_of([changed(stored[2], method="gone", tuned=5)])
    assert not any("range" in mark for mark in row.marks)


def test_other_tables_tell_who_trains_on_unseen_attributes(stored):
    update = {"transductive": True, "deterministic": False}
    runs = [replace(run, record=run.record.model_copy(update=update)) for run in stored]
    title = raw_title(stored)
    board = build_leaderboard(runs, Counter(), RULES, title)
    grids = {grid.title: grid for grid in other_tables(board)}
    for name in ("paired differences", "win rates and ranks", "inflation"):
        assert all(
            line[0].marks == ("trains on unseen attributes",) for line in grids[name].rows
        ), name
