"""DAZLE against loops over images, attributes and classes, in float64."""

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from zslbench.arithmetic import tensor
from zslbench.backbones.vmamba import VMamba
from zslbench.method.conformance import FEW_BIRDS, toy_for
from zslbench.methods.dazle import DAZLE, Network

WORDS = 3 * torch.randn(10, 6, generator=torch.Generator().manual_seed(5))


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def network(**settings):
    torch.manual_seed(0)
    return Network(VMamba((16, 24), (1, 1), 1, 0), WORDS, **settings).eval()


def test_scores_are_weighed_by_the_second_attention():
    found, images = network(gate=True, unit_words=True), noise(2, 3, 56, 56)
    with torch.no_grad():
        found.gate.copy_(noise(6, 24, seed=1))
        found.queries.words.mul_(2)
        predicted = found(images)
        places = normalize(found.backbone(images), dim=-1).double().numpy()
        attention, scores = (
            part.double().numpy() for part in found.queries(found.backbone(images))
        )
    gate, words = (p.detach().double().numpy() for p in (found.gate, found.queries.words))
    for image in range(2):
        for k in range(10):
            v = words[k] / np.linalg.norm(words[k])
            local = attention[image, :, k] @ places[image]
            expected = scores[image, k] / (1 + np.exp(-v @ gate @ local))
            np.testing.assert_allclose(float(predicted[image, k]), expected, rtol=1e-4, atol=1e-6)


def test_attention_starts_uniform_and_the_gate_at_one_half():
    images, gated, plain = noise(2, 3, 56, 56), *(network(gate=g, unit_words=False) for g in (1, 0))
    with torch.no_grad():
        torch.testing.assert_close(2 * gated(images), plain(images))
    assert plain.gate is None


def test_the_view_is_the_first_attention():
    train = toy_for(DAZLE, birds=FEW_BIRDS).train_set(DAZLE)
    model = DAZLE(DAZLE.Config(), 0)
    model.setup(train)
    queries, images = model.network.queries, model.loaded(train.inputs[np.arange(3)])
    with torch.no_grad():
        queries.attend.copy_(noise(*queries.attend.shape, seed=3))
        maps = model.network.backbone(images).double().numpy()
        seen, attention = model.look(images)
    words, attend = (p.detach().double().numpy() for p in (queries.words, queries.attend))
    for image, found, mean in zip(maps, attention.numpy(), seen.numpy(), strict=True):
        unit = [place / np.linalg.norm(place) for place in image]
        raised = np.exp([[word @ attend @ place for word in words] for place in unit])
        expected = raised / raised.sum(axis=0)
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6)
        np.testing.assert_allclose(mean, [np.mean(row) for row in expected], rtol=1e-3)


@pytest.mark.parametrize(("over", "calibration"), [("all", 0.1), ("seen", 2.0)])
def test_losses_know_all_classes_and_equal_loops(over, calibration):
    world = toy_for(DAZLE, birds=FEW_BIRDS)
    train = world.train_set(DAZLE)
    model = DAZLE(DAZLE.Config(cross_entropy=over, calibration=calibration), 0)
    model.setup(train)
    np.testing.assert_allclose(model.unseen.numpy(), train.unseen_attributes, rtol=1e-6)
    images, labels = model.loaded(train.inputs[np.arange(4)]), torch.from_numpy(train.labels[:4])
    found = model.losses(images, labels, tensor(train.class_attributes))
    with torch.no_grad():
        rows = model.network(images).double().numpy()
    seen, every = world.seen, np.concatenate([train.class_attributes, train.unseen_attributes])
    entropies, masses = [], []
    for row, label in zip(rows, labels.tolist(), strict=True):
        dots = np.array([row @ c for c in every])
        known = dots if over == "all" else dots[:seen]
        entropies.append(np.log(np.exp(known).sum()) - dots[label])
        raised = np.exp(dots + np.where(np.arange(len(every)) < seen, -1, 1))
        masses.append(raised[seen:].sum() / raised.sum())
    assert found["classes"].item() == pytest.approx(np.mean(entropies), rel=1e-4)
    expected = -calibration * np.log(np.mean(masses))
    assert found["calibration"].item() == pytest.approx(expected, rel=1e-4)
