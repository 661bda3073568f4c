"""Metrics against a naive implementation: plain loops over images and classes, nothing shared."""

import math
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import logsumexp

from zslbench.metrics import (
    Outcome,
    ScoreSummary,
    harmonic_mean,
    per_class_accuracy,
    plateau_middle,
    summarise,
)

BEYOND = 1000.0  # a gamma larger than any difference of the scores drawn here
EXACT = pytest.approx
settings.register_profile("metrics", deadline=None, max_examples=60)
settings.load_profile("metrics")


@dataclass(frozen=True)
class Problem:
    """Scores `[n, C]` over `seen` seen classes and the rest unseen, with their labels."""

    scores: np.ndarray
    labels: np.ndarray
    seen: int

    def outcome(self, scale=1.0, **options) -> Outcome:
        return Outcome.of(self.summary(scale), self.labels, self.seen, **options)

    def summary(self, scale=1.0) -> ScoreSummary:
        return summarise(self.scores, self.seen, scale)

    def with_scores(self, scores) -> "Problem":
        return Problem(np.asarray(scores), self.labels, self.seen)


# Few integers make ties; float16 values have differences that float64 holds exactly, so that
# every critical gamma can itself be tried.
TIED = st.integers(-3, 3).map(float)
FLOATS = st.floats(-50, 50, width=16)


@st.composite
def problems(draw):
    seen, unseen, n = (draw(st.integers(*ends)) for ends in ((1, 3), (1, 3), (0, 12)))
    labels = draw(arrays(np.int64, n, elements=st.integers(0, seen + unseen - 1)))
    values = draw(st.sampled_from([TIED, FLOATS]))
    return Problem(draw(arrays(np.float64, (n, seen + unseen), elements=values)), labels, seen)


# ---------------------------------------------------------------- the naive implementation


def naive_best(row, classes):
    """The class with the highest score; the first of them on a tie."""
    best = None
    for c in classes:
        if best is None or row[c] > row[best]:
            best = c
    return best


def naive_answer(row, seen, gamma):
    """Subtract gamma from the seen columns and take the highest; a tie goes to the seen class."""
    exact = [Fraction(float(score)) for score in row]
    calibrated = [score - Fraction(gamma) if c < seen else score for c, score in enumerate(exact)]
    return naive_best(calibrated, range(len(row)))


def naive_mean(hits_by_class, average):
    """Mean over classes of the class's mean, or over all images; 0 where there are none."""
    if average == "image":
        hits_by_class = {0: [hit for hits in hits_by_class.values() for hit in hits]}
    means = [sum(hits) / len(hits) for hits in hits_by_class.values() if hits]
    return 100 * sum(means) / len(means) if means else 0.0


def naive_sides(rows, labels, seen, answer, average="class"):
    """U and S, in percent, where `answer(row)` is the predicted class."""
    unseen_side, seen_side = {}, {}
    for row, label in zip(rows, labels, strict=True):
        side = seen_side if label < seen else unseen_side
        side.setdefault(int(label), []).append(answer(row) == label)
    return naive_mean(unseen_side, average), naive_mean(seen_side, average)


def naive_us(problem, gamma, average="class"):
    gamma = float(np.clip(gamma, -BEYOND, BEYOND))
    answer = lambda row: naive_answer(row, problem.seen, gamma)  # noqa: E731
    return naive_sides(problem.scores, problem.labels, problem.seen, answer, average)


def naive_t1(problem, average="class"):
    unseen = range(problem.seen, problem.scores.shape[1])
    answer = lambda row: naive_best(row, unseen)  # noqa: E731
    return naive_sides(problem.scores, problem.labels, problem.seen, answer, average)[0]


def naive_h(u, s):
    return 0.0 if u == 0 or s == 0 else 2 / (1 / u + 1 / s)


def critical_gammas(problem):
    """Every gamma at which some image's answer changes, in increasing order."""
    return sorted(
        {float(max(row[: problem.seen]) - max(row[problem.seen :])) for row in problem.scores}
    )


def gammas_to_try(problem):
    """Every critical gamma, a gamma between each two, and both ends of the line."""
    critical = critical_gammas(problem)
    between = [(a + b) / 2 for a, b in pairwise(critical)]
    return [-math.inf, *sorted(critical + between), math.inf]


def naive_area(problem, average="class"):
    """Trapezoids under (U, S) at gammas between the critical ones: the curve's corners."""
    critical = critical_gammas(problem)
    between = [(a + b) / 2 for a, b in pairwise(critical)]
    corners = [naive_us(problem, g, average) for g in [-BEYOND, *between, BEYOND]]
    area = 0.0
    for (u0, s0), (u1, s1) in pairwise(corners):
        area += (u1 - u0) * (s0 + s1) / 2
    return area / 1e4


def naive_pair_count(problem):
    """Mann-Whitney: pairs of a right seen and a right unseen image, in the right order.

    Each pair weighs one over (classes of its side x images of its class), on both sides; a tie
    counts half.
    """
    labels = [int(label) for label in problem.labels]
    classes = set(labels)
    sides = [c for c in classes if c < problem.seen], [c for c in classes if c >= problem.seen]
    count = 0.0
    for i, row in enumerate(problem.scores):
        for j, other in enumerate(problem.scores):
            if labels[i] >= problem.seen or labels[j] < problem.seen:
                continue
            best_seen = naive_best(row, range(problem.seen))
            best_unseen = naive_best(other, range(problem.seen, len(other)))
            if best_seen != labels[i] or best_unseen != labels[j]:
                continue
            mine = max(row[: problem.seen]) - max(row[problem.seen :])
            theirs = max(other[: problem.seen]) - max(other[problem.seen :])
            won = 1.0 if mine > theirs else 0.5 if mine == theirs else 0.0
            pairs = labels.count(labels[i]) * len(sides[0]) * labels.count(labels[j])
            count += won / (pairs * len(sides[1]))
    return count


# ---------------------------------------------------------------- plain accuracies


@pytest.mark.parametrize(
    ("u", "s", "h"),
    [(0, 0, 0), (0, 80, 0), (80, 0, 0), (50, 50, 50), (20, 80, 32), (80, 20, 32), (100, 100, 100)],
)
def test_harmonic_mean_cases(u, s, h):
    assert harmonic_mean(u, s) == EXACT(h)


@pytest.mark.parametrize(
    ("predictions", "labels", "percent"),
    [
        pytest.param([1, 1, 1], [1, 1, 1], 100.0, id="all right"),
        pytest.param([2, 2, 2], [1, 1, 1], 0.0, id="all wrong"),
        pytest.param([5, 5, 5, 5, 5], [5, 5, 5, 5, 7], 50.0, id="a class counts once, however big"),
        pytest.param([0, 1, 9, 9], [0, 1, 2, 3], 50.0, id="one image a class"),
        pytest.param([3, 0, 3], [3, 3, 3], 200 / 3, id="numbering need not start at 0"),
    ],
)
def test_per_class_accuracy_cases(predictions, labels, percent):
    assert per_class_accuracy(np.array(predictions), np.array(labels)) == EXACT(percent)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1))
def test_per_class_accuracy_equals_the_loop(pairs):
    by_class = {}
    for prediction, label in pairs:
        by_class.setdefault(label, []).append(prediction == label)
    predictions, labels = (np.array(column) for column in zip(*pairs, strict=True))
    assert per_class_accuracy(predictions, labels) == EXACT(naive_mean(by_class, "class"))


# ---------------------------------------------------------------- score summaries


@given(problems())
def test_summarise_keeps_the_best_of_either_side(problem):
    summary = problem.summary()
    classes = range(problem.scores.shape[1])
    for i, row in enumerate(problem.scores):
        seen = naive_best(row, classes[: problem.seen])
        unseen = naive_best(row, classes[problem.seen :])
        assert (summary.seen_class[i], summary.unseen_class[i]) == (seen, unseen)
        assert (summary.seen_score[i], summary.unseen_score[i]) == (row[seen], row[unseen])


@given(problems(), st.sampled_from([np.float32, np.float64]), st.sampled_from([1.0, 300.0]))
def test_summarise_log_sum_exp_equals_scipy(problem, dtype, spread):
    """With a spread of 300 the exponentials themselves would overflow."""
    scores = problem.scores * spread
    summary = summarise(scores.astype(dtype), problem.seen, 1.0)
    np.testing.assert_allclose(summary.log_sum_exp, logsumexp(scores, axis=1), rtol=1e-6, atol=1e-5)


@given(problems())
def test_summarise_of_float32_scores_equals_that_of_float64(problem):
    single = problem.with_scores(problem.scores.astype(np.float32)).summary()
    double = problem.summary()
    for name in ("seen_class", "seen_score", "unseen_class", "unseen_score"):
        assert getattr(single, name).dtype == getattr(double, name).dtype
        np.testing.assert_array_equal(getattr(single, name), getattr(double, name))


def test_summarise_takes_twenty_bytes_an_image():
    summary = summarise(np.zeros((3, 5)), 2, 1.0)
    kept = [value for value in vars(summary).values() if isinstance(value, np.ndarray)]
    assert sum(array.itemsize for array in kept) == 20


@given(problems())
def test_predictions_equal_the_naive_answers_at_every_gamma(problem):
    summary = problem.summary()
    for gamma in gammas_to_try(problem):
        finite = float(np.clip(gamma, -BEYOND, BEYOND))
        expected = [naive_answer(row, problem.seen, finite) for row in problem.scores]
        assert summary.predictions(gamma).tolist() == expected


def test_predictions_give_a_tie_to_the_seen_class():
    summary = summarise(np.array([[1.0, 3.0, 3.0, 2.0]]), 2, 1.0)
    assert summary.predictions(0.0).tolist() == [1]
    assert summary.predictions(1e-9).tolist() == [2]


# ---------------------------------------------------------------- the curve


@given(problems(), st.sampled_from(["class", "image"]))
def test_curve_equals_the_naive_accuracies_at_every_gamma(problem, average):
    """`image` is micro accuracy within each side, `class` the mean of class means."""
    curve = problem.outcome(average=average).curve
    for gamma in gammas_to_try(problem):
        assert curve.at(gamma) == EXACT(naive_us(problem, gamma, average), abs=1e-9)


@given(problems(), st.sampled_from(["class", "image"]))
def test_t1_equals_the_naive_accuracy_among_unseen(problem, average):
    assert problem.outcome(average=average).t1 == EXACT(naive_t1(problem, average), abs=1e-9)


@given(problems())
def test_curve_runs_from_all_seen_to_all_unseen(problem):
    outcome = problem.outcome()
    u, s = outcome.curve.at(np.array([-np.inf, np.inf]))
    assert u[0] == 0
    assert s[1] == 0
    assert u[1] == EXACT(outcome.t1, abs=1e-9)
    assert s[0] == EXACT(100 * outcome.weights[outcome.seen_hit].sum(), abs=1e-9)


@given(problems())
def test_curve_trades_seen_for_unseen_as_gamma_grows(problem):
    curve = problem.outcome().curve
    u, s = curve.at(np.array(gammas_to_try(problem)))
    assert np.all(np.diff(u) >= 0)
    assert np.all(np.diff(s) <= 0)
    assert np.all(np.diff(curve.steps) > 0)


@given(problems(), st.sampled_from(["class", "image"]))
def test_area_equals_trapezoids_over_the_naive_curve(problem, average):
    area = problem.outcome(average=average).curve.area
    assert area == EXACT(naive_area(problem, average), abs=1e-12)


@given(problems())
def test_area_equals_the_mann_whitney_pair_count(problem):
    assert problem.outcome().curve.area == EXACT(naive_pair_count(problem), abs=1e-12)


@pytest.mark.parametrize(
    ("margins", "area"),
    [
        pytest.param([2.0, 1.0], 1.0, id="seen image leans to seen more than the unseen one"),
        pytest.param([1.0, 2.0], 0.0, id="the other way round"),
        pytest.param([1.0, 1.0], 0.5, id="a tie counts half"),
    ],
)
def test_area_of_one_pair(margins, area):
    scores = np.array([[margins[0], 0.0], [margins[1], 0.0]])
    assert Problem(scores, np.array([0, 1]), 1).outcome().curve.area == area


@given(problems(), st.sampled_from([0.25, 2.0, 8.0]), st.integers(-5, 5), st.randoms())
def test_area_does_not_depend_on_unit_origin_or_order(problem, factor, shift, random):
    order = list(range(len(problem.labels)))
    random.shuffle(order)
    scores = problem.scores * factor + shift
    kept = (scores.astype(np.float32) - shift) / factor  # summaries are in single precision
    assume(np.array_equal(kept, problem.scores))
    changed = Problem(scores[order], problem.labels[order], problem.seen)
    assert changed.outcome().curve.area == EXACT(problem.outcome().curve.area, abs=1e-12)


@given(problems(), st.lists(st.floats(-60, 60), max_size=5))
def test_best_is_reached_and_beats_every_gamma_tried(problem, more):
    curve = problem.outcome().curve
    best_h, best_gamma = curve.best()
    assert naive_h(*naive_us(problem, best_gamma)) == EXACT(best_h, abs=1e-9)
    for gamma in [*gammas_to_try(problem), *more]:
        assert naive_h(*naive_us(problem, gamma)) <= best_h + 1e-9


@given(problems())
def test_best_gamma_is_the_middle_of_its_plateau(problem):
    curve = problem.outcome().curve
    best_h, gamma = curve.best()
    above = curve.steps[curve.steps >= gamma]
    below = curve.steps[curve.steps < gamma]
    if best_h > 0:
        assert gamma - below[-1] == EXACT(above[0] - gamma)


@pytest.mark.parametrize(
    ("steps", "first", "last", "middle"),
    [
        pytest.param([], 0, 0, 0.0, id="no steps at all"),
        pytest.param([1.0, 3.0], 0, 0, 0.5, id="open below"),
        pytest.param([1.0, 3.0], 1, 1, 2.0, id="between two steps"),
        pytest.param([1.0, 3.0], 2, 2, 3.5, id="open above"),
        pytest.param([1.0, 3.0, 6.0], 1, 2, 3.5, id="two intervals in a row"),
        pytest.param([1.0, 3.0], 0, 2, 2.0, id="the whole line"),
    ],
)
def test_plateau_middle_cases(steps, first, last, middle):
    assert plateau_middle(np.array(steps), first, last) == middle


@given(st.lists(st.floats(-1e6, 1e6), unique=True, min_size=1, max_size=4), st.integers(0, 3))
def test_plateau_middle_lies_on_its_plateau(values, neighbours):
    """Also where two steps are neighbouring floats."""
    ladder = [values[0]]
    for _ in range(neighbours):
        ladder.append(np.nextafter(ladder[-1], np.inf))
    steps = np.unique([*values, *ladder])
    for index in range(len(steps) + 1):
        middle = plateau_middle(steps, index, index)
        assert np.searchsorted(steps, middle, side="left") == index


def test_best_holds_at_its_gamma_where_softmax_saturates():
    """Confident networks put margins of probabilities one rounding apart, just below 1."""
    scores = np.array([[0.0, -36.0], [0.0, -36.7]])
    outcome = Problem(scores, np.array([1, 0]), 1).outcome(space="probability")
    best_h, gamma = outcome.curve.best()
    assert outcome.scores(gamma).h == best_h == 100.0


# ---------------------------------------------------------------- outcomes


@given(problems(), st.sampled_from(["class", "image"]))
def test_weights_sum_to_one_on_either_side(problem, average):
    weights = problem.outcome(average=average).weights
    for side in (problem.labels < problem.seen, problem.labels >= problem.seen):
        assert weights[side].sum() == EXACT(1.0 if side.any() else 0.0)


@given(problems(), st.integers(-6, 6))
def test_scores_hold_all_five_metrics_at_one_gamma(problem, gamma):
    scores = problem.outcome().scores(gamma)
    u, s = naive_us(problem, gamma)
    expected = [naive_t1(problem), u, s, naive_h(u, s), naive_area(problem)]
    assert [scores.t1, scores.u, scores.s, scores.h, scores.ausuc] == EXACT(expected, abs=1e-9)


@pytest.mark.parametrize(("seen", "unseen", "images"), [(11, 1, 1), (3, 4, 5), (1, 14, 5)])
def test_scores_of_a_perfect_predictor_do_not_exceed_their_range(seen, unseen, images):
    """Rounding errors of many summed weights must not show as 100.00000000000001 percent."""
    labels = np.repeat(np.arange(seen + unseen), images)
    confidence = 1.0 + np.arange(len(labels))[:, None]
    problem = Problem(confidence * np.eye(seen + unseen)[labels], labels, seen)
    scores = problem.outcome().scores(0.0)
    assert max(scores.t1, scores.u, scores.s, scores.h) <= 100
    assert scores.ausuc <= 1
    assert min(scores.t1, scores.u, scores.s, scores.h, 100 * scores.ausuc) == EXACT(100)


@given(problems(), st.sampled_from([0.125, 1.0, 4.0]), st.sampled_from([0.5, 1.0, 16.0]))
def test_margins_do_not_change_when_scores_and_scale_grow_alike(problem, scale, factor):
    grown = problem.with_scores(problem.scores * factor).outcome(scale * factor)
    np.testing.assert_array_equal(grown.margin, problem.outcome(scale).margin)


@given(problems(), st.sampled_from([0.125, 1.0, 4.0]))
def test_gamma_is_counted_in_units_of_the_scale(problem, scale):
    curve = problem.outcome(scale).curve
    for gamma in gammas_to_try(problem):
        assert curve.at(gamma / scale) == EXACT(naive_us(problem, gamma), abs=1e-9)


# ---------------------------------------------------------------- probability space


def naive_softmax(problem):
    rows = []
    for row in problem.scores:
        exponentials = [math.exp(score - max(row)) for score in row]
        rows.append([value / sum(exponentials) for value in exponentials])
    return problem.with_scores(np.array(rows).reshape(problem.scores.shape))


def clear_of(critical, gammas):
    """The gammas at which rounding the summary to float32 cannot change an answer."""
    return [g for g in gammas if all(abs(g - c) > 1e-4 for c in critical)]


@given(problems(), st.sampled_from([0.5, 3.0]))
def test_probability_space_equals_softmax_then_gamma(problem, scale):
    """The scale is the unit of logits; probabilities have none."""
    naive = naive_softmax(problem)
    curve = problem.outcome(scale, space="probability").curve
    candidates = [*gammas_to_try(naive), *np.linspace(-1.1, 1.1, 9)]
    for gamma in clear_of(critical_gammas(naive), candidates):
        assert curve.at(gamma) == EXACT(naive_us(naive, gamma), abs=1e-9)


@given(problems())
def test_probability_space_agrees_with_logits_where_gamma_is_zero(problem):
    logit, probability = problem.outcome(), problem.outcome(space="probability")
    assert probability.scores(0.0).h == EXACT(logit.scores(0.0).h, abs=1e-9)
    assert probability.t1 == logit.t1


@pytest.mark.parametrize("height", [0.0, 1e3, -1e4])
def test_probability_margin_stays_a_difference_of_probabilities(height):
    """Neither overflow nor underflow; the float32 of the summary costs what it costs."""
    summary = summarise(np.array([[height, height - 1.0], [height - 800.0, height]]), 1, 1.0)
    expected = [math.tanh(0.5), -1.0]
    np.testing.assert_allclose(
        summary.margin("probability"), expected, atol=1e-7 * abs(height) + 1e-6
    )


def test_area_differs_between_the_two_spaces():
    """Image 0 leans to seen by more logits, image 1 by more probability."""
    scores = np.array([[3.0, 3.0, 1.0], [1.5, -9.0, 0.0]])
    problem = Problem(scores, np.array([0, 2]), 2)
    assert problem.outcome().curve.area == 1.0
    assert problem.outcome(space="probability").curve.area == 0.0
