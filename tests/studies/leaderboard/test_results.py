"""Rows of a leaderboard, from stored runs alone."""

import csv
import io
import json
import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from boards import RULES, changed, stored_run
from simulated import random_outcome

from zslbench.data.exposure import class_vectors_saw
from zslbench.errors import ZslbenchError
from zslbench.method import PublishedRule
from zslbench.methods.eszsl import ESZSL
from zslbench.metrics import harmonic_mean
from zslbench.records import WordVectors
from zslbench.report.curves import POINTS, mean_curve
from zslbench.report.records import csv_text
from zslbench.report.writers import markdown, terminal
from zslbench.stats import Interval
from zslbench.store.artifacts import read_class_names, read_summary, read_test
from zslbench.studies.leaderboard.results import Leaderboard, build_leaderboard
from zslbench.studies.leaderboard.tables import other_tables


def as_markdown(board):
    return markdown(board.document())


def as_csv(board):
    return csv_text(board.records())


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    root = tmp_path_factory.mktemp("stored")
    runs = [stored_run(root / f"s{seed}", seed=seed) for seed in range(2)]
    return [*runs, stored_run(root / "raw", features="raw", reg_x=1000.0, reg_s=1000.0)]


def board_of(stored, rules=("validation",)):
    return build_leaderboard(stored, Counter(), rules)


def rows_of(stored, rules=("validation",)):
    return board_of(stored, rules).rows


def test_seeds_of_one_config_make_one_row(stored):
    rows = rows_of(stored)
    assert sorted(row.seeds for row in rows) == [(0,), (0, 1)]
    assert sorted(len(row.settings) for row in rows) == [0, 3]


def test_rows_are_sorted_by_h(stored):
    values = [row.value("h") for row in rows_of(stored)]
    assert values == sorted(values, reverse=True)


def test_h_is_the_mean_of_per_seed_h(stored):
    row = next(row for row in rows_of(stored) if len(row.seeds) == 2)
    scores = [run.record.rules["validation"].scores for run in stored[:2]]
    expected = sum(harmonic_mean(s.u, s.s) for s in scores) / 2
    assert row.value("h") == pytest.approx(expected)


def test_stored_files_give_back_the_numbers_of_the_record(stored):
    for row in rows_of(stored, RULES):
        run = next(r for r in stored if r.record.spec.settings == row.settings)
        scores = run.record.rules[row.rule].scores
        for metric in ("t1", "u", "s", "h", "ausuc"):
            assert row.value(metric) == pytest.approx(getattr(scores, metric))


def test_a_key_stored_twice_counts_once(stored):
    once, twice = rows_of(stored), rows_of([*stored, *stored])
    assert [row.seeds for row in once] == [row.seeds for row in twice]


def test_openings_come_from_the_ledger(stored):
    ledger = Counter({("eszsl", stored[0].record.test_digest): 7})
    rows = build_leaderboard(stored, ledger).rows
    assert {row.openings for row in rows} == {7}


def test_choosing_on_test_is_marked(stored, monkeypatch, tmp_path):
    monkeypatch.setattr(ESZSL, "published", PublishedRule(gamma="best"))
    run = stored_run(tmp_path / "cheat")
    by_rule = {row.rule: row for row in rows_of([run], RULES)}
    assert "selected on test" in by_rule["published"].marks
    assert "selected on test" not in by_rule["validation"].marks
    assert by_rule["published"].value("h") == pytest.approx(by_rule["published"].oracle_h)


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


def test_rendering_twice_gives_the_same_bytes(stored):
    board, again = board_of(stored, RULES), board_of(list(reversed(stored)), RULES)
    for render in (as_markdown, as_csv, lambda b: json.dumps(b.to_dict())):
        assert render(board) == render(again)


def test_markdown_escapes_names_that_would_break_the_table(stored):
    (row, *_) = rows_of(stored)
    text = as_markdown(Leaderboard([replace(row, method="a|b", dataset="<script>")]))
    assert "a\\|b" in text
    assert "<script>" not in text


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


def test_oracle_and_gamma_zero_are_those_of_the_row(stored):
    for row in rows_of(stored, RULES):
        assert row.oracle_h >= row.value("h") - 1e-9


def test_markdown_names_the_rule_and_its_marks_in_the_table(stored, monkeypatch, tmp_path):
    monkeypatch.setattr(ESZSL, "published", PublishedRule(gamma="best"))
    run = stored_run(tmp_path / "cheat")
    lines = [line for line in as_markdown(board_of([run], RULES)).splitlines()
             if line.startswith("| eszsl<br>rule")]  # fmt: skip
    assert "rule published; features:toy<br>SELECTED ON TEST<br>" in lines[-1]
    assert len(lines) == 3


def test_test_images_are_counted_by_side(stored):
    for row in rows_of(stored):
        run = next(r for r in stored if r.record.spec.settings == row.settings)
        labels, seen = read_test(run.folder)
        assert row.test_images == (sum(labels < seen), sum(labels >= seen))
        assert min(row.test_images) > 0


def test_evidence_agrees_with_the_row(stored):
    for row in rows_of(stored, RULES):
        found = row.evidence
        place = int(np.searchsorted(found.curve.gammas, row.chosen["gamma"]))
        assert len(found.curve.gammas) <= POINTS
        for metric in ("u", "s", "h"):
            assert getattr(found.curve, metric)[place] == pytest.approx(row.value(metric))
        unseen, seen = found.class_accuracies[found.seen :], found.class_accuracies[: found.seen]
        assert unseen.mean() == pytest.approx(row.value("u"))
        assert seen.mean() == pytest.approx(row.value("s"))
        assert found.curve.u[-1] == pytest.approx(row.value("t1"))
        assert found.curve.h.max() <= row.oracle_h + 1e-9


def test_long_curves_are_thinned_and_keep_their_ends():
    outcome = random_outcome(np.random.default_rng(0), 40, 10, 60)
    spread = replace(outcome, margin=outcome.margin + np.linspace(0, 1e-3, len(outcome.margin)))
    curve, whole = mean_curve([spread], [0.4]), spread.curve
    assert len(whole.steps) > 5 * POINTS
    assert len(curve.gammas) <= POINTS
    assert (curve.u[0], curve.s[-1]) == (0.0, 0.0)
    assert (curve.u[-1], curve.s[0]) == (whole.u[-1], whole.s[0])
    assert {0.0, 0.4} <= set(curve.gammas)
    u, s = whole.at(curve.gammas)
    assert np.array_equal(curve.u, u)
    assert np.array_equal(curve.s, s)


def test_classes_are_named_and_runs_stored_without_names_are_numbered(stored, tmp_path):
    names = rows_of(stored)[0].evidence.class_names
    assert sorted(names) == sorted(f"class {c}" for c in range(16))
    labels = np.array([0, 1])
    np.savez(tmp_path / "test.npz", classes=np.array([7, 3]), labels=labels, seen=np.array([1]))
    assert read_class_names(tmp_path) == ("class 7", "class 3")


def test_json_leaves_the_evidence_out(stored):
    assert all("evidence" not in row for row in board_of(stored).to_dict()["rows"])


def raw_title(stored):
    return next(row.title for row in rows_of(stored) if row.settings)


def test_reference_is_a_row_by_its_title_before_a_method(stored):
    title = raw_title(stored)
    (by_title,) = build_leaderboard(stored, Counter(), reference=title).comparisons
    assert (by_title.method, by_title.reference) == ("eszsl", title)
    (by_default,) = build_leaderboard(stored, Counter(), reference="eszsl").comparisons
    assert (by_default.method, by_default.reference) == (title, "eszsl")


def test_method_with_several_rows_is_no_reference(stored):
    labels = {run.record.spec.choice_key: f"row {len(run.record.spec.settings)}" for run in stored}
    with pytest.raises(ZslbenchError, match="2 configs of it were run on"):
        build_leaderboard([*stored, changed(stored[0], method="other")], Counter(),
                          reference="eszsl", labels=labels)  # fmt: skip


def test_same_labels_under_other_pictures_are_other_data(stored):
    """Test labels of two drawings may be the same: rows are paired within a dataset."""
    elsewhere = [changed(run, dataset="elsewhere", data_digest="other") for run in stored]
    title = raw_title(stored)
    board = build_leaderboard([*stored, *elsewhere], Counter(), reference=title)
    assert sorted(c.dataset for c in board.comparisons) == ["elsewhere", "toy"]
    assert {standing.datasets for standing in board.standings} == {2}


def test_rows_are_called_as_their_suite_does(stored):
    labels = {run.record.spec.choice_key: "full" for run in stored if not run.record.spec.settings}
    board = build_leaderboard(stored, Counter(), labels=labels)
    names = {row.title: row.configured for row in board.rows}
    assert names["full"] == "eszsl"
    text = as_markdown(board)
    assert "| full<br>rule validation" in text
    assert re.search(r"\* full: .*; eszsl; |\* full: eszsl; ", text)
    assert {line["label"] for line in csv.DictReader(io.StringIO(as_csv(board)))} == {"full", ""}


def test_partial_table_says_so_in_its_title(stored):
    board = replace(board_of(stored), title="Some <table>", planned=9, missing=2)
    assert as_markdown(board).startswith("# Some &lt;table> (PARTIAL: 2 of 9 runs are missing)\n")


def test_unbounded_interval_is_null_in_json(stored):
    board = board_of(stored)
    intervals = {**board.rows[0].intervals, "h": {"these_classes": Interval(1.0, -np.inf, np.inf)}}
    document = Leaderboard([replace(board.rows[0], intervals=intervals)]).to_dict()
    json.dumps(document, allow_nan=False)
    assert document["rows"][0]["intervals"]["h"]["these_classes"] == {
        "mean": 1.0, "low": None, "high": None,
    }  # fmt: skip


def test_markdown_prints_the_best_bold_and_the_second_underlined(stored):
    first, second = (line.split(" | ") for line in as_markdown(board_of(stored)).splitlines()
                     if line.startswith("| eszsl") and "<br>(" in line)  # fmt: skip
    assert first[4].startswith("**")
    assert second[4].startswith("<u>")


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


# ---------------------------------------------------------------- the choice spread


def h_without(run, world):
    """H read naively at what would be chosen without a world."""
    (other,) = [a for a in run.record.choice.alternatives if a.without == world]
    summary, (labels, seen) = read_summary(run.folder, other.epoch), read_test(run.folder)
    predicted = summary.predictions(other.gamma * summary.scale)
    right = [np.mean(predicted[labels == c] == c) for c in np.unique(labels)]
    split = np.count_nonzero(np.unique(labels) < seen)
    return 100 * harmonic_mean(np.mean(right[split:]), np.mean(right[:split]))


def test_choice_spread_is_over_worlds_left_out_and_widens_the_interval_of_h(stored):
    for row, members in zip(rows_of(stored), by_row(stored), strict=True):
        worlds = [a.without for a in members[0].record.choice.alternatives]
        h = [[h_without(run, world) for world in worlds] for run in members]
        assert len(worlds) == 2
        assert row.choice_spread == pytest.approx(np.std(np.mean(h, axis=0)))
        given, found = row.intervals["h"]["these_classes"], row.these_classes_and_choice
        assert found.low <= given.low + 1e-9
        assert found.high >= given.high - 1e-9
        assert f"choice spread {row.choice_spread:.1f}" in as_markdown(board_of(stored))


def by_row(stored):
    """The runs of each row, in the order of the rows."""
    found = {(0, 1): stored[:2], (0,): stored[2:]}
    return [found[row.seeds] for row in rows_of(stored)]


def test_differences_leave_the_same_world_out_of_both(stored):
    title = next(row.title for row in rows_of(stored) if row.seeds == (0,))
    (found,) = build_leaderboard(stored, Counter(), reference=title).comparisons
    worlds = [a.without for a in stored[0].record.choice.alternatives]
    gains = [h_without(stored[0], w) - h_without(stored[2], w) for w in worlds]
    assert found.choice_spread == pytest.approx(np.std(gains))
    assert found.these_classes_and_choice.mean == found.differences["h"]["these_classes"].mean


@pytest.mark.parametrize("rule", ["published", "validation"])
def test_no_spread_where_no_choice_is_read_or_none_is_known(stored, rule):
    """What is selected on test reads no choice; records of older versions have no alternatives."""
    old = stored[2].record
    bare = old.model_copy(update={"choice": old.choice.model_copy(update={"alternatives": ()})})
    runs = [replace(stored[2], record=bare)] if rule == "validation" else stored[2:]
    (row,) = rows_of(runs, (rule,))
    assert row.choice_spread is row.these_classes_and_choice is None
    assert "choice spread" not in as_markdown(board_of(runs, (rule,))).partition("> ")[0]
