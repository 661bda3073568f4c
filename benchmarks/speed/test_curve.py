"""The exact seen-unseen curve against grids of 200 gammas, at SUN's number of classes."""

from collections.abc import Callable
from statistics import median
from time import perf_counter

import numpy as np
import pytest

from zslbench.metrics import Outcome, ScoreSummary, summarise

IMAGES, CLASSES, SEEN, GAMMAS = 10_000, 717, 645, 200


class Problem:
    """Scores that are right on about two images in three, and lean to the seen classes."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.labels = np.concatenate(
            [np.arange(CLASSES), rng.integers(0, CLASSES, IMAGES - CLASSES)]
        )
        self.scores = rng.normal(size=(IMAGES, CLASSES)).astype(np.float32)
        self.scores[np.arange(IMAGES), self.labels] += 3.5
        self.scores[:, :SEEN] += 0.5
        self.summary = summarise(self.scores, SEEN, 1.0)
        margin = self.summary.margin()
        self.gammas = np.linspace(margin.min(), margin.max(), GAMMAS)


@pytest.fixture(scope="module")
def problem() -> Problem:
    return Problem()


def exact(summary: ScoreSummary, labels: np.ndarray) -> tuple[float, float]:
    """Best H and AUSUC."""
    curve = Outcome.of(summary, labels, SEEN).curve
    return curve.best()[0], curve.area


def best_and_area(u: np.ndarray, s: np.ndarray) -> tuple[float, float]:
    return float(np.max(200 * u * s / np.maximum(u + s, 1e-12))), float(np.trapezoid(s, u))


def grid_of_best_scores(
    summary: ScoreSummary, labels: np.ndarray, gammas: np.ndarray
) -> tuple[float, float]:
    """All that does not depend on gamma is done once; no pass over the classes' scores."""
    counts = np.bincount(labels, minlength=CLASSES)
    seen_hit, unseen_hit = summary.seen_class == labels, summary.unseen_class == labels
    margin = summary.margin()
    u, s = np.empty((2, len(gammas)))
    for g, gamma in enumerate(gammas):
        right = np.where(margin >= gamma, seen_hit, unseen_hit)
        accuracy = np.bincount(labels[right], minlength=CLASSES) / counts
        u[g], s[g] = accuracy[SEEN:].mean(), accuracy[:SEEN].mean()
    return best_and_area(u, s)


def grid_of_argmax(
    scores: np.ndarray, labels: np.ndarray, gammas: np.ndarray
) -> tuple[float, float]:
    """As public code has it: subtract gamma, take the argmax over all classes, count."""
    counts = np.bincount(labels, minlength=CLASSES)
    u, s = np.empty((2, len(gammas)))
    for g, gamma in enumerate(gammas):
        calibrated = scores.copy()
        calibrated[:, :SEEN] -= np.float32(gamma)
        right = calibrated.argmax(axis=1) == labels
        accuracy = np.bincount(labels[right], minlength=CLASSES) / counts
        u[g], s[g] = accuracy[SEEN:].mean(), accuracy[:SEEN].mean()
    return best_and_area(u, s)


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Median over `repeats` of the wall time of `work`."""
    times = []
    for _ in range(repeats):
        start = perf_counter()
        work()
        times.append(perf_counter() - start)
    return median(times)


def test_curve_agrees_with_both_grids(problem):
    """They measure the same thing: a grid finds no better H, and nearly the same area."""
    best, area = exact(problem.summary, problem.labels)
    for grid in (
        grid_of_best_scores(problem.summary, problem.labels, problem.gammas),
        grid_of_argmax(problem.scores, problem.labels, problem.gammas[::20]),
    ):
        assert grid[0] <= best + 1e-9
        assert grid[1] == pytest.approx(area, rel=0.05)


def test_curve_is_faster_than_grids(benchmark, problem):
    benchmark(exact, problem.summary, problem.labels)
    one = benchmark.stats.stats.median
    few = problem.gammas[:: GAMMAS // 4]
    best_scores = seconds(
        lambda: grid_of_best_scores(problem.summary, problem.labels, problem.gammas), 9
    )
    argmax = seconds(lambda: grid_of_argmax(problem.scores, problem.labels, few), 3)
    ratios = {
        "faster than a grid over best scores": round(best_scores / one, 1),
        "faster than a grid with argmax": round(argmax * GAMMAS / len(few) / one),
    }
    benchmark.extra_info.update(ratios)
    print(f"\nexact curve, {IMAGES} images, {CLASSES} classes: {ratios}")
    assert ratios["faster than a grid over best scores"] >= 5
    assert ratios["faster than a grid with argmax"] >= 100
