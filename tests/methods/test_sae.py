"""SAE against the Sylvester equation on one column an item, solved densely."""

from itertools import product

import numpy as np
import pytest
from scipy.linalg import solve_sylvester

from zslbench.errors import ZslbenchError
from zslbench.method import TrainSet
from zslbench.methods.sae import GRID, SAE
from zslbench.seeding import generator

SHAPES = {"regular": (60, 7, 6, 4), "more attributes": (60, 7, 12, 9)}
SINGULAR = {
    "d > n": (12, 30, 4, 3),
    "K > classes, d > n": (12, 30, 4, 9),
    "one class": (6, 8, 1, 3),
}


def train_set(shape):
    """`shape` is items, features, classes, attributes; classes differ in size."""
    n, d, classes, attributes = shape
    rng = generator(n, "sae")
    table = rng.uniform(0, 1, size=(classes, attributes))
    labels = np.sort(np.concatenate([np.arange(classes), rng.integers(0, classes, n - classes)]))
    features = np.abs(rng.normal(2, 1, (n, d))).astype(np.float32)
    return TrainSet(features, labels, table, table)


def config_of(**values):
    return SAE.Config.parse(values, "sae")


def fitted(train, **values):
    config = config_of(**values)
    model = SAE(config, seed=0)
    for _ in model.fit(SAE.prepare(train, config)):
        pass
    return model


def equation(train, lambda_, features):
    """A, B and C of A W + W B = C, with S holding one column a training item."""
    X = train.inputs.astype(np.float64).T
    if features == "l2":
        X = X / np.sqrt((X**2).sum(axis=0))
    S = train.class_attributes[train.labels].T
    return S @ S.T, lambda_ * X @ X.T, (1 + lambda_) * S @ X.T


def cosine(a, b):
    return a @ b / np.sqrt((a @ a) * (b @ b))


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("features", ["l2", "raw"])
@pytest.mark.parametrize("lambda_", [0.01, 1.0, 100.0])
def test_sae_equals_the_dense_solution(shape, features, lambda_):
    train = train_set(shape)
    expected = solve_sylvester(*equation(train, lambda_, features))
    found = fitted(train, lambda_=lambda_, features=features).weights
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7 * np.abs(expected).max())


@pytest.mark.parametrize("shape", SINGULAR.values(), ids=SINGULAR)
def test_sae_takes_the_solution_of_least_norm_where_there_are_many(shape):
    """As a linear system in the entries of W, solved by the pseudo-inverse."""
    train = train_set(shape)
    A, B, C = equation(train, 0.5, "l2")
    system = np.kron(A, np.eye(len(B))) + np.kron(np.eye(len(A)), B)
    expected = np.linalg.lstsq(system, C.ravel(), rcond=1e-10)[0].reshape(C.shape)
    found = fitted(train, lambda_=0.5).weights
    np.testing.assert_allclose(A @ found + found @ B, C, atol=1e-9 * np.abs(C).max())
    np.testing.assert_allclose(found, expected, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize("atoms", ["raw", "l2"])
@pytest.mark.parametrize("features", ["l2", "raw"])
def test_sae_scores_are_cosines_in_either_direction(atoms, features):
    train = train_set(SHAPES["regular"])
    table = generator(0, "unseen").uniform(size=(3, 4))
    rows = train.inputs[:5].astype(np.float64)
    how = {"lambda_": 0.3, "features": features}
    W = fitted(train, **how).weights
    if atoms == "l2":
        W = np.stack([row / np.sqrt(row @ row) for row in W])
    forward = fitted(train, direction="f_to_s", atoms=atoms, **how).scores(rows, table)
    backward = fitted(train, direction="s_to_f", atoms=atoms, **how).scores(rows, table)
    for i, x in enumerate(rows):
        np.testing.assert_allclose(forward[i], [cosine(W @ x, a) for a in table])
        np.testing.assert_allclose(backward[i], [cosine(x, W.T @ a) for a in table])


def test_sae_shares_its_decomposition_among_lambdas():
    train = train_set(SHAPES["regular"])
    prepared = SAE.prepare(train, config_of())
    for lambda_ in (1.0, 0.01, 1.0):
        model = SAE(config_of(lambda_=lambda_), seed=0)
        model.solve(prepared)
        np.testing.assert_array_equal(model.weights, fitted(train, lambda_=lambda_).weights)


def test_sae_does_not_mind_rows_of_zeros():
    train = train_set(SHAPES["regular"])
    train.inputs[3] = 0
    train.class_attributes[:, 2] = 0
    for direction in ("s_to_f", "f_to_s"):
        model = fitted(train, lambda_=1.0, atoms="l2", direction=direction)
        assert np.isfinite(model.weights).all()
        np.testing.assert_array_equal(model.scores(train.inputs[3:4], train.class_attributes), 0)


def test_sae_candidates_are_the_grid_in_both_directions():
    both = ("s_to_f", "f_to_s")
    found = [(c.lambda_, c.direction) for c in config_of().candidates()]
    assert found == list(product(GRID, both))
    alone = config_of(direction="f_to_s").candidates()
    assert [(c.lambda_, c.direction) for c in alone] == [(value, "f_to_s") for value in GRID]
    assert [c.direction for c in config_of(lambda_=3).candidates()] == list(both)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"lambda_": 0}, "lambda_=0: input should be greater than or equal to 0.000001"),
        ({"direction": "both"}, "direction=both: input should be 's_to_f' or 'f_to_s'"),
        ({"lambda": 1}, "no setting of sae 'lambda'. Did you mean 'lambda_'?"),
    ],
)
def test_sae_config_refuses_and_says_what(settings, says):
    with pytest.raises(ZslbenchError) as raised:
        config_of(**settings)
    assert says in str(raised.value)
