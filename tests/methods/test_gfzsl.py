"""GFZSL against plain loops and SciPy's densities."""

import numpy as np
import pytest
from scipy.stats import norm

from zslbench.method import TrainSet
from zslbench.methods.gfzsl import GFZSL
from zslbench.seeding import generator

RNG = generator(0, "gfzsl")


def train_set(items=60, features=5, classes=6, attributes=4):
    table = RNG.uniform(0, 1, (classes, attributes))
    labels = np.append(np.arange(classes), RNG.integers(0, classes, items - classes))
    return TrainSet(RNG.normal(labels[:, None], 1, (items, features)), labels, table)


def fitted(train, **values):
    config = GFZSL.Config.parse(
        {"features": "raw", "kernel": "linear", "reg": 0.1, **values}, "gfzsl"
    )
    model = GFZSL(config, seed=0)
    for _ in model.fit(GFZSL.prepare(train, config)):
        pass
    return model


def gaussians(train, prior):
    """Each seen class's mean and log variance, item by item."""
    rows = [train.inputs[train.labels == c] for c in range(len(train.class_attributes))]
    means = np.array([of.mean(axis=0) for of in rows])
    scatter = np.array([((of - of.mean(axis=0)) ** 2).sum(axis=0) for of in rows])
    overall, counts = train.inputs.var(axis=0), np.array([[len(of)] for of in rows])
    overall = overall + overall.mean() / 1000
    return means, np.log((scatter + prior * overall) / (counts + prior))


@pytest.mark.parametrize("prior", [0.5, 20.0])
@pytest.mark.parametrize("reg", [0.01, 10.0])
def test_scores_are_log_densities_of_ridge_regressed_gaussians(reg, prior):
    """The primal ridge solution, by the normal equations of attributes."""
    train = train_set()
    table = train.class_attributes
    unseen = RNG.uniform(0, 1, (3, 4))
    primal = np.linalg.inv(table.T @ table + reg * np.eye(4)) @ table.T
    mean, log_variance = (unseen @ primal @ target for target in gaussians(train, prior))
    batch = RNG.normal(2, 1, (7, 5))
    expected = np.array([
        [norm.logpdf(x, m, np.exp(v / 2)).sum() for m, v in zip(mean, log_variance, strict=True)]
        for x in batch
    ])  # fmt: skip
    found = fitted(train, reg=reg, prior=prior).scores(batch, unseen)
    differences = expected - found  # up to what does not depend on the class
    np.testing.assert_allclose(differences - differences[:, :1], 0, atol=1e-7)


def test_the_gaussian_kernel_is_as_wide_as_the_median_distance():
    train = train_set()
    table = train.class_attributes
    squared = [[((a - b) ** 2).sum() for b in table] for a in table]
    width = np.median([squared[i][j] for i in range(6) for j in range(i)])
    kernel = np.exp(-np.array(squared) / width)
    alpha = np.linalg.solve(kernel + 0.1 * np.eye(6), np.hstack(gaussians(train, 10.0)))
    model = fitted(train, kernel="gaussian")
    np.testing.assert_allclose(model.weights, alpha, rtol=1e-9)
    mean, log_variance = np.hsplit(kernel @ alpha, 2)
    expected = [norm.logpdf(train.inputs, m, np.exp(v / 2)).sum(axis=1)
                for m, v in zip(mean, log_variance, strict=True)]  # fmt: skip
    found = model.scores(train.inputs, table)
    np.testing.assert_allclose(
        found - found[:, :1], np.transpose(expected) - expected[0][:, None], atol=1e-7
    )


def test_one_photo_a_class_and_a_feature_that_never_varies_are_taken():
    train = train_set(items=6)
    train.inputs[:, 2] = 0
    model = fitted(train)
    assert np.isfinite(model.scores(train.inputs, train.class_attributes)).all()
