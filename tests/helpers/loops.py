"""Layers computed in numpy, a vector at a time, from the parameters of torch's."""

import numpy as np
import torch


def noise(*shape, seed=0):
    """Standard normal numbers of a shape."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def stirred(module):
    """The module with noise on all parameters, so that none is near its neutral start."""
    chance = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=chance))
    return module.eval()


def linear(layer, x):
    """A linear layer of one vector."""
    return layer.weight.detach().numpy() @ x + layer.bias.detach().numpy()


def normed(layer, x):
    """A layer norm of one vector."""
    scaled = (x - x.mean()) / np.sqrt(x.var() + 1e-5)
    return scaled * layer.weight.detach().numpy() + layer.bias.detach().numpy()


def relu(x):
    """What of x is positive."""
    return np.maximum(x, 0)


class Shown(torch.nn.Identity):
    """A backbone that takes maps `[B, N, D]` for images, and shows them as they are."""

    def __init__(self, width):
        super().__init__()
        self.width = width


def entropy_of(logits, label):
    """The cross-entropy of one image's logits, in nats."""
    return np.log(np.exp(logits).sum()) - logits[label]


def calibrated(logits, seen, margin=1.0):
    """Minus the log of the mean mass of unseen classes, after +-1, image by image."""
    masses = []
    for row in logits:
        moved = np.exp(row + margin * np.where(np.arange(len(row)) < seen, -1, 1))
        masses.append(moved[seen:].sum() / moved.sum())
    return -np.log(np.mean(masses))
