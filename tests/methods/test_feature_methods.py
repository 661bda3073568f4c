"""Methods on features learn 64 items by heart, and read no more at once than they need."""

import numpy as np
import pytest

from zslbench.data import rows
from zslbench.method import TrainSet, registry
from zslbench.methods import _features
from zslbench.seeding import generator

GENERATOR: dict[str, object] = {
    "epochs": 1, "steps": 10, "batch_size": 8, "hidden": 64, "syn_num": 8,
    "classifier_epochs": 150, "classifier_lr": 0.02,
}  # fmt: skip
LITTLE_HELD_BACK: dict[str, dict[str, object]] = {
    "eszsl": {"reg_x": 0.001, "reg_s": 0.001},
    "sae": {"lambda_": 1.0},
    "dap": {"reg": 0.001},
    "gfzsl": {"reg": 0.001, "kernel": "linear"},
    "ale": {"lr": 10.0, "epochs": 100},
    "devise": {"lr": 10.0, "epochs": 100},
    "sje": {"lr": 10.0, "epochs": 100},
    "cada_vae": {
        "batch_size": 8, "lr": 1e-3, "classifier_epochs": 40, "seen_samples": 64,
        "unseen_samples": 32, "image_encoder": 128, "image_decoder": 128, "attribute_encoder": 64,
        "attribute_decoder": 64,
    },
    "f_clswgan": GENERATOR,
    "tf_vaegan": GENERATOR,
    "free": GENERATOR,
    "ce_gzsl": {**GENERATOR, "batch_size": 16},
    "rff": GENERATOR,
    "sdgzsl": {**GENERATOR, "batch_size": 16, "steps": 30},
    "hsva": {
        **GENERATOR, "batch_size": 16, "steps": 150, "coarse": 32, "lr": 3e-3, "seen_samples": 64,
        "classifier_epochs": 40,
    },
}  # fmt: skip


class Watched:
    """Features that remember the largest batch that was asked of them."""

    def __init__(self, features):
        self.features, self.largest = features, 0

    def __len__(self):
        return len(self.features)

    def __getitem__(self, items):
        batch = self.features[items]
        self.largest = max(self.largest, len(batch))
        return batch


def train_set(inputs=lambda features: features):
    """64 items of 8 seen classes; 2 unseen ones."""
    rng = generator(0, "by heart")
    labels = np.arange(64) % 8
    features = np.abs(rng.normal(size=(8, 128))[labels] + rng.normal(size=(64, 128)))
    table = rng.random(size=(8, 12))
    unit = table / np.linalg.norm(table, axis=1, keepdims=True)
    given = inputs(features.astype(np.float32))
    return TrainSet(given, labels, unit, unseen_attributes=np.eye(12)[:2])


def scores_of(name, train, **settings):
    """Fit a method; return its scores of what it was fitted on, over all classes."""
    method = registry.load_method(name)
    config = method.Config.parse(LITTLE_HELD_BACK[name] | settings, name).candidates()[0]
    model = method(config, 0)
    for _ in model.fit(method.prepare(train, config)):
        pass
    table = np.concatenate([train.class_attributes, train.unseen_attributes])
    batches = np.split(np.arange(64), 8)
    return np.concatenate([model.scores(train.inputs[batch], table) for batch in batches])


@pytest.mark.parametrize("name", LITTLE_HELD_BACK)
def test_64_items_can_be_learnt_by_heart(name):
    train = train_set()
    assert np.mean(scores_of(name, train)[:, :8].argmax(axis=1) == train.labels) > 0.95


@pytest.mark.parametrize("name", LITTLE_HELD_BACK)
def test_training_features_are_read_in_pieces_where_they_are_many(name, monkeypatch):
    few = {"batch_size": 8, "epochs": 2, "steps": 10, "classifier_epochs": 10}
    known = registry.load_method(name).Config.model_fields
    settings = {setting: few[setting] for setting in few if setting in known}
    expected = scores_of(name, train_set(), **settings)
    monkeypatch.setattr(_features, "WHOLE", 128 * 9)
    monkeypatch.setattr(rows, "NUMBERS", 128 * 9)
    train = train_set(Watched)
    found = scores_of(name, train, **settings)
    assert 1 < train.inputs.largest <= 9
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
