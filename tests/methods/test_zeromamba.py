"""ZeroMamba: what words find, what is fused, what is minimised."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from overfitting import KNOWN, learnt_by_heart
from torch import nn

from zslbench.arithmetic import tensor
from zslbench.backbones.maps import MapBackbone
from zslbench.backbones.vmamba import VMamba
from zslbench.errors import ZslbenchError
from zslbench.method.conformance import FEW_BIRDS, toy_for, toy_images
from zslbench.methods.zeromamba import Network, ZeroMamba

LABELS = torch.tensor([0, 1, 2, 3])
WORDS = 3 * torch.randn(10, 6, generator=torch.Generator().manual_seed(5))


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def backbone(classes=12):
    return VMamba((16, 24), (1, 1), 1, classes)


@pytest.fixture(scope="module")
def zeromamba():
    """ZeroMamba just set up, four images, and the seen classes' attributes."""
    train = toy_for(ZeroMamba).train_set(ZeroMamba)
    model = ZeroMamba(ZeroMamba.Config(semantic=3.0), 0)
    model.setup(train)
    return model, noise(4, 3, 56, 56), tensor(train.class_attributes)


@pytest.mark.parametrize("grl", ["features", "logits"])
def test_prediction_is_the_global_part_plus_the_unit_fused_local_part(grl):
    network = Network(backbone(), WORDS, ZeroMamba.Config(grl=grl)).eval()
    images = noise(2, 3, 56, 56)
    with torch.no_grad():
        found = network.backbone(images)
        pooled = network.backbone.classifier["norm"](found).mean(1)
        inputs = network.backbone.classifier["head"](pooled) if grl == "logits" else pooled
        hidden = (network.slp(found)[1] @ network.sef[0].weight.T).clamp_min(0)
        fused = hidden @ network.sef[2].weight.T
        fused = fused / fused.norm(dim=1, keepdim=True)
        torch.testing.assert_close(network(images), inputs @ network.grl.weight.T + fused)
    assert network.grl.in_features == {"features": 24, "logits": 12}[grl]


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        ({}, {"slp", "sef", "grl"}),
        ({"sef": False}, {"slp", "grl"}),
        ({"parts": "local"}, {"slp", "sef"}),
        ({"parts": "global"}, {"grl"}),
    ],
)
def test_ablations_have_the_parts_they_say(settings, parts):
    network = Network(backbone(), WORDS, ZeroMamba.Config(**settings))
    assert {name for name, _ in network.named_children()} == {"backbone", *parts}
    assert network(noise(2, 3, 56, 56)).shape == (2, 10)


def test_logits_of_a_pretraining_that_left_none_are_refused():
    with pytest.raises(ZslbenchError, match="has no classifier"):
        Network(backbone(classes=0), WORDS, ZeroMamba.Config(grl="logits"))


def test_losses_equal_loops_over_images_and_entries(zeromamba):
    model, images, table = zeromamba
    found = model.losses(images, LABELS, table)
    with torch.no_grad():
        rows = model.network(images).double().numpy()
    a = table.double().numpy()
    classes = constraint = 0.0
    for image, label in enumerate(LABELS.tolist()):
        dots = [rows[image] @ c for c in a]
        classes += (np.log(np.sum(np.exp(dots))) - dots[label]) / 4
        constraint += np.abs(rows[image] - a[label]).mean() / 4
    assert float(found["classes"].detach()) == pytest.approx(classes, rel=1e-4)
    assert float(found["semantic"].detach()) == pytest.approx(3.0 * constraint, rel=1e-4)


def test_gradients_reach_every_parameter(zeromamba):
    model, images, table = zeromamba
    model.network.zero_grad()
    sum(model.losses(images, LABELS, table).values()).backward()
    named = dict(model.network.named_parameters())
    lacking = [n for n, p in named.items() if p.grad is None or not p.grad.any()]
    assert lacking == []


def test_view_is_where_words_attend(zeromamba):
    model, *_ = zeromamba
    batch = toy_images(ending="map").inputs[np.arange(3)]
    view = model.view(batch)
    attributes = model.network.slp.words.shape[0]
    assert view.attributes.shape == (3, 49, attributes)
    np.testing.assert_allclose(view.attributes.sum(axis=1), 1, rtol=1e-4)
    np.testing.assert_allclose(view.patches, view.attributes.mean(axis=-1))
    alone = ZeroMamba(ZeroMamba.Config(parts="global"), 0)
    assert alone.view(batch) is None


class Normed(MapBackbone):
    """A map of 8 channels whose batch norm keeps statistics, as EfficientViM's do."""

    width = 8

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 8, 8, 8), nn.BatchNorm2d(8))

    def forward(self, images):
        return self.layers(images).flatten(2).mT

    def pool(self, found):
        return found.mean(dim=1)


@pytest.mark.parametrize(
    ("settings", "frozen"), [({"backbone_lr": 0}, 2), ({"frozen_epochs": 1}, 1), ({}, 0)]
)
def test_a_frozen_backbone_keeps_its_batch_statistics(settings, frozen):
    train = toy_for(ZeroMamba, birds=FEW_BIRDS).train_set(ZeroMamba)
    train = replace(train, backbone=replace(train.backbone, build=Normed))
    model = ZeroMamba(ZeroMamba.Config(epochs=2, batch_size=16, **settings), 0)
    for epoch in model.fit(train):
        norm = model.network.backbone.layers[1]
        assert bool(norm.running_mean.any()) == (epoch.number > frozen)
        assert bool(norm.num_batches_tracked) == (epoch.number > frozen)


def test_efficientvim_works_in_its_place():
    from zslbench.backbones.registry import find_backbone

    network = Network(find_backbone("random:efficientvim_m1").build(), WORDS, ZeroMamba.Config())
    network(noise(2, 3, 128, 128)).square().sum().backward()
    trained = {n: p for n, p in network.backbone.named_parameters() if p.requires_grad}
    lacking = [n for n, p in trained.items() if p.grad is None]
    assert lacking == []


@pytest.mark.slow
def test_64_images_can_be_learnt_by_heart():
    assert learnt_by_heart(ZeroMamba, lr=1e-3, steps=80) > KNOWN
