"""Methods that look for attributes in a map: what all of them have in common."""

import numpy as np
import pytest
import torch
from overfitting import KNOWN, learnt_by_heart

from zslbench.arithmetic import tensor
from zslbench.method.conformance import FEW_BIRDS, toy_for
from zslbench.method.registry import load_method

METHODS = ("apn", "dazle", "gem_zsl")
STEPS = {"apn": (1e-3, 80), "dazle": (3e-2, 100), "gem_zsl": (1e-3, 80)}


@pytest.fixture(scope="module", params=METHODS)
def built(request):
    """A method just set up, a batch of images, the same decoded, and their labels."""
    method = load_method(request.param)
    train = toy_for(method, birds=FEW_BIRDS).train_set(method)
    model = method(method.Config(), 0)
    model.setup(train)
    batch, labels = train.inputs[np.arange(6)], torch.from_numpy(train.labels[:6])
    return model, model.loaded(batch), batch, labels, tensor(train.class_attributes)


def test_gradients_reach_every_new_parameter(built):
    model, images, _, labels, table = built
    model.backbone.requires_grad_(False)
    losses = model.losses(images, labels, table)
    assert all(torch.isfinite(loss) and loss >= 0 for loss in losses.values())
    sum(losses.values()).backward()
    trained = {n: p for n, p in model.network.named_parameters() if p.requires_grad}
    assert [n for n, p in trained.items() if p.grad is None or not p.grad.any()] == []


def test_a_view_has_a_map_of_each_attribute(built):
    model, _, batch, _, table = built
    view = model.view(batch)
    assert view.attributes.shape == (6, 49, table.shape[1])
    assert view.patches.shape == (6, 49)
    assert np.isfinite(view.attributes).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_64_images_can_be_learnt_by_heart(name):
    lr, steps = STEPS[name]
    assert learnt_by_heart(load_method(name), lr, steps) > KNOWN
