"""Rows of a leaderboard, from stored runs alone."""

import csv
import io
import json
from collections import Counter
from dataclasses import replace

import pytest

from zslbench.artifacts import read_test
from zslbench.conformance import toy_dataset
from zslbench.execute import Job, write_evaluation
from zslbench.method import PublishedRule
from zslbench.metrics import harmonic_mean
from zslbench.records import RunSpec
from zslbench.report.leaderboard import Leaderboard, build_leaderboard
from zslbench.report.render import as_csv, as_json, as_markdown, as_terminal
from zslbench.run import evaluate, select
from zslbench.tracking import Stored
from zslbench_methods.eszsl import ESZSL

RULES = ("validation", "last", "published")


def stored_run(folder, *, seed=0, **config):
    """Run ESZSL on the toy data and keep it in a folder, as the outbox would."""
    dataset = toy_dataset()
    spec = RunSpec(
        method="eszsl", method_version=1, config=ESZSL.Config(**config).model_dump(),
        settings=config, dataset=dataset.name, data_digest=dataset.digest,
        backbone=dataset.backbone, seed=seed, precision="float64", rules=RULES, tuning_worlds=2,
    )  # fmt: skip
    evaluation = evaluate(spec, select(spec, dataset), dataset, lambda opening: None)
    folder.mkdir()
    write_evaluation(folder, evaluation, Job(spec, dataset))
    return Stored(evaluation.record, folder)


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


def test_one_tuning_world_and_pretraining_beyond_1k_are_marked(stored):
    record = stored[0].record
    backbone = record.spec.backbone.model_copy(update={"exposure": "21k"})
    spec = record.spec.model_copy(update={"backbone": backbone, "tuning_worlds": 1})
    changed = replace(stored[0], record=record.model_copy(update={"spec": spec}))
    (row,) = rows_of([changed])
    assert {"fewer than three tuning worlds", "pretrained beyond ImageNet-1k"} <= set(row.marks)


def test_rendering_twice_gives_the_same_bytes(stored):
    board, again = board_of(stored, RULES), board_of(list(reversed(stored)), RULES)
    for render in (as_markdown, as_csv, lambda b: json.dumps(as_json(b))):
        assert render(board) == render(again)


def test_markdown_escapes_names_that_would_break_the_table(stored):
    (row, *_) = rows_of(stored)
    text = as_markdown(Leaderboard([replace(row, method="a|b", dataset="<script>")], [], []))
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
    for part in as_terminal(board_of(stored)):
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
    assert "rule published<br>SELECTED ON TEST" in lines[-1]
    assert len(lines) == 3


def test_test_images_are_counted_by_side(stored):
    for row in rows_of(stored):
        run = next(r for r in stored if r.record.spec.settings == row.settings)
        labels, seen = read_test(run.folder)
        assert row.test_images == (sum(labels < seen), sum(labels >= seen))
        assert min(row.test_images) > 0
