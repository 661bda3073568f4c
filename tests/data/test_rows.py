"""Rows read a batch at a time: the numbers of the whole array, its digest, its pieces."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zslbench.data import rows
from zslbench.data.rows import FeatureRows, pieces
from zslbench.data.types import Subset, content_digest


def table(n, d, kind="f4", seed=0):
    return np.random.default_rng(seed).normal(0, 100, (n, d)).astype(kind)


@pytest.mark.parametrize(
    ("kind", "handed"),
    [("f2", "f4"), ("f4", "f4"), ("f8", "f8"), (">f8", "f8"), ("i1", "f8"), ("u4", "f8")],
)
def test_rows_are_handed_out_in_numbers_to_compute_with(kind, handed, monkeypatch):
    monkeypatch.setattr(rows, "NUMBERS", 40)
    stored = table(23, 7, kind)
    found, whole = FeatureRows(stored), stored.astype(handed)
    assert (len(found), found.shape) == (23, (23, 7))
    assert found[np.array([3, 1])].dtype == handed
    np.testing.assert_array_equal(found[np.array([3, 1])], whole[[3, 1]])
    assert found.digest == content_digest(whole)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 900))
def test_pieces_are_all_inputs_in_turn(n, d, whole):
    inputs = table(n, d)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "NUMBERS", 50)
        found = list(pieces(Subset(inputs, np.arange(n)), whole))
    np.testing.assert_array_equal(np.concatenate([batch for _, batch in found]), inputs)
    for where, batch in found:
        np.testing.assert_array_equal(inputs[where], batch)
    if len(found) > 1:
        assert n * d > max(whole, 50)
        assert all(batch.size <= max(50, d) for _, batch in found)


@pytest.mark.parametrize(("n", "sizes"), [(12, [12]), (13, [4, 4, 4, 1])])
def test_pieces_are_small_where_not_all_fit(monkeypatch, n, sizes):
    monkeypatch.setattr(rows, "NUMBERS", 20)
    assert [len(batch) for _, batch in pieces(table(n, 5), whole=60)] == sizes
