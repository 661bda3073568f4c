"""ICIS against numpy: its four losses, what it injects; it maps the classes it is given."""

import numpy as np
import pytest
import torch

from zslbench.method import TrainSet
from zslbench.methods.icis import ICIS
from zslbench.seeding import generator

RNG = generator(0, "icis")
SEEN, UNSEEN, K, D = 5, 3, 7, 6
PARTS = {"e_a": "encode_attributes.0", "e_w": "encode_weights.0",
         "d_a": "decode_attributes", "d_w": "decode_weights"}  # fmt: skip


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def train_set(items=60):
    table = unit(RNG.uniform(0.1, 1, (SEEN + UNSEEN, K)))
    labels = np.arange(items) % SEEN
    centres = RNG.uniform(0, 3, (SEEN, D))
    inputs = (centres[labels] + RNG.normal(0, 0.1, (items, D))).astype(np.float32)
    return TrainSet(inputs, labels, table[:SEEN], unseen_attributes=table[SEEN:])


def fitted(train, **settings):
    small = {"hidden": 16, "steps": 20, "epochs": 2, "classifier_lr": 0.02}
    model = ICIS(ICIS.Config.parse({**small, **settings}, "icis"), seed=0)
    epochs = list(model.fit(train))
    return model, epochs


def parts_of(model):
    state = {k: v.astype(np.float64) for k, v in model.state().items()}
    linear = {
        name: (
            lambda x, key=f"autoencoders.{key}": x @ state[f"{key}.weight"].T + state[f"{key}.bias"]
        )
        for name, key in PARTS.items()
    }
    weights = np.hstack([state["base.weight"], state["base.bias"][:, None]])
    return state, linear, weights


def distance(found, truth):
    return np.mean(1 - (unit(found) * unit(truth)).sum(axis=1))


@pytest.mark.parametrize(
    "classes", [[0, 6, 3, 7], [1, 2, 4], [5, 7]], ids=["both", "seen", "unseen"]
)
def test_losses_are_one_minus_cosine_from_either_encoder_to_either_decoder(classes):
    train = train_set()
    model, _ = fitted(train)
    _, layer, weights = parts_of(model)
    a = np.vstack([train.class_attributes, train.unseen_attributes])[classes]
    seen = np.array(classes) < SEEN
    told = np.maximum(layer["e_a"](a), 0)
    expected = {"a to a": distance(layer["d_a"](told), a), "w to w": 0, "w to a": 0, "a to w": 0}
    if seen.any():
        w = weights[np.array(classes)[seen]]
        read = np.maximum(layer["e_w"](w), 0)
        expected |= {
            "w to w": distance(layer["d_w"](read), w),
            "w to a": distance(layer["d_a"](read), a[seen]),
            "a to w": distance(layer["d_w"](told[seen]), w),
        }
    found = {k: float(v.detach()) for k, v in model.losses(torch.tensor(classes)).items()}
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_seen_classes_keep_their_weights_and_unseen_ones_get_decoded_ones():
    train = train_set()
    model, _ = fitted(train)
    state, layer, weights = parts_of(model)
    injected = layer["d_w"](np.maximum(layer["e_a"](train.unseen_attributes), 0))
    all_weights = np.vstack([weights, injected])
    scaled = (train.inputs - state["low"]) / state["span"]
    found = model.scores(train.inputs, np.vstack([train.class_attributes, train.unseen_attributes]))
    np.testing.assert_allclose(
        found, scaled @ all_weights[:, :-1].T + all_weights[:, -1], rtol=1e-4, atol=1e-4
    )


def test_the_base_is_trained_before_and_never_after():
    train = train_set()
    one, _ = fitted(train, epochs=1)
    three, epochs = fitted(train, epochs=3)
    np.testing.assert_array_equal(one.state()["base.weight"], three.state()["base.weight"])
    right = one.scores(train.inputs, train.class_attributes).argmax(axis=1) == train.labels
    assert right.mean() == 1
    assert len(epochs) == 3


def test_it_maps_the_classes_that_it_is_given():
    _, epochs = fitted(train_set(), epochs=6, steps=100, lr=3e-3, hidden=64)
    first, *_, last = (epoch.losses["classifier"] for epoch in epochs)
    assert last < min(0.05, first / 2)


@pytest.mark.parametrize(("preset", "classes"), [("CUB", 200), ("AWA2", 50), ("SUN", 717)])
def test_presets_have_the_released_rates_and_a_thousand_epochs(preset, classes):
    config = ICIS.Config.parse({"preset": preset}, "icis")
    assert (config.lr, config.classifier_lr) == (1e-5, 1e-4)
    assert config.batch_size == (20 if preset == "AWA2" else 16)
    assert config.epochs * config.steps == 1000 * -(-classes // config.batch_size)
