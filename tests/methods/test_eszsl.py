"""ESZSL against its closed form, solved directly."""

from itertools import product

import numpy as np
import pytest
from scipy.linalg import solve

from zslbench.errors import ZslbenchError
from zslbench.method import TrainSet
from zslbench.methods.eszsl import ESZSL
from zslbench.seeding import generator

GRID = (0.001, 0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)
SHAPES = {"n > d": (60, 7, 5, 4), "d > n": (12, 30, 4, 9), "one class": (6, 4, 1, 3)}


def train_set(shape):
    """`shape` is items, features, classes, attributes; every class has an item."""
    n, d, classes, attributes = shape
    rng = generator(n, "eszsl")
    table = rng.normal(size=(classes, attributes))
    unit = table / np.linalg.norm(table, axis=1, keepdims=True)
    labels = np.arange(n) % classes
    features = np.abs(rng.normal(2, 1, (n, d))).astype(np.float32)
    return TrainSet(features, labels, unit, table)


def config_of(**values):
    return ESZSL.Config.parse(values, "eszsl")


def one_of(**values):
    """Return the first config that the tuning worlds would try."""
    return config_of(**values).candidates()[0]


def fitted(train, config):
    model = ESZSL(config, seed=0)
    for _ in model.fit(ESZSL.prepare(train, config)):
        pass
    return model


def solved_directly(train, reg_x, reg_s, features, targets):
    """Equation 4: W = (X X' + gamma I)^-1 X Y S' (S S' + lambda I)^-1."""
    X = train.inputs.astype(np.float64).T
    if features == "l2":
        X = X / np.sqrt((X**2).sum(axis=0))
    S = train.class_attributes.T
    wrong = -1.0 if targets == "signed" else 0.0
    Y = np.full((X.shape[1], S.shape[1]), wrong)
    for item, label in enumerate(train.labels):
        Y[item, label] = 1.0
    left = solve(X @ X.T + reg_x * np.eye(len(X)), X @ Y @ S.T, assume_a="pos")
    return solve(S @ S.T + reg_s * np.eye(len(S)), left.T, assume_a="pos").T


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("targets", ["signed", "binary"])
@pytest.mark.parametrize("features", ["l2", "raw"])
@pytest.mark.parametrize("regularisers", [(1.0, 1.0), (0.001, 1000.0), (1000.0, 0.001), (0.1, 10)])
def test_eszsl_equals_the_closed_form(shape, targets, features, regularisers):
    train = train_set(shape)
    reg_x, reg_s = regularisers
    how = {"reg_x": reg_x, "reg_s": reg_s, "features": features, "targets": targets}
    expected = solved_directly(train, **how)
    found = fitted(train, config_of(**how)).weights
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize("features", ["l2", "raw"])
def test_eszsl_scores_are_bilinear_in_features_and_attributes(features):
    train = train_set(SHAPES["n > d"])
    model = fitted(train, one_of(reg_x=1.0, reg_s=1.0, features=features))
    table = generator(0, "unseen").normal(size=(3, 4))
    rows = train.inputs[:5].astype(np.float64)
    for row, scores in zip(rows, model.scores(train.inputs[:5], table), strict=True):
        x = row / np.sqrt(np.sum(row**2)) if features == "l2" else row
        np.testing.assert_allclose(scores, [x @ model.weights @ s for s in table])


def test_eszsl_shares_its_decomposition_among_regularisers_and_targets(monkeypatch):
    """`prepare` once, `solve` for every candidate: in any order, each as if alone."""
    train, solved, eigh = train_set(SHAPES["n > d"]), [], np.linalg.eigh
    monkeypatch.setattr(np.linalg, "eigh", lambda gram: solved.append(gram) or eigh(gram))
    prepared = ESZSL.prepare(train, one_of())
    assert len(solved) == 2
    points = [(1.0, 10.0, "signed"), (0.01, 0.1, "binary"), (1.0, 10.0, "signed")]
    for reg_x, reg_s, targets in points:
        config = config_of(reg_x=reg_x, reg_s=reg_s, targets=targets)
        model = ESZSL(config, seed=0)
        model.solve(prepared)
        np.testing.assert_array_equal(model.weights, fitted(train, config).weights)


def test_eszsl_does_not_mind_rows_of_zeros():
    train = train_set(SHAPES["n > d"])
    train.inputs[3] = 0
    model = fitted(train, one_of(reg_x=1.0, reg_s=1.0))
    assert np.isfinite(model.weights).all()
    np.testing.assert_array_equal(model.scores(train.inputs[3:4], train.class_attributes), 0)


def test_eszsl_yields_one_epoch():
    train, config = train_set(SHAPES["n > d"]), one_of(reg_x=1.0, reg_s=1.0)
    epochs = list(ESZSL(config, seed=0).fit(ESZSL.prepare(train, config)))
    assert [epoch.number for epoch in epochs] == [1]
    assert ESZSL.epochs(config) == 1


def test_eszsl_state_round_trip():
    train, config = train_set(SHAPES["d > n"]), one_of(reg_x=0.1, reg_s=1.0)
    model, other = fitted(train, config), ESZSL(config, seed=1)
    other.load_state(model.state())
    found = other.scores(train.inputs, train.class_attributes)
    np.testing.assert_array_equal(found, model.scores(train.inputs, train.class_attributes))


# ---------------------------------------------------------------- its config


@pytest.mark.parametrize(
    ("settings", "x", "s"),
    [
        ({}, GRID, GRID),
        ({"reg_x": 0.5}, (0.5,), GRID),
        ({"reg_s": 7}, GRID, (7.0,)),
        ({"reg_x": None, "reg_s": 7}, GRID, (7.0,)),
        ({"reg_x": 0.5, "reg_s": 7}, (0.5,), (7.0,)),
    ],
    ids=["49", "7 of reg_x fixed", "7 of reg_s fixed", "7 of reg_x None", "1"],
)
def test_eszsl_candidates_are_the_open_grids(settings, x, s):
    config = config_of(targets="binary", **settings)
    points = [(candidate.reg_x, candidate.reg_s) for candidate in config.candidates()]
    assert sorted(points) == sorted(product(x, s))
    assert {candidate.targets for candidate in config.candidates()} == {"binary"}


@pytest.mark.parametrize("targets", ["signed", "binary"])
def test_eszsl_tries_both_targets_unless_one_is_set(targets):
    assert [c.targets for c in config_of(reg_x=1, reg_s=1).candidates()] == ["signed", "binary"]
    assert {c.targets for c in config_of(targets=targets).candidates()} == {targets}


@pytest.mark.parametrize("name", ["reg_x", "reg_s"])
@pytest.mark.parametrize("value", [1e-6, "0.1", 1, 1e6])
def test_eszsl_config_takes_what_is_in_bounds(name, value):
    assert getattr(config_of(**{name: value}), name) == float(value)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"reg_x": 0}, "reg_x=0: input should be greater than or equal to 0.000001"),
        ({"reg_s": 9e-7}, "reg_s=9e-07: input should be greater"),
        ({"reg_x": 2e6}, "reg_x=2000000.0: input should be less than or equal to 1000000"),
        ({"reg_x": float("nan")}, "reg_x=nan"),
        ({"reg_x": float("inf")}, "reg_x=inf"),
        ({"reg_s": "wide"}, "reg_s=wide"),
        ({"features": "l1"}, "features=l1: input should be 'l2' or 'raw'"),
        ({"targets": "both"}, "targets=both: input should be 'signed' or 'binary'"),
        ({"reg_z": 1}, "no setting of eszsl 'reg_z'. Did you mean 'reg_"),
        ({"Target": 1}, "no setting of eszsl 'Target'. Did you mean 'targets'?"),
    ],
)
def test_eszsl_config_refuses_and_says_what(settings, says):
    with pytest.raises(ZslbenchError) as raised:
        config_of(**settings)
    assert says in str(raised.value)
