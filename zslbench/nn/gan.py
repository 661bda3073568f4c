"""Generators of features and their critic, as f-CLSWGAN and its successors share them.

Arjovsky et al. (ICML 2017) and Gulrajani et al. (NeurIPS 2017) for the Wasserstein distance and its
penalty, Xian et al. (CVPR 2018) for networks that are told the attributes a, Narayan et al. (ECCV
2020) for encoder and weighted reconstruction.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy, leaky_relu

from zslbench.nn.gaussians import Gaussian, kl_to_standard

SLOPE = 0.2  # of every leaky ReLU
HIGH, LOW, FACTOR, LEAST = 1.05, 1.001, 1.1, 1e-12  # of the adaptive weight
Judge = Callable[[Tensor, Tensor], Tensor]


class ConditionalGenerator(nn.Module):
    """G(z, a) = out(W2 (lrelu(W1 [z; a]) + f)), with f a feedback that may be missing.

    Args:
        noise: Dimension of z.
        attributes: Dimension of a.
        hidden: Units between.
        size: Of a feature.
        output: What it ends in: `nn.ReLU()` (f-CLSWGAN) or `nn.Sigmoid()` (TF-VAEGAN).
    """

    def __init__(
        self, noise: int, attributes: int, hidden: int, size: int, output: nn.Module
    ) -> None:
        super().__init__()
        self.hidden = nn.Linear(noise + attributes, hidden)
        self.features = nn.Linear(hidden, size)
        self.output = output

    def forward(self, noise: Tensor, attributes: Tensor, feedback: Tensor | None = None) -> Tensor:
        """Return features `[B, size]` of noise `[B, z]`, attributes `[B, K]`, feedback `[B, h]`."""
        hidden = leaky_relu(self.hidden(torch.cat([noise, attributes], dim=1)), SLOPE)
        if feedback is not None:
            hidden = hidden + feedback
        features: Tensor = self.output(self.features(hidden))
        return features


class Critic(nn.Module):
    """D(x, a) = w2 lrelu(W1 [x; a]): how real it finds a feature for its class, `[B]`."""

    def __init__(self, size: int, attributes: int, hidden: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(size + attributes, hidden)
        self.value = nn.Linear(hidden, 1)

    def forward(self, features: Tensor, attributes: Tensor) -> Tensor:
        """Return one number for each feature `[B, size]` with its attributes `[B, K]`."""
        hidden = leaky_relu(self.hidden(torch.cat([features, attributes], dim=1)), SLOPE)
        value: Tensor = self.value(hidden)
        return value.squeeze(1)


class ConditionalEncoder(nn.Module):
    """E(x, a): mean and log variance of z, two hidden layers, the second of 2K units."""

    def __init__(self, size: int, attributes: int, hidden: int, latent: int) -> None:
        super().__init__()
        self.hidden = nn.Sequential(
            nn.Linear(size + attributes, hidden), nn.LeakyReLU(SLOPE),
            nn.Linear(hidden, 2 * latent), nn.LeakyReLU(SLOPE),
        )  # fmt: skip
        self.mean = nn.Linear(2 * latent, latent)
        self.log_variance = nn.Linear(2 * latent, latent)

    def forward(self, features: Tensor, attributes: Tensor) -> Gaussian:
        """Return a Gaussian `[B, latent]` for each feature `[B, size]` with its attributes."""
        hidden = self.hidden(torch.cat([features, attributes], dim=1))
        return self.mean(hidden), self.log_variance(hidden)


def draw_weights(network: nn.Module) -> None:
    """Draw the weights of all linear layers from N(0, 0.02), and make their biases 0."""
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)


def gradient_penalty(critic: Judge, real: Tensor, fake: Tensor, attributes: Tensor) -> Tensor:
    """Return mean (||grad_x D(x, a)||_2 - 1)^2 at x = u real + (1 - u) fake, u ~ U(0, 1) per item.

    Eq. 3 of Gulrajani et al.
    """
    share = torch.rand(len(real), 1, device=real.device)
    between = (share * real + (1 - share) * fake).detach().requires_grad_()
    values = critic(between, attributes).sum()
    (slope,) = torch.autograd.grad(values, between, create_graph=True)
    steepness: Tensor = torch.linalg.vector_norm(slope, dim=1)
    return (steepness - 1).square().mean()


def critic_loss(
    critic: Judge, real: Tensor, fake: Tensor, attributes: Tensor, weight: Tensor | float
) -> tuple[Tensor, Tensor]:
    """Return mean D(fake) - mean D(real) + weight * penalty, and the penalty alone."""
    penalty = gradient_penalty(critic, real, fake, attributes)
    apart = critic(fake, attributes).mean() - critic(real, attributes).mean()
    return apart + weight * penalty, penalty


def adapted(weight: Tensor, penalty: Tensor) -> Tensor:
    """Return the weight for the next step, as the code of TF-VAEGAN and FREE has it.

    A penalty above 1.05 raises it by a tenth; one below 1.001, as most are, lowers it as much. Here
    it ends at 1e-12, which no gradient shows; below 1e-38 processors compute slowly.
    """
    changed = torch.where(penalty < LOW, weight / FACTOR, weight)
    return torch.where(penalty > HIGH, weight * FACTOR, changed).clamp_min(LEAST)


def vae_loss(found: Tensor, features: Tensor, code: Gaussian) -> Tensor:
    """Return binary cross-entropy, summed over a feature in [0, 1], and KL; both averaged over B.

    Args:
        found: `[B, d]` reconstructions, in (0, 1).
        features: `[B, d]`.
        code: Of the features.
    """
    whole = binary_cross_entropy(found, features, reduction="sum")
    return whole / len(features) + kl_to_standard(code)


def weighted_l1(found: Tensor, truth: Tensor) -> Tensor:
    """Return sum_k w_k |d_k|, averaged over B, with d = found - truth and w_k = d_k^2 / ||d||_2.

    The released code of TF-VAEGAN: a plain L1 norm in its paper.
    """
    apart = (found - truth).abs()
    length: Tensor = torch.linalg.vector_norm(apart, dim=1)
    return (apart.pow(3).sum(dim=1) / length.clamp_min(1e-12)).mean()
