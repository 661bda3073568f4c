"""Win rates and mean ranks, against loops that count."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from zslbench.stats.ranking import mean_ranks, win_rates

VALUES = arrays(
    np.float64,
    st.tuples(st.integers(1, 5), st.integers(1, 6)),
    elements=st.sampled_from([np.nan, 10.0, 20.0, 30.0]),
)


def counted_win_rate(ours, theirs):
    """Count, block by block."""
    points = blocks = 0
    for one, other in zip(ours, theirs, strict=True):
        if one == one and other == other:
            blocks += 1
            points += 1 if one > other else 0.5 if one == other else 0
    return points / blocks if blocks else np.nan


def counted_mean_rank(values, number):
    """One more than those above, and half of those level with it, dataset by dataset."""
    complete = [row for row in values.tolist() if all(value == value for value in row)]
    if any(value != value for value in values[number]):
        return np.nan
    ranks = []
    for place, value in enumerate(values[number]):
        above = sum(row[place] > value for row in complete)
        level = sum(row[place] == value for row in complete) - 1
        ranks.append(1 + above + level / 2)
    return sum(ranks) / len(ranks)


@given(values=VALUES)
def test_win_rates_are_those_counted(values):
    found = win_rates(values)
    for i, ours in enumerate(values):
        for j, theirs in enumerate(values):
            expected = np.nan if i == j else counted_win_rate(ours, theirs)
            assert found[i, j] == pytest.approx(expected, nan_ok=True)


@settings(deadline=None)  # the first call imports scipy.stats
@given(values=VALUES)
def test_mean_ranks_are_those_counted(values):
    found = mean_ranks(values)
    for number in range(len(values)):
        assert found[number] == pytest.approx(counted_mean_rank(values, number), nan_ok=True)


@given(values=VALUES)
def test_what_one_wins_the_other_loses(values):
    found = win_rates(values)
    met = ~np.isnan(found)
    assert np.array_equal(met, met.T)
    assert (found + found.T)[met] == pytest.approx(1.0)


@settings(deadline=None)
@given(values=VALUES)
def test_ranks_sum_to_what_is_there_to_share(values):
    ranks = mean_ranks(values)
    ranked = int(np.sum(~np.isnan(ranks)))
    assert np.nansum(ranks) == pytest.approx(ranked * (ranked + 1) / 2)


def test_by_hand():
    values = np.array([[50.0, 40.0, 30.0], [50.0, 30.0, 20.0], [60.0, 10.0, np.nan]])
    rates = win_rates(values)
    assert rates[0, 1] == pytest.approx((0.5 + 1 + 1) / 3)
    assert rates[0, 2] == pytest.approx(1 / 2)
    assert mean_ranks(values) == pytest.approx([(1.5 + 1 + 1) / 3, (1.5 + 2 + 2) / 3, np.nan],
                                               nan_ok=True)  # fmt: skip
