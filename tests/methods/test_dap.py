"""DAP against a loop over items, classes and attributes, its classifiers against scipy's."""

import numpy as np
import pytest
from scipy.optimize import minimize

from zslbench.errors import ZslbenchError
from zslbench.method import TrainSet
from zslbench.methods import dap
from zslbench.methods.dap import DAP, GRID
from zslbench.seeding import generator

SHAPES = {"n > d": (80, 6, 8, 5), "d > n": (24, 40, 6, 4)}


def train_set(shape, constant=()):
    """`shape` is items, features, classes of any size, attributes; some may not vary."""
    n, d, classes, attributes = shape
    rng = generator(n, "dap")
    table = rng.uniform(0, 100, (classes, attributes))
    table[0], table[1] = 90, 5
    table[:, list(constant)] = 99
    labels = np.append(np.arange(classes), rng.integers(0, classes, n - classes))
    features = table[labels] @ rng.normal(size=(attributes, d)) + 60 * rng.normal(size=(n, d))
    return TrainSet((features - features.min()).astype(np.float32), labels, table, table)


def config_of(**values):
    return DAP.Config.parse(values, "dap")


def fitted(train, **values):
    config = config_of(**values)
    model = DAP(config, seed=0)
    for _ in model.fit(DAP.prepare(train, config)):
        pass
    return model


def unit(x):
    return x / np.sqrt(x @ x)


def logistic_by_scipy(X, t, reg):
    """The textbook objective of one attribute: log losses plus the ridge, intercept free."""

    def objective(theta):
        f = X @ theta[:-1] + theta[-1]
        p = 1 / (1 + np.exp(-f))
        value = np.sum(np.log1p(np.exp(-np.where(t, f, -f)))) + reg / 2 * theta[:-1] @ theta[:-1]
        return value, np.append(X.T @ (p - t) + reg * theta[:-1], np.sum(p - t))

    start = np.zeros(X.shape[1] + 1)
    found = minimize(objective, start, jac=True, method="BFGS", options={"gtol": 1e-9})
    return found.x[:-1], found.x[-1]


def naive_log_posteriors(train, rows, table, reg, threshold, prior):
    """log of the product over attributes of p(a_k = z_k given x) / p(a_k = z_k)."""
    X = np.stack([unit(x) for x in train.inputs.astype(np.float64)])
    K = table.shape[1]
    seen = train.class_attributes
    cut = [seen.mean() if threshold == "matrix" else seen[:, k].mean() for k in range(K)]
    scores = np.zeros((len(rows), len(table)))
    for k in range(K):
        present = seen[:, k] > cut[k]
        if present.all() or not present.any():
            continue
        w, b = logistic_by_scipy(X, present[train.labels], reg)
        before = present.mean() if prior == "class_mean" else 0.5
        for i, x in enumerate(rows):
            p = 1 / (1 + np.exp(-(unit(x) @ w + b)))
            for z in range(len(table)):
                is_present = table[z, k] > cut[k]
                scores[i, z] += np.log(p / before if is_present else (1 - p) / (1 - before))
    return scores


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("threshold", ["matrix", "attribute"])
@pytest.mark.parametrize("prior", ["class_mean", "half"])
@pytest.mark.parametrize("reg", [0.01, 1.0, 10.0])
def test_dap_equals_the_naive_posterior(shape, threshold, prior, reg):
    train = train_set(shape)
    table = generator(1, "unseen").uniform(0, 100, (3, shape[3]))
    rows = train.inputs[:6].astype(np.float64)
    how = {"reg": reg, "threshold": threshold, "prior": prior}
    expected = naive_log_posteriors(train, rows, table, **how)
    found = fitted(train, **how).scores(rows, table)
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("reg", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("scale", [0.1, 1.0, 30.0])
def test_logistic_finds_the_minimum(monkeypatch, reg, scale):
    """Without its tolerance it gets as close as rounding lets it."""
    monkeypatch.setattr(dap, "TOLERANCE", 1e-20)
    monkeypatch.setattr(dap, "STEPS", 20000)
    rng = generator(7, "logistic")
    ones = np.ones((50, 1))
    basis = np.linalg.qr(np.hstack([ones, rng.normal(size=(50, 5))]))[0][:, 1:]
    items = np.hstack([scale * basis * [5, 4, 3, 2, 1], ones])
    targets = (items[:, :2] @ [[1.0, -1.0], [2.0, 0.5]] + rng.normal(size=(50, 2)) > 0) * 1.0
    found = dap.logistic(items, (items**2).sum(axis=0), targets, reg)
    for k in range(2):
        w, b = logistic_by_scipy(items[:, :-1], targets[:, k] > 0, reg)
        np.testing.assert_allclose(found[:, k], [*w, b], rtol=1e-4, atol=1e-5)


def test_dap_ignores_attributes_that_all_seen_classes_share():
    train = train_set(SHAPES["n > d"], constant=[1, 3])
    model = fitted(train, reg=0.1)
    one, other = train.class_attributes.copy(), train.class_attributes.copy()
    other[:, [1, 3]] = 0
    rows = train.inputs[:4]
    np.testing.assert_allclose(model.scores(rows, one), model.scores(rows, other))
    other[:, 0] = 100 - other[:, 0]
    assert np.abs(model.scores(rows, one) - model.scores(rows, other)).max() > 0.1


def test_dap_threshold_is_of_the_seen_classes():
    train = train_set(SHAPES["n > d"])
    seen = train.class_attributes
    assert fitted(train, reg=1.0).threshold.tolist() == [seen.mean()] * seen.shape[1]
    by_attribute = fitted(train, reg=1.0, threshold="attribute").threshold
    np.testing.assert_array_equal(by_attribute, seen.mean(axis=0))


def test_dap_shares_its_decomposition_among_regularisers():
    train = train_set(SHAPES["n > d"])
    prepared = DAP.prepare(train, config_of())
    for reg in (1.0, 0.1, 1.0):
        model = DAP(config_of(reg=reg), seed=0)
        model.solve(prepared)
        np.testing.assert_array_equal(model.weights, fitted(train, reg=reg).weights)


def test_dap_stays_finite_far_from_the_data():
    train = train_set(SHAPES["d > n"])
    model = fitted(train, reg=1e-4, features="raw")
    assert np.isfinite(model.scores(1e6 * train.inputs[:3], train.class_attributes)).all()


def test_dap_candidates_are_the_grid():
    assert [c.reg for c in config_of().candidates()] == list(GRID)
    assert [c.reg for c in config_of(reg=3).candidates()] == [3.0]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"reg": 0}, "reg=0: input should be greater than or equal to 0.0001"),
        ({"prior": "flat"}, "prior=flat: input should be 'class_mean' or 'half'"),
        ({"treshold": "matrix"}, "no setting of dap 'treshold'. Did you mean 'threshold'?"),
    ],
)
def test_dap_config_refuses_and_says_what(settings, says):
    with pytest.raises(ZslbenchError) as raised:
        config_of(**settings)
    assert says in str(raised.value)
