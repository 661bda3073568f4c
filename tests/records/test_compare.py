"""Two results are the same up to rounding, or the first difference is named."""

import pytest

from zslbench.records import Scores, disagreement

SCORES = Scores(t1=1.0, u=2.0, s=3.0, h=2.4, ausuc=0.5)


@pytest.mark.parametrize(
    ("one", "other", "found"),
    [
        (50.0, 50.0 + 1e-9, None),
        (50.0, 50.01, ("x", "50", "50.01")),
        (float("nan"), float("nan"), ("x", "nan", "nan")),
        (1, True, ("x", "1", "True")),
        ({"a": (1, 2)}, {"a": [1, 3]}, ("x.a.2", "2", "3")),
        ({"a": 1}, {"b": 1}, ("x", "{'a': 1}", "{'b': 1}")),
        (SCORES, SCORES.model_copy(update={"h": 2.5}), ("x.h", "2.4", "2.5")),
        ([1], [1, 2], ("x", "{1: 1}", "{1: 1, 2: 2}")),
    ],
)
def test_the_first_difference_is_named(one, other, found):
    assert disagreement(one, other, "x") == found
