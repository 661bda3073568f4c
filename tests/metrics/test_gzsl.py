"""`gzsl_metrics` against a naive loop over images, classes and gammas."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zslbench import ZslbenchError, gzsl_metrics


def accuracy(scores, labels, columns, classes):
    """Mean over some classes of the share of their images whose best column is theirs."""
    shares = []
    for label in classes:
        rows = [row for row, true in zip(scores, labels, strict=True) if true == label]
        if rows:
            hits = [max(columns, key=lambda c, row=row: row[c]) == label for row in rows]
            shares.append(100 * sum(hits) / len(hits))
    return sum(shares) / len(shares)


def naive(scores, labels, seen, gamma):
    unseen = [c for c in range(scores.shape[1]) if c not in seen]
    moved = scores.astype(float).copy()
    moved[:, seen] -= gamma
    every = [*seen, *unseen]  # the first of equals is a seen class
    u, s = (accuracy(moved, labels, every, side) for side in (unseen, seen))
    h = 2 * u * s / (u + s) if u + s else 0.0
    return accuracy(moved, labels, unseen, unseen), u, s, h


@st.composite
def problems(draw):
    classes = draw(st.integers(2, 6))
    seen = draw(st.lists(st.integers(0, classes - 1), min_size=1, max_size=classes - 1,
                         unique=True))  # fmt: skip
    labels = [*draw(st.lists(st.integers(0, classes - 1), max_size=12)), seen[0],
              next(c for c in range(classes) if c not in seen)]  # fmt: skip
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scores = rng.integers(-4, 5, (len(labels), classes))  # small whole numbers: many ties
    return scores, np.array(labels), sorted(seen), draw(st.integers(-9, 9)) + draw(
        st.sampled_from([0.0, 0.5]))  # fmt: skip


@given(problems())
def test_metrics_are_those_of_a_naive_loop(problem):
    scores, labels, seen, gamma = problem
    found = gzsl_metrics(scores, labels, seen, gamma=gamma)
    assert (found.t1, found.u, found.s, found.h) == pytest.approx(
        naive(scores, labels, seen, gamma)
    )


@given(problems())
def test_area_is_that_below_the_points_of_all_gammas(problem):
    scores, labels, seen, _ = problem
    gammas = np.arange(-9.5, 10)  # between all margins of whole numbers
    points = [naive(scores, labels, seen, gamma)[1:3] for gamma in gammas]
    area = sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in itertools.pairwise(points))
    assert gzsl_metrics(scores, labels, seen).ausuc == pytest.approx(area / 1e4)


@given(problems())
def test_seen_classes_are_named_by_numbers_or_by_booleans(problem):
    scores, labels, seen, gamma = problem
    mask = np.isin(np.arange(scores.shape[1]), seen)
    one, other = (gzsl_metrics(scores, labels, named, gamma=gamma) for named in (seen, mask))
    assert (one.t1, one.u, one.s, one.ausuc) == (other.t1, other.u, other.s, other.ausuc)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"scores": [1.0, 2.0]}, "array"),
        ({"scores": [[1.0, np.nan], [0.0, 1.0]]}, "not all finite"),
        ({"labels": [0]}, "2 images"),
        ({"labels": [0, 2]}, "from 0 to 1"),
        ({"labels": [0, 0]}, "no unseen class"),
        ({"seen_classes": [5]}, "from 0 to 1"),
        ({"seen_classes": [True]}, "2 classes"),
        ({"seen_classes": [True, True]}, "no unseen class"),
        ({"scores": [[1.0, 0.0], [0.0]]}, "no array"),
        ({"space": "prob"}, "no space 'prob'. Did you mean 'probability'?"),
        ({"average": "img"}, "no average 'img'. Did you mean 'image'?"),
        ({"gamma": np.nan}, "gamma=nan: give a finite number"),
        ({"gamma": np.inf}, "gamma=inf"),
        ({"gamma": "1"}, "gamma='1'"),
    ],
)
def test_what_does_not_fit_together_is_refused(change, said):
    given_ = {"scores": [[1.0, 0.0], [0.0, 1.0]], "labels": [0, 1], "seen_classes": [0]} | change
    with pytest.raises(ZslbenchError, match=said):
        gzsl_metrics(**given_)
