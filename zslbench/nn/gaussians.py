"""Diagonal Gaussians, given by mean and log variance, `[B, z]` each."""

from typing import Literal

import torch
from torch import Tensor

Gaussian = tuple[Tensor, Tensor]
Sampling = Literal["released", "paper"]


def sample(code: Gaussian, how: Sampling) -> Tensor:
    """Draw one latent `[B, z]` from each Gaussian.

    Args:
        code: Of B items.
        how: `paper` scales a number for each dimension by its deviation; `released`, as the code of
            CADA-VAE (Schönfeld et al., CVPR 2019), one number for all dimensions by their variance.
    """
    mean, log_variance = code
    if how == "released":
        return mean + log_variance.exp() * torch.randn(len(mean), 1, device=mean.device)
    return mean + (log_variance / 2).exp() * torch.randn_like(mean)


def kl_to_standard(code: Gaussian) -> Tensor:
    """Return KL(Gaussian || standard normal) in nats, averaged over the batch."""
    mean, log_variance = code
    return (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1).mean() / 2


def wasserstein(one: Gaussian, other: Gaussian) -> Tensor:
    """Return the 2-Wasserstein distance of two Gaussians, averaged over the batch."""
    deviations = (one[1] / 2).exp() - (other[1] / 2).exp()
    apart = torch.cat([one[0] - other[0], deviations], dim=1)
    distances: Tensor = torch.linalg.vector_norm(apart, dim=1)
    return distances.mean()
