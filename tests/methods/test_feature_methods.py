"""Methods on features learn 64 items by heart, each with settings that let it."""

import numpy as np
import pytest

from zslbench.method import TrainSet, registry
from zslbench.seeding import generator

LITTLE_HELD_BACK: dict[str, dict[str, object]] = {
    "eszsl": {"reg_x": 0.001, "reg_s": 0.001},
    "sae": {"lambda_": 1.0},
    "dap": {"reg": 0.001},
    "ale": {"lr": 10.0, "epochs": 100},
    "devise": {"lr": 10.0, "epochs": 100},
    "sje": {"lr": 10.0, "epochs": 100},
    "cada_vae": {
        "batch_size": 8, "lr": 1e-3, "classifier_epochs": 40, "seen_samples": 64,
        "unseen_samples": 32, "image_encoder": 128, "image_decoder": 128, "attribute_encoder": 64,
        "attribute_decoder": 64,
    },
}  # fmt: skip


@pytest.mark.parametrize("name", LITTLE_HELD_BACK)
def test_64_items_can_be_learnt_by_heart(name):
    rng = generator(0, "by heart")
    labels = np.arange(64) % 8
    features = np.abs(rng.normal(size=(8, 128))[labels] + rng.normal(size=(64, 128)))
    table = rng.random(size=(8, 12))
    unit = table / np.linalg.norm(table, axis=1, keepdims=True)
    others = np.eye(12)[:2]
    train = TrainSet(features.astype(np.float32), labels, unit, unseen_attributes=others)
    method = registry.load_method(name)
    config = method.Config.parse(LITTLE_HELD_BACK[name], name)
    model = method(config, 0)
    for _ in model.fit(method.prepare(train, config)):
        pass
    found = model.scores(train.inputs, np.concatenate([unit, others]))[:, :8].argmax(axis=1)
    assert np.mean(found == labels) > 0.95
