"""GEM-ZSL against loops over images, attributes, places and groups, in float64."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from zslbench.arithmetic import tensor
from zslbench.method.conformance import FEW_BIRDS, toy_for
from zslbench.methods.gem_zsl import GEMZSL


@pytest.fixture(scope="module")
def train():
    return toy_for(GEMZSL, birds=FEW_BIRDS).train_set(GEMZSL)


def built(train, **settings):
    model = GEMZSL(GEMZSL.Config(**settings), 0)
    model.setup(train)
    with torch.no_grad():
        model.network.query.mul_(0.02)  # attention that is of more than one place
    return model, model.loaded(train.inputs[np.arange(4)]), torch.from_numpy(train.labels[:4])


def test_losses_equal_loops(train):
    weights = {"regression": 3.0, "decorrelation": 0.5, "compactness": 2.0}
    model, images, labels = built(train, **weights)
    network, table = model.network, train.class_attributes
    found = model.losses(images, labels, tensor(table))
    with torch.no_grad():
        maps = network.backbone(images).double().numpy()
    whole, query = (p.detach().double().numpy() for p in (network.whole, network.query))
    queries = train.word_vectors @ query
    entropies, errors, spreads = [], [], []
    for image, label in zip(maps, labels.tolist(), strict=True):
        predicted = image.mean(axis=0) @ whole
        cosines = table @ predicted / np.linalg.norm(predicted) / np.linalg.norm(table, axis=1)
        raised = np.exp(20 * cosines)
        entropies.append(-np.log(raised[label] / raised.sum()))
        for k, q in enumerate(queries):
            seen = np.exp([q @ place for place in image])
            seen /= seen.sum()
            errors.append((seen.max() - table[label, k]) ** 2)
            row, column = divmod(int(seen.argmax()), 7)
            away = [(r - row) ** 2 + (c - column) ** 2 for r in range(7) for c in range(7)]
            spreads.append(np.mean(seen * away))
    norms = [
        np.sqrt(sum(queries[k, d] ** 2 for k in np.flatnonzero(train.attribute_groups == g)))
        for g in np.unique(train.attribute_groups)
        for d in range(queries.shape[1])
    ]
    expected = {
        "classes": np.mean(entropies),
        "regression": 3.0 * np.mean(errors),
        "compactness": 2.0 * np.mean(spreads),
        "decorrelation": 0.5 * np.mean(norms),
    }
    assert {k: v.item() for k, v in found.items()} == pytest.approx(expected, rel=1e-3)


def test_the_view_is_the_attention(train):
    model, images, _ = built(train)
    with torch.no_grad():
        maps = model.network.backbone(images).double().numpy()
        places, attention = model.look(images)
    queries = train.word_vectors @ model.network.query.detach().double().numpy()
    for image, found, mean in zip(maps, attention.numpy(), places.numpy(), strict=True):
        raised = np.exp([[q @ place for q in queries] for place in image])
        expected = raised / raised.sum(axis=0)
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6)
        np.testing.assert_allclose(mean, [np.mean(row) for row in expected], rtol=1e-3)


def test_without_groups_nothing_is_decorrelated(train):
    model, images, labels = built(replace(train, attribute_groups=None))
    found = model.losses(images, labels, tensor(train.class_attributes))
    assert found.keys() == {"classes", "regression", "compactness"}


def test_words_are_fixed_and_the_local_part_has_no_say_in_scores(train):
    model, images, _ = built(train)
    before = model.logits(images, tensor(train.class_attributes))
    with torch.no_grad():
        model.network.query.zero_()
    torch.testing.assert_close(model.logits(images, tensor(train.class_attributes)), before)
    assert "words" not in dict(model.network.named_parameters())
