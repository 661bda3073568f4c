"""Rows of a leaderboard, from stored runs alone."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from boards import RULES, changed, raw_title, rows_of
from simulated import random_outcome

from zslbench.errors import ZslbenchError
from zslbench.metrics import harmonic_mean
from zslbench.report.curves import POINTS, mean_curve
from zslbench.store.artifacts import read_class_names, read_test
from zslbench.studies.leaderboard.results import build_leaderboard


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


def test_oracle_and_gamma_zero_are_those_of_the_row(stored):
    for row in rows_of(stored, RULES):
        assert row.oracle_h >= row.value("h") - 1e-9


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
