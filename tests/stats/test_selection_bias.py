"""Inflation: nothing where there is nothing to choose, optimism from noise, regret from a loss."""

import numpy as np
import pytest
from simulated import outcome_of

from zslbench.seeding import generator
from zslbench.stats.selection_bias import CHOSEN, inflation, stratified_half

LABELS = np.repeat(np.arange(30), 20)
SIDE = np.where(LABELS < 20, 1.0, -1.0)


def noisy(seed, skill=0.6):
    """An epoch of a method that is right in `skill` of the images, margins noisy around 0."""
    rng = generator(seed, "inflation")
    return outcome_of(LABELS, 20, rng.random(600) < skill, SIDE + rng.normal(0, 1, 600))


def test_halves_take_half_of_each_class_and_differ_from_cut_to_cut():
    labels = np.repeat(np.arange(3), [4, 5, 1])
    halves = [stratified_half(labels, cut) for cut in range(20)]
    assert {half[:4].sum() for half in halves} == {2}
    assert {half[4:9].sum() for half in halves} == {2, 3}
    assert {half[9:].sum() for half in halves} == {0, 1}
    assert len({half.tobytes() for half in halves}) > 5


def test_one_epoch_cannot_be_chosen():
    found = inflation({1: noisy(0)}, 1, 0.0)["epoch"]
    assert (found.optimism, found.regret) == pytest.approx((0, 0))


def test_equal_epochs_differ_by_noise_alone_and_choosing_among_them_is_optimism():
    found = inflation({e: noisy(e) for e in range(1, 31)}, 7, 0.0)
    assert found["epoch"].optimism > 2
    assert abs(found["epoch"].regret) < 2
    assert found["all"].optimism > found["epoch"].optimism - 0.5


def test_a_bad_choice_of_ours_is_regret():
    outcomes = {1: noisy(1, skill=0.4), 2: noisy(2, skill=0.8)}
    found = inflation(outcomes, 1, 0.0)
    gap = outcomes[2].scores(0.0).h - outcomes[1].scores(0.0).h
    assert found["epoch"].regret == pytest.approx(gap, abs=1)
    assert abs(found["epoch"].optimism) < 1


def test_a_gamma_far_off_is_regret_that_choosing_gamma_finds():
    found = inflation({1: noisy(3)}, 1, 2.5)
    assert found["gamma"].regret > 10
    assert found["gamma"].regret == pytest.approx(found["all"].regret)


def test_one_cut_by_hand():
    """Two epochs that are each perfect on one half: chosen there 100, on the other half 0."""
    half = stratified_half(LABELS, 0)
    outcomes = {
        e: outcome_of(LABELS, 20, mask, SIDE) for e, mask in enumerate((half, ~half), start=1)
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("zslbench.stats.selection_bias.CUTS", 1)
        found = inflation(outcomes, 1, 0.0)
    assert found["epoch"].optimism == pytest.approx(100)
    assert found["epoch"].regret == pytest.approx(-50)
    assert set(found) == set(CHOSEN) - {"classifier epoch"}


def test_epochs_of_a_classifier_are_parted_from_those_of_its_generator():
    """Two generators, three passes of a classifier each: skill differs where nothing else does."""
    skills = {1: 0.3, 2: 0.6, 3: 0.6, 4: 0.6, 5: 0.3, 6: 0.8}
    outcomes = {e: noisy(e, skill) for e, skill in skills.items()}
    found = inflation(outcomes, 1, 0.0, passes=3)
    assert list(found) == list(CHOSEN)
    own, other, last = (outcomes[e].scores(0.0).h for e in (1, 2, 6))
    assert found["classifier epoch"].regret == pytest.approx(other - own, abs=3)
    assert found["epoch"].regret == pytest.approx(outcomes[4].scores(0.0).h - own, abs=3)
    assert found["all"].regret > max(found[c].regret for c in CHOSEN[:3])
    assert last > other


@pytest.mark.parametrize(("passes", "epoch", "same_generator", "same_pass"), [
    (3, 5, {4, 5, 6}, {2, 5, 8}), (3, 3, {1, 2, 3}, {3, 6, 9}), (9, 4, set(range(1, 10)), {4}),
])  # fmt: skip
def test_what_is_free_to_choose(passes, epoch, same_generator, same_pass, monkeypatch):
    """A perfect outcome is found by whoever may choose it, and by nobody else."""
    monkeypatch.setattr("zslbench.stats.selection_bias.CUTS", 1)
    right, wrong = (outcome_of(LABELS, 20, np.full(600, hit), SIDE) for hit in (True, False))
    for perfect in set(range(1, 10)) - {epoch}:
        outcomes = {e: right if e == perfect else wrong for e in range(1, 10)}
        found = inflation(outcomes, epoch, 0.0, passes)
        assert (found["classifier epoch"].regret > 99) == (perfect in same_generator)
        assert (found["epoch"].regret > 99) == (perfect in same_pass)
        assert found["all"].regret > 99
        assert found["gamma"].regret == pytest.approx(0)
