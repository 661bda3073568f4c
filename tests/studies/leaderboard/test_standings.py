"""Win rates and mean ranks of a leaderboard: who counts, on what, and where none are shown."""

from types import SimpleNamespace

import numpy as np
import pytest

from zslbench.studies.leaderboard import standings as module
from zslbench.studies.leaderboard.standings import FEWEST, NAMED, standings


@pytest.fixture(autouse=True)
def one_dataset_is_enough(monkeypatch):
    monkeypatch.setattr(module, "FEWEST", 1)


def group(
    title, h, *, dataset="a", seeds=None, deterministic=False, cheat=False, rule="validation",
    photos=(),
):  # fmt: skip
    """The runs of one row: H by seed, or one H of a method without chance."""
    seeds, spec = seeds or tuple(range(len(h))), SimpleNamespace(tuned=0)
    return SimpleNamespace(
        rule=rule, title=title, data=(dataset, "digest"), h=list(h), seeds=seeds,
        records=[SimpleNamespace(spec=spec)] * len(h), deterministic=deterministic,
        results=[SimpleNamespace(selected_on_test=cheat)] * len(h),
        photos=np.array(photos, np.uint64), test_images=(0, len(photos)),
    )  # fmt: skip


def found(*groups):
    return {standing.method: standing for standing in standings(groups)}


def test_win_rates_count_pairs_of_dataset_and_seed_and_ties_half():
    standing = found(
        group("x", [50, 40]), group("y", [50, 30]),
        group("x", [10, 20], dataset="b"), group("y", [15, 30], dataset="b"),
    )  # fmt: skip
    assert standing["x"].wins == {"y": pytest.approx(100 * (0.5 + 1 + 0 + 0) / 4)}
    assert standing["x"].win_rate + standing["y"].win_rate == pytest.approx(100)


def test_win_rate_is_the_mean_over_opponents_and_the_best_comes_first():
    all_three = [group("x", [30, 30]), group("y", [20, 40]), group("z", [10, 10])]
    first, second, last = standings(all_three)
    assert (first.method, second.method, last.method) == ("x", "y", "z")
    assert first.win_rate == pytest.approx((50 + 100) / 2)
    assert last.wins == {"x": 0.0, "y": 0.0}


def test_method_without_chance_meets_the_others_on_every_seed():
    standing = found(group("closed form", [35], deterministic=True), group("net", [30, 40, 50]))
    assert standing["net"].wins == {"closed form": pytest.approx(200 / 3)}


def test_only_common_seeds_are_met():
    standing = found(group("x", [30, 40], seeds=(0, 1)), group("y", [35, 99], seeds=(1, 2)))
    assert standing["x"].wins == {"y": 100.0}


def test_mean_rank_is_by_mean_h_over_datasets():
    standing = found(
        group("x", [10, 50]), group("y", [20, 20]),
        group("x", [10, 10], dataset="b"), group("y", [20, 20], dataset="b"),
    )  # fmt: skip
    assert standing["x"].mean_rank == pytest.approx((1 + 2) / 2)
    assert standing["y"].mean_rank == pytest.approx((2 + 1) / 2)


@pytest.mark.parametrize(("datasets", "ranks"), [(FEWEST - 1, [None, None]), (FEWEST, [1, 2])])
def test_there_is_no_mean_rank_on_fewer_than_five_datasets(monkeypatch, datasets, ranks):
    monkeypatch.undo()
    here = [group(m, [n, n], dataset=str(d)) for d in range(datasets) for n, m in enumerate("xy")]
    assert [(s.method, s.win_rate) for s in standings(here)] == [("y", 100), ("x", 0)]
    assert [s.mean_rank for s in standings(here)] == ranks


def test_datasets_that_share_a_photo_count_once_and_the_largest_counts():
    photos = {"small": [1, 2], "large": [2, 3, 4], "apart": [5]}
    standing = found(*(
        group(method, [h[dataset]], dataset=dataset, photos=photos[dataset])
        for method, h in (
            ("x", {"small": 9, "large": 1, "apart": 9}), ("y", {"small": 1, "large": 9, "apart": 1})
        )
        for dataset in photos
    ))  # fmt: skip
    assert {s.datasets for s in standing.values()} == {2}
    assert standing["x"].wins == {"y": 50.0}


def test_method_missing_on_a_dataset_has_no_rank_and_takes_none():
    standing = found(
        group("x", [30]), group("y", [20]), group("only here", [99]),
        group("x", [30], dataset="b"), group("y", [20], dataset="b"),
    )  # fmt: skip
    assert standing["only here"].mean_rank is None
    assert (standing["x"].mean_rank, standing["y"].mean_rank) == (1.0, 2.0)
    assert standing["only here"].wins == {"x": 100.0, "y": 100.0}


@pytest.mark.parametrize(
    "groups",
    [
        [group("x", [10])],
        [group("x", [10]), group("y", [20])],
        [group("x", [10, 20]), group("y", [20, 30], cheat=True)],
        [group("x", [10, 20], rule="submitted"), group("y", [20, 30], rule="submitted")],
        [group("x", [10, 20]), group("y", [20, 30]), group("y", [40, 50])],
        [],
    ],
    ids=["alone", "one pair", "chosen on test", "submitted", "two rows of one method", "nothing"],
)
def test_none_where_nothing_can_be_compared(groups):
    assert standings(groups) == []


def test_rules_stand_apart():
    rules = [s.rule for s in standings([
        *(group(name, [1, h]) for name, h in (("x", 2), ("y", 3))),
        *(group(name, [1, h], rule="last") for name, h in (("x", 2), ("y", 3))),
    ])]  # fmt: skip
    assert rules == ["validation", "validation", "last", "last"]


@pytest.mark.parametrize("competitors", [NAMED, NAMED + 1])
def test_opponents_are_named_one_by_one_only_where_they_are_few(competitors):
    """Of hundreds of rows, pairs would be the bulk of every table."""
    first, *_ = standings([group(f"m{n}", [n, n + 0.5]) for n in range(competitors)])
    assert first.win_rate == 100
    assert len(first.wins) == (NAMED - 1 if competitors == NAMED else 0)
