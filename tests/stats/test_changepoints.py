"""Steps in a series by commit: found where they begin, and nowhere else."""

import numpy as np
import pytest

from zslbench.stats.changepoints import find_steps

SEEDS = np.array([40.0, 55.0, 47.0, 61.0, 52.0])
EFFECT = np.array([-3.0, -4.1, -2.6, -3.3, -3.9])


def history(*levels):
    """Values by commit and seed: a commit that changes no number repeats the one before."""
    return np.array([SEEDS + level for level in levels])


def test_a_planted_step_is_named_by_its_first_commit():
    (step,) = find_steps(history(*[0 * EFFECT] * 6, *[EFFECT] * 4))
    assert step.place == 6
    assert step.size == pytest.approx(EFFECT.mean())
    assert step.p < 0.01


def test_two_steps_are_both_found_in_order():
    steps = find_steps(history(*[0 * EFFECT] * 3, *[EFFECT] * 4, *[EFFECT / 4] * 3))
    assert [step.place for step in steps] == [3, 7]


def test_history_that_moves_nothing_has_no_step():
    assert find_steps(history(*[0 * EFFECT] * 10)) == []


def test_a_change_of_random_numbers_alone_is_no_step():
    """Seeds move up and down, their mean does not."""
    rng = np.random.default_rng(0)
    false = sum(
        bool(find_steps(history(*[0 * EFFECT] * 5, *[2 * rng.normal(size=5)] * 5)))
        for _ in range(300)
    )
    assert false <= 12


def test_a_step_of_every_seed_alike_is_exact():
    (step,) = find_steps(history(*[0 * EFFECT] * 5, *[0 * EFFECT - 0.5] * 5))
    assert (step.place, step.p) == (5, 0.0)
