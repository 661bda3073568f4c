"""Random streams depend on the run's seed and on what they are for, and on nothing else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zslbench.seeding import derive_seed, generator

purposes = st.lists(st.one_of(st.text("ab", max_size=3), st.integers(0, 20)), max_size=3)


def test_derive_seed_is_the_same_on_every_machine():
    """Runs of two commits pair up by seed; whoever changes this changes every number."""
    assert derive_seed(0) == 3456079177858693020
    assert derive_seed(3, "batch order", 7) == 4182586557575596229


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param((0,), (1,), id="another seed"),
        pytest.param((0, "data"), (1, "data"), id="another seed of a purpose"),
        pytest.param((0, "data"), (0, "order"), id="another purpose"),
        pytest.param((0, "order", 1), (0, "order", 2), id="another epoch"),
        pytest.param((0, "order", 1, 2), (0, "order", 12), id="parts are kept apart"),
        pytest.param((0, "a", "bc"), (0, "ab", "c"), id="words are kept apart"),
        pytest.param((1, "2"), (12,), id="the seed is kept apart"),
        pytest.param((0,), (0, ""), id="an empty purpose is one"),
    ],
)
def test_derive_seed_tells_purposes_apart(one, other):
    assert derive_seed(*one) != derive_seed(*other)


@given(st.integers(0, 2**40), purposes)
def test_derive_seed_fits_every_generator(seed, purpose):
    """63 bits: torch takes no more, numpy nothing negative."""
    assert 0 <= derive_seed(seed, *purpose) < 2**63


def test_derive_seed_uses_all_its_bits():
    seeds = [derive_seed(seed, "spread") for seed in range(2000)]
    share = np.mean([[seed >> bit & 1 for bit in range(63)] for seed in seeds], axis=0)
    assert len(set(seeds)) == 2000
    assert np.all(np.abs(share - 0.5) < 0.06)


@given(st.integers(0, 1000), purposes)
def test_generator_repeats_itself(seed, purpose):
    drawn = generator(seed, *purpose).random(3)
    np.testing.assert_array_equal(generator(seed, *purpose).random(3), drawn)


def test_generator_is_not_moved_by_draws_for_another_purpose():
    alone = generator(0, "initialisation").normal(size=4)
    generator(0, "augmentation").normal(size=1000)
    np.testing.assert_array_equal(generator(0, "initialisation").normal(size=4), alone)


def test_generators_of_two_purposes_are_unrelated():
    one, other = (generator(0, purpose).normal(size=5000) for purpose in ("data", "order"))
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.06
