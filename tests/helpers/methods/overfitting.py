"""Whether a network can learn a few images by heart, with no augmentation."""

from dataclasses import replace

import numpy as np
import torch

from zslbench.method.conformance import toy_for, toy_images
from zslbench.nn.images import normalise
from zslbench.protocol.worlds import final_world

KNOWN = 0.95


def learnt_by_heart(method, lr, steps, **settings):
    """Return the share of 64 training images that a method comes to know in steps on all of them.

    It trains as always: a backbone that is frozen by default stays so.
    """
    train = toy_for(method).train_set(method)
    items = np.linspace(0, len(train.labels) - 1, 64).astype(int)  # of all classes
    few = replace(train, inputs=train.inputs[items], labels=train.labels[items])
    rates = {"lr": lr, "backbone_lr": lr if method.Config().backbone_lr else 0.0}
    config = method.Config(augment=False, batch_size=64, epochs=steps, **rates, **settings)
    return fitted_to_know(method(config, 0), few)


def documents_by_heart(method, config, images, lr, steps):
    """Return the share of some images that a method of documents knows after steps on them."""
    train = final_world(toy_images(ending="pair")).train_set(method, "sentences")
    model = method(config, 0)
    model.setup(train)
    items = np.linspace(0, len(train.labels) - 1, images).astype(int)
    seen, labels = normalise(train.inputs[items], model.source), train.labels[items]
    table = model.table(train.class_attributes)
    optimiser = torch.optim.AdamW([p for p in model.network.parameters() if p.requires_grad], lr)
    for _ in range(steps):
        model.network.train()
        loss = sum(model.losses(seen, torch.from_numpy(labels), table).values())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    found = model.scores(train.inputs[items], train.class_attributes).argmax(axis=1)
    return np.mean(found == labels)


def fitted_to_know(model, train):
    """Fit a model until it knows its training images, or to its end; return the share it knows."""
    images = train.inputs[np.arange(len(train.labels))]
    for epoch in model.fit(train):
        if epoch.number % 10 == 0:
            known = np.mean(model.scores(images, train.class_attributes).argmax(1) == train.labels)
            if known > KNOWN:
                break
    return known
