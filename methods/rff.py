"""RFF-GZSL: Han et al., "Learning the Redundancy-free Features for Generalized Zero-Shot Object
Recognition", CVPR 2020 (arXiv 2006.08939).

| point | paper | released code | here |
|---|---|---|---|
| generator, its losses | f-CLSWGAN's | the same, beta 0.2 | the same |
| critic | of mapped features | linear, of a sample of them; not told attributes | the same |
| mapping | a Gaussian | linear, leaky ReLU; sigmoid deviation | the same |
| critic's value in the generator's loss | - | of the mean | the same |
| drift of the critic | - | 0.001 times its mean on real features, squared | the same |
| information | bound b on KL to N(0, 1) | 0.1, of real and fake features together | `bound` |
| its multiplier | of the bound | from 0, plus 1e-6 of what is above it | the same |
| center loss | of mapped features | of means, `margin` 190, `center_weight` 0.1 | the same |
| other centre in it | - | CUB, SUN any, the own too; AWA1, FLO the nearest | another; `nearest` |
| gradients of the centres | - | never reset, so they add up | reset each step |
| learning rate | - | CUB: a twentieth less every 100 epochs | constant |
| final classifier | softmax, or k-NN | of mapped features; the best on test | softmax of means |
| T1 | - | - | the same classifier, unseen columns |
| sizes | - | 4096, mapped to 1024 | 512, 256, margin 50; theirs in the preset |

"-" is where the paper's text was not at hand. The code was read without its final classifier and
its center loss, which FREE's code repeats. Of its settings CUB's alone are in the released README;
the preset has them in generator steps, 14 an epoch. In tables of others its AWA1 stands as AWA2.
"""  # noqa: D205

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from zslbench.method import PublishedRule, TrainSet
from zslbench.method.generative import Batch, GenerativeNetwork, adam, feature_size
from zslbench.method.settings import count, hyper, option, weight
from zslbench.nn.gan import SLOPE, ConditionalGenerator, draw_weights, gradient_penalty
from zslbench.nn.losses import center_loss, other_classes

from .f_clswgan import FCLSWGAN
from .f_clswgan import Config as GeneratorConfig

DRIFT, MULTIPLIER_RATE, LEAST = 1e-3, 1e-6, 1e-8


class Mapping(nn.Module):
    """From features to Gaussians of redundancy-free ones, and a critic of these."""

    def __init__(self, size: int, latent: int) -> None:
        super().__init__()
        self.gaussian = nn.Linear(size, 2 * latent)
        self.value = nn.Linear(latent, 1)

    def encode(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and deviation, `[B, z]` each, of features `[B, d]`."""
        mean, deviation = leaky_relu(self.gaussian(features), SLOPE).chunk(2, dim=1)
        return mean, deviation.sigmoid()

    def sampled(self, features: Tensor, attributes: Tensor | None = None) -> Tensor:
        """Return the critic's value `[B]` of a sample of each feature's Gaussian."""
        mean, deviation = self.encode(features)
        value: Tensor = self.value(mean + deviation * torch.randn_like(mean))
        return value.squeeze(1)

    def forward(self, features: Tensor, attributes: Tensor | None = None) -> Tensor:
        """Return the critic's value `[B]` of the mean of each feature's Gaussian."""
        value: Tensor = self.value(self.encode(features)[0])
        return value.squeeze(1)


def information(mean: Tensor, deviation: Tensor) -> Tensor:
    """Return KL(N(mean, deviation^2) || N(0, 1)), summed over z and averaged over the batch."""
    variance = deviation.square()
    terms = mean.square() + variance - (variance + LEAST).log() - 1
    return terms.sum(dim=1).mean() / 2


class Config(GeneratorConfig):
    """Config of RFF-GZSL."""

    presets: ClassVar = {
        "CUB": {
            "epochs": 8, "steps": 364, "batch_size": 512, "hidden": 4096, "latent": 1024,
            "lr": 1e-4, "syn_num": 400, "classifier_batch": 400, "margin": 190.0,
        },
    }  # fmt: skip
    beta: float = weight(0.2, "beta", "weight of the classification loss")
    latent: int = count(256, "dim z", "dimension of the redundancy-free features")
    bound: float = hyper(0.1, "b", "bound on the information that they keep", 0.0, 1000.0, log=True)
    center_weight: float = weight(0.1, "lambda_c", "weight of the center loss")
    margin: float = hyper(50.0, "Delta", "margin of the center loss", 0.0, 1000.0, log=True)
    nearest: bool = option(False, "c", "whether the other class is the nearest; or any one")


class Network(GenerativeNetwork):
    """Generator, mapping with its critic, centres of the seen classes, and their classifier."""

    multiplier: Tensor

    def __init__(self, config: Config, train: TrainSet) -> None:
        size, (seen, attributes) = feature_size(train), train.class_attributes.shape
        super().__init__(train, config.latent)
        self.generator = ConditionalGenerator(
            attributes, attributes, config.hidden, size, nn.ReLU()
        )
        self.critic = Mapping(size, config.latent)
        self.centres = nn.Parameter(torch.randn(seen, config.latent))
        self.preclassifier = nn.Linear(size, seen)
        self.register_buffer("multiplier", torch.zeros(()))
        draw_weights(self)


class RFF(FCLSWGAN):
    """f-CLSWGAN whose critic and classifier see features of bounded information."""

    Config = Config
    published = PublishedRule(
        epoch="best", source="released code: best epoch on test, no calibration"
    )
    swept = ("lr", "beta", "bound", "center_weight", "margin", "syn_num", "classifier_lr")
    network: Network  # type: ignore[assignment]

    def build(self, train: TrainSet) -> Network:  # type: ignore[override]
        """Return the network."""
        return Network(self.config, train)

    def make_optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """Return those of generator, mapping and centres."""
        centres = adam([self.network.centres], self.config.lr)
        return {**super().make_optimisers(), "centres": centres}

    def critic_step(self, batch: Batch) -> dict[str, Tensor]:
        """Train mapping, critic and centres on real features and fakes of their classes."""
        (real, attributes, labels), network, config = batch, self.network, self.config
        with torch.no_grad():
            fake = self.generated(attributes)
        penalty = gradient_penalty(network.critic.sampled, real, fake, attributes)
        value = network.critic.sampled(real).mean()
        apart = network.critic.sampled(fake).mean() - value
        mean, deviation = network.critic.encode(torch.cat([real, fake]))
        excess = information(mean, deviation) - config.bound
        means = mean[: len(real)]
        others = other_classes(means, network.centres, labels, config.nearest)
        center = center_loss(means, network.centres, labels, others, config.margin)
        self.descend(
            apart + config.penalty * penalty + DRIFT * value.square()
            + network.multiplier * excess + config.center_weight * center,
            "critic", "centres",
        )  # fmt: skip
        network.multiplier = (network.multiplier + MULTIPLIER_RATE * excess.detach()).clamp_min(0)
        terms = {"critic": apart, "penalty": penalty, "information": excess, "center": center}
        return {**terms, "multiplier": network.multiplier}

    def represent(self, features: Tensor) -> Tensor:
        """Return the means of redundancy-free features, `[b, z]`."""
        return self.network.critic.encode(features)[0]
