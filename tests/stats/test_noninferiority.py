"""Verdicts of paired differences: what passes, what fails, what stays open, and how often."""

import numpy as np
import pytest

from zslbench.stats import METRICS
from zslbench.stats.noninferiority import (
    DRAWS,
    SPREADS,
    USUAL_SEEDS,
    judge,
    margin_of,
    overall,
    power,
    seeds_for,
    sight,
)
from zslbench.studies.regression.baseline import load, measured_of, spreads_of
from zslbench.studies.regression.measure import points

NOISE = np.array([-0.6, 0.5, -0.2, 0.4, -0.1])


@pytest.mark.parametrize(
    ("drops", "verdict"),
    [
        (np.zeros(5), "PASS"),  # the same numbers, exactly
        (NOISE, "PASS"),
        (NOISE - 5, "PASS"),  # it got better
        (NOISE + 0.3, "PASS"),  # worse, and within the margin
        (NOISE + 5, "FAIL"),
        (10 * NOISE + 1, "INCONCLUSIVE"),
        (np.full(5, 3.0), "FAIL"),  # the same drop on every seed
        (np.full(5, 2.0), "PASS"),  # just the margin
    ],
)
def test_verdict_of_one_cell(drops, verdict):
    (cell,) = judge([drops], [2.0])
    assert (cell.verdict, overall([cell])) == (verdict, verdict)
    assert cell.drop == pytest.approx(np.mean(drops))


def test_one_failing_cell_fails_all_and_holm_counts_the_cells():
    drop = NOISE + 1.2
    alone = judge([drop], [1.0])
    among = judge([drop, *[NOISE] * 14], [1.0, *[2.0] * 14])
    assert overall(alone) == "FAIL"
    assert among[0].p_drop == pytest.approx(15 * alone[0].p_drop)
    assert overall(judge([NOISE + 9, NOISE], [2.0, 2.0])) == "FAIL"
    assert overall(judge([10 * NOISE + 1, NOISE], [2.0, 2.0])) == "INCONCLUSIVE"


def test_one_seed_is_refused():
    with pytest.raises(ValueError, match="two seeds"):
        judge([[1.0]], [1.0])


def test_margin_is_what_matters_or_what_chance_moves():
    assert margin_of(1.0, 0.0) == 1.0
    assert margin_of(1.0, 4.0) == SPREADS * 4.0
    assert margin_of(1.0, 4.0, seeds=5) == SPREADS * 4.0


def test_more_seeds_than_usual_narrow_the_margin():
    assert margin_of(1.0, 4.0, seeds=4 * USUAL_SEEDS) == pytest.approx(SPREADS * 4.0 / 2)
    assert margin_of(1.0, 4.0, seeds_for(3.0, 4.0)) == pytest.approx(3.0, abs=0.06)
    assert seeds_for(3.0, 0.1) == USUAL_SEEDS


def test_sight_is_where_power_says():
    passes, fails = sight(10, 4.0, 1.0, 15)
    assert power(10, 4.0, passes, 1.0, 15)["PASS"] == pytest.approx(0.5, abs=0.01)
    assert power(10, 4.0, fails, 1.0, 15)["FAIL"] == pytest.approx(0.8, abs=0.01)


def test_power_agrees_with_the_verdicts_it_foretells():
    """The table's numbers against `judge` itself, draw by draw."""
    rng = np.random.default_rng(0)
    margin, drop, seeds, cells = margin_of(1.0, 2.0), 6.0, 5, 15
    others = [np.zeros(seeds)] * (cells - 1)
    found = [
        judge([drop + 2 * rng.normal(size=seeds), *others], [margin] * cells)[0].verdict
        for _ in range(600)
    ]
    told = power(seeds, 2.0, drop, 1.0, cells)
    for verdict, rate in told.items():
        error = (rate * (1 - rate) * (1 / 600 + 1 / DRAWS)) ** 0.5
        assert found.count(verdict) / 600 == pytest.approx(rate, abs=4 * error + 0.005)


# -- simulated comparisons, from this project's own seed noise ------------------------------------

COMPARISONS, SEEDS = 200, 10  # seeds: the default of `zslbench regress`


class Recorded:
    """What two fits of one commit differed by, seed by seed, all cells together."""

    def __init__(self, content):
        measured, spreads = measured_of(content), spreads_of(content)
        self.cells = [(name, metric) for name in measured for metric in METRICS]
        self.differences = np.array(
            [np.subtract(points(measured[n], m, 1), points(measured[n], m)) for n, m in self.cells]
        )
        self.margins = [margin_of(1.0, spreads[name][metric]) for name, metric in self.cells]
        self.rng = np.random.default_rng(0)

    def comparison(self):
        """Differences of some seeds drawn from the recorded ones, either fit being the first."""
        drawn = self.rng.integers(self.differences.shape[1], size=SEEDS)
        return self.differences[:, drawn] * self.rng.choice([-1, 1], size=SEEDS)


@pytest.fixture(scope="module")
def recorded(baselines):
    return Recorded(load(baselines / "regression.toml"))


def test_it_does_not_cry_wolf(recorded):
    """200 comparisons of a commit with itself: at most 6 % FAIL, at least 70 % PASS."""
    verdicts = [overall(judge(recorded.comparison(), recorded.margins)) for _ in range(COMPARISONS)]
    print({verdict: verdicts.count(verdict) / COMPARISONS for verdict in set(verdicts)})
    assert verdicts.count("FAIL") <= 0.06 * COMPARISONS
    assert verdicts.count("PASS") >= 0.70 * COMPARISONS


def test_a_drop_of_the_margin_and_three_points_fails(recorded):
    """Planted in one cell at a time: in each, at least 80 % of the comparisons FAIL."""
    for place, cell in enumerate(recorded.cells):
        failed = 0
        for _ in range(COMPARISONS):
            drops = recorded.comparison()
            drops[place] += recorded.margins[place] + 3
            failed += overall(judge(drops, recorded.margins)) == "FAIL"
        print(cell[0][0].split()[0], cell[1], failed / COMPARISONS)
        assert failed >= 0.80 * COMPARISONS, cell
