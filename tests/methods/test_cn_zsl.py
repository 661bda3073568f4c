"""CN-ZSL against numpy: class standardisation, scores, the start; it fits what it is given."""

import numpy as np
import pytest
import torch

from zslbench.method import TrainSet
from zslbench.methods.cn_zsl import CNZSL, Standardise
from zslbench.seeding import generator

RNG = generator(0, "cn_zsl")
POWERS = {"variance": 1.0, "deviation": 0.5}


def train_set(items=40, features=12, classes=5, attributes=7):
    table = RNG.uniform(0.1, 1, (classes, attributes))
    labels = np.arange(items) % classes
    centres = RNG.uniform(0, 2, (classes, features))
    inputs = np.abs(centres[labels] + RNG.normal(0, 0.1, (items, features))).astype(np.float32)
    return TrainSet(inputs, labels, table / np.sqrt((table**2).sum(axis=1, keepdims=True)))


def fitted(train, **settings):
    model = CNZSL(CNZSL.Config.parse({"hidden": 16, **settings}, "cn_zsl"), seed=0)
    losses = [epoch.losses["classes"] for epoch in model.fit(train)]
    return model, losses


@pytest.mark.parametrize("by", POWERS)
def test_standardisation_is_over_classes_and_by_running_statistics_at_test(by):
    layer = Standardise(6, by)
    mean, variance = np.zeros(6), np.ones(6)
    for _ in range(3):
        classes = RNG.normal(3, 2, (9, 6))
        found = layer(torch.tensor(classes, dtype=torch.float32)).numpy()
        scale = classes.var(axis=0, ddof=1) ** POWERS[by] + 1e-5
        np.testing.assert_allclose(
            found, (classes - classes.mean(axis=0)) / scale, rtol=1e-4, atol=1e-5
        )
        mean = 0.9 * mean + 0.1 * classes.mean(axis=0)
        variance = 0.9 * variance + 0.1 * classes.var(axis=0, ddof=1)
    unseen = RNG.normal(3, 2, (4, 6))
    found = layer.eval()(torch.tensor(unseen, dtype=torch.float32)).numpy()
    np.testing.assert_allclose(found, (unseen - mean) / (variance ** POWERS[by] + 1e-5), rtol=1e-4)


@pytest.mark.parametrize("standardise", ["variance", "deviation", "none"])
def test_scores_are_scaled_cosines_of_features_and_prototypes(standardise):
    train = train_set()
    model, _ = fitted(train, standardise=standardise, epochs=3)
    state = {name: value.astype(np.float64) for name, value in model.state().items()}

    def linear(rows, layer):
        return rows @ state[f"{layer}.weight"].T + state[f"{layer}.bias"]

    def normed(rows, number):
        if standardise == "none":
            return rows
        scale = state[f"norms.{number}.variance"] ** POWERS[standardise] + 1e-5
        return (rows - state[f"norms.{number}.mean"]) / scale

    classes = RNG.uniform(0, 1, (8, 7))
    hidden = np.maximum(linear(classes * np.sqrt(7), "first"), 0)
    hidden = normed(np.maximum(normed(linear(hidden, "second"), 0), 0), 1)
    prototypes = np.maximum(linear(hidden, "last"), 0)
    rows = train.inputs.astype(np.float64)
    norms = np.outer(
        np.linalg.norm(rows, axis=1), np.maximum(np.linalg.norm(prototypes, axis=1), 1e-12)
    )
    np.testing.assert_allclose(
        model.scores(train.inputs, classes), 25 * rows @ prototypes.T / norms, rtol=1e-4, atol=1e-3
    )


def test_the_last_layer_starts_small_where_classes_are_standardised():
    train = train_set()
    for standardise, reach in (("variance", (3 / (16 * 12)) ** 0.5), ("none", 16**-0.5)):
        model = CNZSL(CNZSL.Config(hidden=16, standardise=standardise), seed=1)
        model.setup(train)
        assert 0.8 * reach < model.network.last.weight.abs().max() <= reach


@pytest.mark.parametrize("standardise", ["variance", "deviation", "none"])
def test_it_fits_what_it_is_given(standardise):
    train = train_set()
    model, losses = fitted(train, standardise=standardise, epochs=60, batch_size=8, lr=5e-3)
    assert losses[-1] < 0.2 * losses[0]
    right = model.scores(train.inputs, train.class_attributes).argmax(axis=1) == train.labels
    assert right.mean() == 1


def test_the_rate_is_a_tenth_in_the_second_half(monkeypatch):
    rates = []
    step = torch.optim.Adam.step
    monkeypatch.setattr(
        torch.optim.Adam, "step",
        lambda self, *a, **k: (rates.append(self.param_groups[0]["lr"]), step(self, *a, **k))[1],
    )  # fmt: skip
    fitted(train_set(), epochs=4)
    assert rates == pytest.approx([5e-4, 5e-4, 5e-5, 5e-5])
