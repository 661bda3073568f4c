"""What a method says of unseen classes' attributes: whether its training uses them."""

import numpy as np
import pytest
import torch

from zslbench.arithmetic import tensor
from zslbench.method.conformance import FEW_BIRDS, toy_for
from zslbench.method.registry import load_method
from zslbench.method.trained import TrainedMethod
from zslbench.studies.regression.exact import own_methods

ATTENTIVE = [
    name
    for name in own_methods()
    if "unseen_attributes" in load_method(name).needs
    and issubclass(load_method(name), TrainedMethod)
]
WITHOUT = {
    "dazle": {"cross_entropy": "seen", "calibration": 0.0},
    "msdn": {"cross_entropy": "seen", "calibration": 0.0},
    "transzero": {"cross_entropy": "seen", "calibration": 0.0, "dropout": 0.0},
    "psvma": {"debiasing": 0.0},
}


def total_and_gradients(model, inputs):
    torch.manual_seed(0)
    total = sum(model.losses(*inputs).values())
    return [total, *torch.autograd.grad(total, list(model.network.parameters()), allow_unused=True)]


@pytest.mark.parametrize("name", ATTENTIVE)
@pytest.mark.parametrize("uses", [True, False])
def test_training_uses_unseen_attributes_where_a_method_says_so(name, uses):
    cls = load_method(name)
    config = cls.Config.parse({} if uses else WITHOUT[name], name)
    assert cls.transductive(config) is uses
    world = toy_for(cls, birds=FEW_BIRDS)
    train, model = world.train_set(cls), cls(config, 0)
    model.setup(train)
    model.network.eval()
    images, labels = model.loaded(train.inputs[np.arange(8)]), torch.from_numpy(train.labels[:8])
    inputs = images, labels, tensor(train.class_attributes)
    before = total_and_gradients(model, inputs)
    model.unseen = model.unseen.flip(1)
    pairs = zip(before, total_and_gradients(model, inputs), strict=True)
    same = all(one is other or torch.equal(one, other) for one, other in pairs)
    assert same is not uses
