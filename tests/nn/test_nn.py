"""Shared pieces against whole matrices, definitions and hand-made grids."""

import numpy as np
import pytest
import torch
from scipy.special import rel_entr, softmax

from zslbench.nn.attention import ClassRow
from zslbench.nn.losses import consistency
from zslbench.nn.patches import mean_blocks, merge_blocks


def attention(layers=4, images=3, heads=2, tokens=5):
    weights = torch.rand(
        layers, images, heads, tokens, tokens, generator=torch.Generator().manual_seed(1)
    )
    return weights / weights.sum(-1, keepdim=True)


@pytest.mark.parametrize("how", ["rollout", "eq4", "last"])
def test_class_row_equals_the_product_of_whole_matrices(how):
    """Whole matrices of each image, in float64."""
    weights, row = attention(), ClassRow(how)
    for layer in weights:
        row(layer)
    exact = weights.double().numpy()
    for image in range(exact.shape[1]):
        rollout, literal = np.eye(5), None
        for layer in exact[:, image]:
            rollout = (layer.mean(axis=0) + np.eye(5)) / 2 @ rollout
            summed = layer.sum(axis=0)
            literal = summed if literal is None else literal + literal @ summed
        expected = {
            "rollout": rollout[0],
            "eq4": literal[0] / literal[0].sum(),
            "last": exact[-1, image].mean(axis=0)[0],
        }[how]
        np.testing.assert_allclose(row.patches()[image], expected[1:], rtol=1e-5)


@pytest.mark.parametrize("how", ["half_jeffreys", "js", "kl"])
def test_consistency_equals_its_definition(how):
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, 4, 6))
    p, q = softmax(one, axis=1), softmax(other, axis=1)

    def kl(a, b):
        return rel_entr(a, b).sum(axis=1).mean()

    middle = (p + q) / 2
    expected = {
        "half_jeffreys": (kl(p, q) + kl(q, p)) / 2,
        "js": (kl(p, middle) + kl(q, middle)) / 2,
        "kl": kl(q, p),
    }[how]
    found = consistency(torch.from_numpy(one), torch.from_numpy(other), how)
    assert float(found) == pytest.approx(expected)


def test_blocks_hold_their_two_by_two_neighbours():
    grid = torch.arange(16.0).reshape(1, 16, 1)
    assert merge_blocks(grid)[0].tolist() == [
        [0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15],
    ]  # fmt: skip
    assert mean_blocks(grid)[0, :, 0].tolist() == [2.5, 4.5, 10.5, 12.5]
