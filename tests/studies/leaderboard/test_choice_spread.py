"""The choice spread, and the interval that includes it."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from boards import as_markdown, board_of, rows_of

from zslbench.metrics import harmonic_mean
from zslbench.store.artifacts import read_summary, read_test
from zslbench.studies.leaderboard.results import build_leaderboard


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
