"""The spread between labs, beside what their seeds explain."""

import numpy as np
import pytest

from zslbench.stats.labs import lab_spread


def test_labs_that_differ_in_their_seeds_alone_lie_as_far_apart_as_seeds_say():
    rng = np.random.default_rng(0)
    sizes = {"a": 3, "b": 3, "c": 5}
    draws = [{lab: rng.normal(50, 2, n) for lab, n in sizes.items()} for _ in range(2000)]
    found = [lab_spread(each) for each in draws]
    between = np.mean([each.between**2 for each in found])
    assert np.mean([each.seeds**2 for each in found]) == pytest.approx(between, rel=0.08)


def test_means_are_of_each_lab_and_one_lab_has_no_spread():
    found = lab_spread({"a": [1.0, 3.0], "b": [4.0]})
    assert (found.means, found.between) == ({"a": 2.0, "b": 4.0}, pytest.approx(2**0.5))
    assert found.seeds == pytest.approx((2.0 * 0.75) ** 0.5)
    assert lab_spread({"a": [1.0], "b": [4.0]}).seeds is None
    assert lab_spread({"a": [1.0, 2.0]}) is None
