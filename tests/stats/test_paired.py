"""Paired differences: by hand, against resampling, and under a null hypothesis that holds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as student_t
from simulated import outcome_of, random_outcome

from zslbench.seeding import generator
from zslbench.stats import METRICS, POPULATIONS, holm, paired


def unseen_only(*classes):
    """One seen class of two images, both right, and unseen classes given by their images' hits."""
    labels = np.repeat(np.arange(len(classes) + 1), [2, *map(len, classes)])
    right = np.concatenate([np.ones(2), *map(np.asarray, classes)])
    return outcome_of(labels, 1, right, np.where(labels < 1, 1.0, -1.0))


def test_difference_over_images_by_hand():
    """Four of ten images of one class gained, one lost: only these five differ."""
    ours = unseen_only([1, 1, 1, 1, 0, 1, 1, 0, 0, 0])
    theirs = unseen_only([0, 0, 0, 0, 1, 1, 1, 0, 0, 0])
    found = paired([(ours, 0.0)], [(theirs, 0.0)], "t1", "these_classes")
    per_image = 100 * np.array([1, 1, 1, 1, -1, 0, 0, 0, 0, 0])
    error = per_image.std(ddof=1) / 10**0.5
    assert found.mean == pytest.approx(30)
    assert found.high - found.mean == pytest.approx(student_t.ppf(0.975, 9) * error)
    assert found.p == pytest.approx(2 * student_t.sf(30 / error, 9))


def test_difference_over_seeds_by_hand():
    """No image differs within its class; seeds gain 0, 10, 20 of 100."""
    base = unseen_only(*[[0, 0]] * 10)
    ours = [unseen_only(*[[1, 1]] * k, *[[0, 0]] * (10 - k)) for k in (0, 1, 2)]
    found = paired([(o, 0.0) for o in ours], [(base, 0.0)] * 3, "t1", "these_classes")
    assert found.mean == pytest.approx(10)
    assert found.high - found.mean == pytest.approx(student_t.ppf(0.975, 2) * 10 / 3**0.5)


@pytest.mark.parametrize("population", POPULATIONS)
@pytest.mark.parametrize("metric", METRICS)
def test_a_run_does_not_differ_from_itself(metric, population):
    outcome = random_outcome(generator(0, "paired"), 6, 4, 9)
    found = paired([(outcome, 0.2)] * 2, [(outcome, 0.2)] * 2, metric, population)
    assert (found.mean, found.low, found.high, found.p) == (0, 0, 0, 1)


@pytest.mark.parametrize("population", POPULATIONS)
@pytest.mark.parametrize("metric", ["u", "s", "h"])
def test_same_answers_by_other_ways_are_no_difference(metric, population):
    """What the other side takes is right on its own side in one, wrong in the other.

    So sums run over other images, and differ in their last bits, which no test may take up.
    """
    rng, labels = generator(3, "paired rounding"), np.repeat(np.arange(24), 3)
    for _ in range(20):
        right, margin = rng.random(72) < 0.6, rng.normal(size=72)
        kept = right & (np.where(labels < 18, 1, -1) * margin > 0)
        ours, theirs = ([(outcome_of(labels, 18, hits, margin), 0.0)] for hits in (right, kept))
        found = paired(ours, theirs, metric, population)
        assert (found.mean, found.p) == (0, 1)


@pytest.mark.parametrize("metric", METRICS)
@given(seed=st.integers(0, 10_000))
def test_difference_turns_its_sign_with_its_sides_and_p_tells_whether_0_is_inside(metric, seed):
    rng = generator(seed, "paired sides")
    one, other = ([(random_outcome(rng, 5, 4, 8), 0.1)] * 2 for _ in range(2))
    for population in POPULATIONS:
        forth, back = (paired(*pair, metric, population) for pair in ((one, other), (other, one)))
        assert (forth.mean, forth.low, forth.p) == pytest.approx((-back.mean, -back.high, back.p))
        assert (forth.p < 0.05) == (not forth.low <= 0 <= forth.high)


def test_images_that_both_find_hard_do_not_widen_the_difference():
    rng = generator(1, "paired")
    hard = rng.random(400) < 0.5
    gained = hard | (rng.random(400) < 0.05)
    ours, theirs = unseen_only(*gained.reshape(8, 50)), unseen_only(*hard.reshape(8, 50))
    strangers = unseen_only(*(rng.random(400) < 0.5).reshape(8, 50))
    width = [
        paired([(ours, 0.0)], [(other, 0.0)], "t1", "these_classes")
        for other in (theirs, strangers)
    ]
    assert width[0].high - width[0].low < (width[1].high - width[1].low) / 2


@pytest.mark.parametrize("population", POPULATIONS)
def test_equal_methods_are_told_apart_no_more_often_than_p_says(population):
    """These classes: both find each class equally hard. New ones: on average over classes."""
    rng, seeds = generator(2, "paired null"), 3
    labels = np.repeat(np.arange(30), 12)
    lean = np.where(labels < 20, 1.0, -1.0)
    told_apart = 0
    for _ in range(300):
        hard = rng.beta(4, 2, (2, 30))
        hard[1] = hard[0] if population == "these_classes" else hard[1]
        sides = [
            [
                (outcome_of(labels, 20, rng.random(360) < side[labels], lean), 0.0)
                for _ in range(seeds)
            ]
            for side in hard
        ]
        told_apart += paired(*sides, "h", population).p < 0.05
    assert told_apart <= 0.08 * 300


def test_seeds_that_trade_classes_leave_a_difference_uncertain():
    """Each seed wins another class, all classes average the same: no variance is left to chance."""
    base = unseen_only([0, 0], [0, 0], [0, 0])
    ours = [unseen_only(*([int(c in won)] * 2 for c in range(3))) for won in ({0}, {1, 2}, {})]
    found = paired([(o, 0.0) for o in ours], [(base, 0.0)] * 3, "t1", "new_classes")
    assert found.low < 0 < found.high
    assert found.p > 0.05


def test_different_images_or_seeds_are_refused():
    one, other = unseen_only([1, 0]), unseen_only([1, 0, 1])
    for pair in (([(one, 0.0)], [(other, 0.0)]), ([(one, 0.0)], [(one, 0.0)] * 2)):
        with pytest.raises(ValueError, match="same seeds and the same images"):
            paired(*pair, "t1", "these_classes")


@pytest.mark.parametrize(
    ("raw", "adjusted"),
    [
        ([0.04], [0.04]),
        ([0.01, 0.04], [0.02, 0.04]),
        ([0.03, 0.01, 0.02], [0.04, 0.03, 0.04]),
        ([0.5, 0.6], [1.0, 1.0]),
        ([], []),
    ],
)
def test_holm_by_hand(raw, adjusted):
    assert holm(raw) == pytest.approx(adjusted)
