"""Intervals against bootstraps and hand computation, the control against a loop."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logit
from scipy.stats import kstest
from scipy.stats import t as student_t
from simulated import Effects, World, outcome_of, random_outcome

from zslbench.metrics import summarise
from zslbench.seeding import generator
from zslbench.stats import METRICS, intervals, placements
from zslbench.stats.permutation import permutation_control

POPULATIONS = ("these_classes", "new_classes")


def interval(outcomes, gammas, metric, population):
    return intervals(outcomes, gammas)[metric][population]


def half_width(found, metric="t1"):
    """Of an interval that is symmetric on the logit scale, brought back to the metric's own."""
    top = 1.0 if metric == "ausuc" else 100.0
    low, mean, high = (logit(end / top) for end in (found.low, found.mean, found.high))
    assert high - mean == pytest.approx(mean - low)
    share = found.mean / top
    return top * (high - mean) * share * (1 - share)


# ---------------------------------------------------------------- bootstrap


def resampled_images(rng, labels, draws):
    """Rao and Wu (1988): n_c - 1 of a class's n_c images, with replacement. `[draws, n]`."""
    weights = np.zeros((draws, len(labels)))
    for c in np.unique(labels):
        mine = np.flatnonzero(labels == c)
        taken = rng.multinomial(len(mine) - 1, np.full(len(mine), 1 / len(mine)), size=draws)
        weights[:, mine] = taken / (len(mine) - 1)
    return weights


def resampled_classes(rng, labels, draws, seen):
    """C - 1 of a side's C classes, with replacement, their images as they are. `[draws, n]`."""
    weights = np.zeros((draws, len(labels)))
    for side in (labels < seen, labels >= seen):
        classes = np.unique(labels[side])
        taken = rng.multinomial(len(classes) - 1, np.full(len(classes), 1 / len(classes)), draws)
        for c, times in zip(classes, taken.T, strict=True):
            mine = labels == c
            weights[:, mine] = times[:, None] / mine.sum()
    return weights


def resampled_metrics(outcome, gamma, weights):
    """All metrics of resampled data sets, from the definitions. `weights` are `[draws, n]`.

    The class-average metrics: within a side the weights are normalised, so that a class drawn
    twice counts as two classes.
    """
    seen = outcome.labels < outcome.seen
    on_seen = weights[:, seen] / weights[:, seen].sum(axis=1, keepdims=True)
    on_unseen = weights[:, ~seen] / weights[:, ~seen].sum(axis=1, keepdims=True)
    u = 100 * on_unseen @ (outcome.unseen_hit & (outcome.margin < gamma))[~seen]
    s = 100 * on_seen @ (outcome.seen_hit & (outcome.margin >= gamma))[seen]
    ahead = np.sign(outcome.margin[seen][:, None] - outcome.margin[~seen]) / 2 + 0.5
    ahead *= outcome.seen_hit[seen][:, None] * outcome.unseen_hit[~seen]
    return {
        "t1": 100 * on_unseen @ outcome.unseen_hit[~seen],
        "u": u,
        "s": s,
        "h": 2 * u * s / (u + s),
        "ausuc": ((on_seen @ ahead) * on_unseen).sum(axis=1),
    }


def bootstrap_errors(outcomes, gamma, weights):
    """Standard errors of the means over seeds, the same draw for all seeds."""
    by_seed = [resampled_metrics(outcome, gamma, weights) for outcome in outcomes]
    return {m: np.std(np.mean([metrics[m] for metrics in by_seed], axis=0)) for m in METRICS}


def reshuffled_within_classes(rng, outcome):
    """The same metrics to the last bit, reached on other images: a seed of no main effect."""
    order = np.lexsort((rng.random(len(outcome.labels)), outcome.labels))
    right = (outcome.seen_hit | outcome.unseen_hit)[order]
    return outcome_of(outcome.labels, outcome.seen, right, outcome.margin[order])


@pytest.mark.parametrize("seeds", [1, 3])
def test_interval_over_images_equals_the_stratified_bootstrap(seeds):
    """Images are drawn within class and are the same for all seeds.

    Seeds here are right on different images and on equally many, so that nothing is left of the
    seeds' own variance and the images' shows.
    """
    rng = generator(seeds, "stratified bootstrap")
    first = random_outcome(rng, 6, 5, 80)
    outcomes = [first, *(reshuffled_within_classes(rng, first) for _ in range(seeds - 1))]
    errors = bootstrap_errors(outcomes, 0.1, resampled_images(rng, first.labels, 3000))
    for metric in METRICS:
        found = half_width(interval(outcomes, [0.1] * seeds, metric, "these_classes"), metric)
        assert found == pytest.approx(1.965 * errors[metric], rel=0.06), metric


@pytest.mark.parametrize("seeds", [1, 3])
def test_interval_over_classes_equals_the_bootstrap_of_classes(seeds):
    rng = generator(seeds, "bootstrap of classes")
    first = random_outcome(rng, 60, 50, 5)
    outcomes = [first, *(reshuffled_within_classes(rng, first) for _ in range(seeds - 1))]
    errors = bootstrap_errors(outcomes, 0.1, resampled_classes(rng, first.labels, 3000, first.seen))
    for metric in METRICS:
        found = half_width(interval(outcomes, [0.1] * seeds, metric, "new_classes"), metric)
        assert found == pytest.approx(2.0 * errors[metric], rel=0.06), metric


def test_interval_of_image_averages_equals_the_bootstrap_of_unequal_classes():
    """A class brings its size along when it is drawn; here large classes are also harder."""
    rng = generator(0, "image averages")
    sizes = rng.integers(1, 12, 120)
    labels = np.repeat(np.arange(120), sizes)
    right = rng.random(len(labels)) < rng.beta(12, sizes)[labels]
    outcome = outcome_of(labels, 60, right, rng.normal(size=len(labels)), average="image")
    weights = resampled_classes(rng, labels, 3000, 60) * np.bincount(labels)[labels]
    errors = bootstrap_errors([outcome], 0.1, weights)
    for metric in METRICS:
        found = half_width(interval([outcome], [0.1], metric, "new_classes"), metric)
        assert found == pytest.approx(2.0 * errors[metric], rel=0.06), metric


# ---------------------------------------------------------------- placements


@given(st.integers(0, 10_000), st.sampled_from(["class", "image"]), st.integers(0, 29))
@settings(deadline=None, max_examples=30)
def test_placements_average_to_their_metric(seed, average, item):
    """At a gamma where an image is tied. For AUSUC over either side; H is of degree one."""
    outcome = random_outcome(np.random.default_rng(seed), 3, 2, 6, average)
    gamma = outcome.margin[item]
    scores = outcome.scores(gamma)
    for metric in ("t1", "u", "s", "h"):
        placed = placements(outcome, gamma, (metric,))[0]
        assert outcome.weights @ placed == pytest.approx(getattr(scores, metric))
    for side in (outcome.labels < 3, outcome.labels >= 3):
        mean = outcome.weights[side] @ placements(outcome, gamma, ("ausuc",))[0, side]
        assert mean == pytest.approx(scores.ausuc)


@given(st.integers(0, 10_000))
@settings(deadline=None, max_examples=30)
def test_placements_of_ausuc_equal_the_loop(seed):
    outcome = random_outcome(np.random.default_rng(seed), 2, 3, 4)
    placed = placements(outcome, 0.0, ("ausuc",))[0]
    for i, margin in enumerate(outcome.margin):
        of_seen = outcome.labels[i] < outcome.seen
        mine = outcome.seen_hit if of_seen else outcome.unseen_hit
        other = outcome.unseen_hit if of_seen else outcome.seen_hit
        ahead = margin - outcome.margin if of_seen else outcome.margin - margin
        share = np.where(ahead > 0, 1.0, np.where(ahead == 0, 0.5, 0.0))
        assert placed[i] == pytest.approx(mine[i] * np.sum(other * share * outcome.weights))


# ---------------------------------------------------------------- by hand


def unseen_only(*classes, seen_images=2):
    """Outcome of one seen class, all right, and unseen classes given by their images' hits."""
    labels = np.repeat(np.arange(len(classes) + 1), [seen_images, *map(len, classes)])
    right = np.concatenate([np.ones(seen_images), *map(np.asarray, classes)])
    return outcome_of(labels, 1, right, np.where(labels < 1, 1.0, -1.0))


def test_interval_over_images_by_hand():
    """Two classes of 10 with 8 and 5 right: s^2 = 1777.8 and 2777.8, both of 9 df."""
    outcome = unseen_only([1] * 8 + [0] * 2, [1] * 5 + [0] * 5)
    first, second = 8 * 20**2 + 2 * 80**2, 10 * 50**2
    parts = [squares / 9 / 10 / 4 for squares in (first, second)]
    freedom = 9 * sum(parts) ** 2 / (parts[0] ** 2 + parts[1] ** 2)
    found = interval([outcome], [0.0], "t1", "these_classes")
    assert found.mean == pytest.approx(65)
    assert half_width(found) == pytest.approx(student_t.ppf(0.975, freedom) * sum(parts) ** 0.5)


def test_interval_over_classes_by_hand():
    """Class means 40, 50, 60, 50 percent: standard error sqrt(200 / 3 / 4), 3 df."""
    classes = ([1] * k + [0] * (10 - k) for k in (4, 5, 6, 5))
    found = interval([unseen_only(*classes)], [0.0], "t1", "new_classes")
    assert found.mean == pytest.approx(50)
    assert half_width(found) == pytest.approx(3.182446 * (200 / 3 / 4) ** 0.5, rel=1e-6)


def one_class_wrong(wrong):
    """20 unseen classes of two images: ten always wrong, one more if `wrong`."""
    return unseen_only(*[[0, 0]] * 10, *[[1, 1]] * 9, [1 - wrong] * 2)


def test_interval_over_seeds_by_hand():
    """No image differs from its class: only the seeds' 50, 45, 50, 45 percent vary, 3 df."""
    outcomes = [one_class_wrong(wrong) for wrong in (0, 1, 0, 1)]
    found = interval(outcomes, [0.0] * 4, "t1", "these_classes")
    assert found.mean == pytest.approx(47.5)
    assert half_width(found) == pytest.approx(3.182446 * (25 / 3 / 4) ** 0.5, rel=1e-6)


def test_two_seeds_count_in_full_for_new_classes():
    """Each seed has two other classes of ten wrong: of two seeds that might be luck."""
    wrong = ((0, 1), (2, 3, 4, 5))
    outcomes = [unseen_only(*([int(c not in w)] * 2 for c in range(10))) for w in wrong]
    these, new = (interval(outcomes, [0.0] * 2, "t1", p) for p in POPULATIONS)
    seeds = student_t.ppf(0.975, 1) * 10
    assert half_width(these) == pytest.approx(seeds, rel=0.3)
    assert half_width(new) > half_width(these)


def test_interval_reads_each_seed_at_its_own_gamma():
    outcome = unseen_only([1] * 6 + [0] * 4, [1] * 5 + [0] * 5)
    found = interval([outcome, outcome], [0.0, -2.0], "u", "these_classes")
    assert found.mean == pytest.approx((55 + 0) / 2)


def test_interval_of_h_averages_the_h_of_seeds():
    """Not the harmonic mean of averages: with U, S of 100, 50 and 50, 100 that would be 75."""
    lopsided = [
        outcome_of([0, 0, 1, 1], 1, right, [1.0, 1.0, -1.0, -1.0])
        for right in ([1, 0, 1, 1], [1, 1, 1, 0])
    ]
    assert interval(lopsided, [0.0, 0.0], "h", "these_classes").mean == pytest.approx(200 / 3)


# ---------------------------------------------------------------- limits


@pytest.mark.parametrize("population", POPULATIONS)
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("seeds", [1, 2, 5])
@pytest.mark.parametrize(("right", "share"), [(1, 1.0), (0, 0.0)])
def test_interval_without_an_exception_is_the_exact_one_sided_bound(
    population, metric, seeds, right, share
):
    """3 seen and 5 unseen images of 2 + 2 classes, all right or all wrong: 1 - 0.025^(1/n)."""
    labels = np.array([0, 0, 1, 2, 2, 3, 3, 3])
    outcome = outcome_of(labels, 2, np.full(8, right), np.where(labels < 2, 1.0, -1.0))
    found = interval([outcome] * seeds, [0.0] * seeds, metric, population)
    images = {"t1": 5, "u": 5}.get(metric, 3)
    reach = 1 - 0.025 ** (1 / (images if population == "these_classes" else 2))
    top = 1.0 if metric == "ausuc" else 100.0
    expected = (1 - reach, 1, 1) if share else (0, 0, reach)
    shares = (found.low / top, found.mean / top, found.high / top)
    assert shares == pytest.approx(expected)


@pytest.mark.parametrize("population", POPULATIONS)
@given(st.integers(0, 10_000), st.integers(1, 3), st.booleans(), st.integers(-2, 2))
@settings(deadline=None, max_examples=40)
def test_interval_holds_its_mean_and_stays_in_range(population, seed, images, perfect, gamma):
    """Also with one image a class, all wrong, all right, and nothing left of U or of S."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(1, 9, 2)
    outcome = random_outcome(rng, *classes, images)
    if perfect:
        outcome = outcome_of(
            outcome.labels, classes[0], np.ones(len(outcome.labels)), outcome.margin
        )
    for metric in METRICS:
        found = interval([outcome], [2.0 * gamma], metric, population)
        assert 0 <= found.low <= found.mean <= found.high <= (1 if metric == "ausuc" else 100)


@pytest.mark.parametrize("gamma", [np.inf, -np.inf])
@pytest.mark.parametrize("population", POPULATIONS)
def test_h_is_zero_where_gamma_is_infinite(gamma, population):
    outcome = random_outcome(generator(0, "infinite"), 3, 3, 8)
    found = interval([outcome], [gamma], "h", population)
    assert (found.low, found.mean) == (0, 0)
    assert 0 < found.high < 100


@pytest.mark.parametrize("population", POPULATIONS)
@pytest.mark.parametrize("metric", METRICS)
def test_interval_narrows_with_more_seeds(population, metric):
    """Of the same spread: every seed four times."""
    effects = Effects(0.3, 0.4, classes=0.1, images=0.4, seeds=0.2)
    _, outcomes = World(12, 12, (20, 20), effects, effects).draw(generator(3, "more seeds"))
    few = interval(outcomes, [0.0] * 3, metric, population)
    many = interval(outcomes * 4, [0.0] * 12, metric, population)
    assert many.mean == pytest.approx(few.mean)
    assert many.high - many.low < few.high - few.low


@pytest.mark.parametrize("metric", METRICS)
def test_interval_over_new_classes_is_wider_where_classes_differ(metric):
    outcome = random_outcome(generator(5, "wider"), 10, 10, 60)
    same = half_width(interval([outcome], [0.0], metric, "these_classes"), metric)
    new = half_width(interval([outcome], [0.0], metric, "new_classes"), metric)
    assert new > 1.5 * same


# ---------------------------------------------------------------- the permutation control


def predictor(rng, classes, images, skill):
    """One seed's summary and labels: right with probability `skill`, else a class at random."""
    labels = np.repeat(np.arange(1, classes + 1), images)
    guesses = rng.integers(1, classes + 1, len(labels))
    answers = np.where(rng.random(len(labels)) < skill, labels, guesses)
    return summarise(np.eye(classes + 1)[answers], 1, 1.0), labels


def mean_t1(predictions, labels):
    means = [np.mean(predictions[labels == c] == c) for c in np.unique(labels)]
    return 100 * np.mean(means)


@pytest.mark.parametrize("skill", [0.0, 0.2, 1.0])
def test_permutation_control_equals_the_loop(skill):
    rng = generator(1, "control")
    (one, labels), (two, _) = (predictor(rng, 5, 4, skill) for _ in range(2))
    control = permutation_control([one, two], labels, 1, permutations=30)
    draws = generator(0, "permutation control")
    reached, permuted = 0, []
    truth = np.mean([mean_t1(s.unseen_class, labels) for s in (one, two)])
    for _ in range(30):
        names = np.concatenate(([0], 1 + np.argsort(draws.permutation(5))))
        permuted.append(np.mean([mean_t1(names[s.unseen_class], labels) for s in (one, two)]))
        reached += permuted[-1] >= truth - 1e-9
    assert control.p == (1 + reached) / (1 + 30)
    assert control.percentile_95 == pytest.approx(np.percentile(permuted, 95))
    assert control.permutations == 30


def test_permutation_control_ignores_seen_images():
    summary, labels = predictor(generator(2, "control"), 6, 5, 0.5)
    with_seen = summarise(np.vstack([np.eye(7)[summary.unseen_class], np.eye(7)[[0, 3]]]), 1, 1.0)
    expected = permutation_control([summary], labels, 1)
    assert permutation_control([with_seen], np.append(labels, [0, 0]), 1) == expected


def test_permutation_control_finds_a_perfect_predictor():
    summary, labels = predictor(generator(3, "control"), 10, 3, 1.0)
    assert permutation_control([summary], labels, 1).p == 1 / 201


def test_permutation_control_p_is_uniform_for_random_predictors():
    """Within what 200 predictors can show; never more than alpha below alpha, in expectation."""
    rng = generator(4, "control")
    worlds = (predictor(rng, 12, 15, 0.0) for _ in range(200))
    p = [permutation_control([s], labels, 1, permutations=99).p for s, labels in worlds]
    assert kstest(p, "uniform").pvalue > 0.01


@pytest.mark.parametrize("absent", [1, 3, 5])
def test_permutation_control_allows_classes_without_images(absent):
    """A class of the world that no test image has can still be predicted."""
    summary, labels = predictor(generator(5, "control"), 5, 6, 0.3)
    kept = labels != absent
    scores = np.eye(6)[summary.unseen_class][kept]
    control = permutation_control([summarise(scores, 1, 1.0)], labels[kept], 1)
    assert 0 < control.p <= 1
    assert 0 < control.percentile_95 <= 100


# ---------------------------------------------------------------- what nothing is known of


def test_interval_over_new_classes_from_one_class_is_the_whole_range():
    found = interval([unseen_only([1, 1, 0, 0])], [0.0], "t1", "new_classes")
    assert (found.low, found.high) == (0.0, 100.0)


def test_interval_from_one_image_a_class_is_the_whole_range():
    found = interval([unseen_only([1], [0], [1])], [0.0], "t1", "these_classes")
    assert (found.low, found.high) == (0.0, 100.0)


def test_interval_gives_a_class_of_one_image_the_spread_of_its_peers():
    with_single = interval([unseen_only([1, 0, 1, 0], [1])], [0.0], "t1", "these_classes")
    # variances 1/3 of a class's images: (1/2)^2 (1/3 / 4 + 1/3 / 1)
    expected = 100 * (0.25 * (1 / 12 + 1 / 3)) ** 0.5
    assert half_width(with_single) > 1.96 * expected
