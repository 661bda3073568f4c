"""The baseline: where it sees an attribute."""

import numpy as np
import torch

from zslbench.method.conformance import toy_for
from zslbench.methods.vit_attr_head import ViTAttributeHead


def test_an_attribute_is_seen_where_the_head_says_so_of_the_final_patch():
    world = toy_for(ViTAttributeHead)
    model = ViTAttributeHead(ViTAttributeHead.Config(epochs=1), 0)
    model.setup(world.train_set(ViTAttributeHead))
    batch = world.dataset.inputs[np.arange(3)]
    view = model.view(batch)
    with torch.inference_mode():
        final = model.network.backbone(model.loaded(batch))[:, 1:]
    weight, bias = (p.detach().numpy() for p in model.network.head.parameters())
    np.testing.assert_allclose(view.attributes, final.numpy() @ weight.T + bias, atol=1e-4)
    assert view.patches.shape == view.attributes.shape[:2] == (3, 49)
    assert view.kept is None
