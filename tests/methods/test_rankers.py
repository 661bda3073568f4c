"""ALE, DeViSE, SJE: each loss against its definition item by item, and the descent they share."""

import numpy as np
import pytest

from zslbench.errors import ZslbenchError
from zslbench.method import TrainSet
from zslbench.methods.ale import ALE
from zslbench.methods.devise import DeViSE
from zslbench.methods.sje import SJE
from zslbench.seeding import generator


def ale(violations):
    positive = [v for v in violations if v > 0]
    rank = len(positive)
    return sum(1 / i for i in range(1, rank + 1)) / rank * sum(positive) if rank else 0.0


NAIVE = {ALE: ale, DeViSE: sum, SJE: max}
RANKERS = pytest.mark.parametrize("ranker", NAIVE, ids=lambda r: r.__name__)


def naive_loss(ranker, scores, labels, margin):
    """The mean over items of the loss as the paper writes it."""
    losses = []
    for row, label in zip(scores, labels, strict=True):
        others = [y for y in range(len(row)) if y != label]
        losses.append(NAIVE[ranker]([max(0.0, margin + row[y] - row[label]) for y in others]))
    return np.mean(losses)


def model_of(ranker, seed=0, **values):
    return ranker(ranker.Config.parse({"lr": 1.0, **values}, ranker.__name__.lower()), seed)


def fitted(ranker, train, seed=0, **values):
    model = model_of(ranker, seed, **values)
    epochs = list(model.fit(ranker.prepare(train, model.config)))
    return model, epochs


def train_set(n=40, d=9, classes=5, attributes=6):
    rng = generator(n, "rankers")
    table = rng.normal(size=(classes, attributes))
    unit = table / np.linalg.norm(table, axis=1, keepdims=True)
    labels = np.arange(n) % classes
    features = unit[labels] @ rng.normal(size=(attributes, d)) + 0.2 * rng.normal(size=(n, d))
    return TrainSet(features.astype(np.float32), labels, unit, table)


@RANKERS
@pytest.mark.parametrize("margin", [0.1, 1.0, 4.0])
@pytest.mark.parametrize("spread", [0.0, 0.3, 3.0])
def test_loss_equals_its_definition(ranker, margin, spread):
    rng = generator(0, "loss")
    scores = spread * rng.normal(size=(50, 7))
    labels = rng.integers(0, 7, 50)
    scores[:5, labels[:5]] += 20
    loss, _ = model_of(ranker, margin=margin).loss(scores, labels)
    assert loss == pytest.approx(naive_loss(ranker, scores, labels, margin), rel=1e-6)
    assert loss > 0


@RANKERS
def test_gradient_is_that_of_the_loss(ranker):
    """By central differences; the rank weights are constant between changes of rank."""
    rng = generator(1, "gradient")
    scores, labels = rng.normal(size=(6, 5)), rng.integers(0, 5, 6)
    _, gradient = model_of(ranker).loss(scores, labels)
    expected = np.zeros_like(scores)
    for place in np.ndindex(*scores.shape):
        up, down = scores.copy(), scores.copy()
        up[place] += 1e-6
        down[place] -= 1e-6
        rise = naive_loss(ranker, up, labels, 1.0) - naive_loss(ranker, down, labels, 1.0)
        expected[place] = rise / 2e-6
    np.testing.assert_allclose(gradient, expected, atol=1e-6)
    assert np.abs(expected).max() > 0.01


@RANKERS
def test_item_without_violation_moves_nothing(ranker):
    scores = np.array([[5.0, 1.0, 2.0], [0.0, 3.0, 1.0]])
    loss, gradient = model_of(ranker).loss(scores, np.array([0, 1]))
    assert loss == 0
    np.testing.assert_array_equal(gradient, 0)


@RANKERS
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_one_step_goes_down_the_gradient_in_w(ranker, weight_decay):
    """With one batch, by differences of the loss as a function of W."""
    train = train_set(n=10)
    how = {"batch_size": 10, "epochs": 1, "features": "raw", "lr": 0.01}
    model, (epoch,) = fitted(ranker, train, weight_decay=weight_decay, **how)
    start = generator(0, "initialisation").normal(0, 9**-0.5, (9, 6)).astype(np.float32)
    inputs, table = train.inputs.astype(np.float64), train.class_attributes
    expected = np.zeros((9, 6))
    for place in np.ndindex(9, 6):
        rises = []
        for change in (1e-5, -1e-5):
            W = start.astype(np.float64)
            W[place] += change
            rises.append(naive_loss(ranker, inputs @ W @ table.T, train.labels, 1.0))
        expected[place] = start[place] - 0.01 * (rises[0] - rises[1]) / 2e-5
    np.testing.assert_allclose(
        model.weights, expected / (1 + 0.01 * weight_decay), rtol=1e-4, atol=1e-5
    )
    before = naive_loss(ranker, inputs @ start @ table.T, train.labels, 1.0)
    assert epoch.losses["loss"] == pytest.approx(before, rel=1e-4)


@RANKERS
def test_descent_learns_and_reports_its_epochs(ranker):
    train = train_set()
    model, epochs = fitted(ranker, train, epochs=25, batch_size=7)
    losses = [epoch.losses["loss"] for epoch in epochs]
    assert [epoch.number for epoch in epochs] == list(range(1, 26))
    assert ranker.epochs(model.config) == 25
    assert losses[-1] < 0.3 * losses[0]
    found = model.scores(train.inputs, train.class_attributes).argmax(axis=1)
    assert np.mean(found == train.labels) > 0.9


@RANKERS
def test_seed_decides_start_and_order(ranker):
    train = train_set()
    (one, _), (same, _), (other, _) = (fitted(ranker, train, seed, epochs=2) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.weights, same.weights)
    assert not np.allclose(one.weights, other.weights)


@RANKERS
def test_fit_started_again_is_the_same_fit(ranker):
    """There is no checkpoint: an interrupted fit starts again and gives the same numbers."""
    train = train_set()
    whole, _ = fitted(ranker, train, epochs=4)
    model = model_of(ranker, epochs=4)
    next(model.fit(ranker.prepare(train, model.config)))
    assert model.checkpoint() is None
    list(model.fit(ranker.prepare(train, model.config), model.checkpoint()))
    np.testing.assert_array_equal(model.weights, whole.weights)


@RANKERS
def test_margin_and_rate_are_one_setting(ranker):
    """Once the start is forgotten, c times both gives c times W: here from W = 0."""
    train = train_set(n=10)
    found = []
    for c in (1.0, 8.0):
        model = model_of(ranker, margin=c, lr=c)
        prepared = ranker.prepare(train, model.config)
        model.weights = np.zeros((9, 6), np.float32)
        for batch in np.split(np.arange(10), 5):
            model._step(prepared, batch)
        found.append(model.weights / c)
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5, atol=1e-6)
    assert np.abs(found[0]).max() > 0


@RANKERS
@pytest.mark.parametrize("features", ["l2", "raw"])
def test_scores_are_bilinear(ranker, features):
    train = train_set()
    model, _ = fitted(ranker, train, epochs=1, features=features)
    table = generator(0, "unseen").normal(size=(3, 6))
    for row, scores in zip(train.inputs[:5], model.scores(train.inputs[:5], table), strict=True):
        x = row / np.sqrt(np.sum(row**2)) if features == "l2" else row
        np.testing.assert_allclose(scores, [x @ model.weights @ a for a in table], rtol=1e-4)


@RANKERS
def test_candidates_are_the_rates(ranker):
    config = ranker.Config.parse({}, "ranker")
    assert [c.lr for c in config.candidates()] == [0.1, 1.0, 10.0, 100.0]
    assert [c.lr for c in config.model_copy(update={"lr": 3.0}).candidates()] == [3.0]


def test_config_refuses_and_says_what():
    for settings, says in (
        ({"margin": 0}, "margin=0: input should be greater than or equal to 0.001"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"marginn": 1}, "no setting of sje 'marginn'. Did you mean 'margin'?"),
    ):
        with pytest.raises(ZslbenchError) as raised:
            SJE.Config.parse(settings, "sje")
        assert says in str(raised.value)
