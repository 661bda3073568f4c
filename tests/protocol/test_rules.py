"""The rules: three readings of one trajectory."""

import numpy as np
import pytest

from zslbench.method import PublishedRule
from zslbench.metrics import Outcome, ScoreSummary, summarise
from zslbench.protocol import RULES, Trajectory, epochs_needed
from zslbench.records import Choice

SEEN, UNSEEN, N = 4, 3, 200


def summary(seed, skill):
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(N, SEEN + UNSEEN))
    scores[np.arange(N), labels()] += skill
    scores[:, :SEEN] += 1.0
    return summarise(scores, SEEN, scale=2.0)


def labels():
    return np.random.default_rng(99).integers(0, SEEN + UNSEEN, N)


def choice(**changes):
    values = {
        "key": "k", "method": "m", "dataset": "d", "config": {}, "epoch": 2, "t1_epoch": 1,
        "gamma": 0.5, "last_gamma": 0.25, "gain": 1.0, "gain_error": 0.5, "worlds": (),
        "candidates": (), "seconds": 1.0,
    }  # fmt: skip
    return Choice(**{**values, **changes})


def run(published=PublishedRule(), skills=(1.0, 2.0, 1.5)):  # noqa: B008
    summaries = {e: summary(e, skill) for e, skill in enumerate(skills, start=1)}
    return Trajectory(summaries, labels(), SEEN, choice(), published)


def naive(summary: ScoreSummary, gamma_raw):
    """U and S by the summary's own predictions."""
    right = summary.predictions(gamma_raw) == labels()
    per_class = [100 * right[labels() == c].mean() for c in range(SEEN + UNSEEN)]
    return np.mean(per_class[SEEN:]), np.mean(per_class[:SEEN])


def test_validation_reads_the_chosen_epoch_and_gamma_in_the_units_of_the_run():
    trajectory = run()
    result = RULES["validation"](trajectory)
    u, s = naive(trajectory.summaries[2], 0.5 * 2.0)
    assert (result.epoch, result.t1_epoch) == (2, 1)
    assert result.gamma_raw == pytest.approx(1.0)
    assert (result.scores.u, result.scores.s) == pytest.approx((u, s))
    assert not result.selected_on_test


def test_last_reads_the_last_epoch_with_its_own_gamma_from_the_tuning_worlds():
    trajectory = run()
    result = RULES["last"](trajectory)
    u, s = naive(trajectory.summaries[3], 0.25 * 2.0)
    assert (result.epoch, result.t1_epoch) == (3, 3)
    assert (result.scores.u, result.scores.s) == pytest.approx((u, s))
    assert not result.selected_on_test


def test_published_picks_epoch_and_gamma_on_test_and_says_so():
    trajectory = run(PublishedRule(epoch="best", gamma="best"))
    result = RULES["published"](trajectory)
    honest = RULES["validation"](trajectory)
    assert result.selected_on_test
    assert result.scores.h >= honest.scores.h
    for by_epoch in trajectory.summaries.values():
        best, _ = Outcome.of(by_epoch, labels(), SEEN).curve.best()
        assert result.scores.h >= best - 1e-9


def test_published_without_calibration_or_selection_is_not_marked():
    result = RULES["published"](run(PublishedRule(epoch="last", gamma=0.0)))
    assert not result.selected_on_test
    assert result.epoch == 3
    assert result.gamma == 0.0


def test_published_gamma_as_a_number_is_what_is_subtracted_from_raw_scores():
    trajectory = run(PublishedRule(gamma=0.7))
    result = RULES["published"](trajectory)
    u, s = naive(trajectory.summaries[3], 0.7)
    assert (result.scores.u, result.scores.s) == pytest.approx((u, s))
    assert result.gamma_raw == pytest.approx(0.7)
    assert result.selected_on_test


def test_published_can_act_on_probabilities_and_average_over_images():
    rule = PublishedRule(gamma=0.1, space="probability", average="image")
    result = RULES["published"](run(rule))
    assert (result.space, result.average) == ("probability", "image")
    assert result.gamma_raw == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("rules", "epochs", "expected"),
    [
        (("validation", "last"), 9, {2, 1, 9}),
        (("validation", "last", "published"), 4, {1, 2, 3, 4}),
    ],
)
def test_only_the_epochs_that_rules_read_are_scored_on_test(rules, epochs, expected):
    assert epochs_needed(rules, choice(), epochs) == expected
