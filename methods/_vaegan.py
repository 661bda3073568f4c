"""What TF-VAEGAN and FREE share: a generator that a VAE and a Wasserstein GAN train together."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from zslbench.method import TrainSet
from zslbench.method.generative import (
    PLAIN,
    Batch,
    GenerativeConfig,
    GenerativeMethod,
    GenerativeNetwork,
    adam,
    feature_size,
)
from zslbench.method.settings import hyper, option, rate, weight
from zslbench.nn.gan import (
    ConditionalEncoder,
    ConditionalGenerator,
    Critic,
    adapted,
    critic_loss,
    vae_loss,
    weighted_l1,
)
from zslbench.nn.gaussians import sample


class VAEGANConfig(GenerativeConfig):
    """What both may be set to."""

    steps: int = hyper(168, "steps", "generator steps an epoch", 1, 100_000, log=True)
    critic_steps: int = hyper(5, "n_critic", "critic steps a generator step", 1, 100)
    penalty: float = weight(10.0, "lambda", "weight of the gradient penalty, at first")
    penalty_rule: Literal["adaptive", "fixed"] = option(
        "adaptive", "lambda", "change that weight by a tenth each step, as the code; or not"
    )
    encoded_noise: bool = option(
        True, "z", "critic sees features decoded from encoded ones, as the code; or from noise"
    )
    gamma: float = weight(10.0, "gamma", "weight of the adversarial losses")
    recons: float = weight(0.01, "beta", "weight of the attributes' reconstruction")
    decoder_lr: float = rate(5e-4, "eta", "learning rate of what predicts attributes")
    freeze_decoder: bool = option(
        False, "Dec", "whether what predicts attributes is trained on real features alone"
    )


def released(steps: int, syn_num: int, lr: float, **others: float) -> dict[str, float]:
    """Return a preset: what the scripts of both share on all datasets, and what they do not."""
    shared = {"epochs": 20, "hidden": 4096, "decoder_lr": 1e-4, "classifier_batch": syn_num}
    return {**shared, "steps": steps, "syn_num": syn_num, "lr": lr, **others}


class VAEGANNetwork(GenerativeNetwork):
    """Encoder, generator and critic, K latent dimensions, and the weight of the penalty."""

    penalty: Tensor

    def __init__(self, config: VAEGANConfig, train: TrainSet, width: int) -> None:
        size, (_, attributes) = feature_size(train), train.class_attributes.shape
        hidden = config.hidden
        super().__init__(train, width)
        self.encoder = ConditionalEncoder(size, attributes, hidden, attributes)
        self.generator = ConditionalGenerator(attributes, attributes, hidden, size, nn.Sigmoid())
        self.critic = Critic(size, attributes, hidden)
        self.register_buffer("penalty", torch.tensor(config.penalty))


class VAEGAN(GenerativeMethod):
    """A generator trained as VAE and as GAN, with a network that predicts attributes."""

    network: VAEGANNetwork

    @abstractmethod
    def decoder_step(self, batch: Batch) -> dict[str, Tensor]:
        """Train what predicts attributes on real features; return the loss terms."""

    @abstractmethod
    def predict(self, features: Tensor) -> Tensor:
        """Return the attributes `[B, K]` predicted of features `[B, d]`."""

    @abstractmethod
    def trained(self, number: int) -> tuple[str, ...]:
        """Return the optimisers of a generator step."""

    def generate(self, noise: Tensor, attributes: Tensor, number: int) -> Tensor:
        """Return features for noise and attributes `[B, K]`, at the step of that number."""
        features: Tensor = self.network.generator(noise, attributes)
        return features

    def make_optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """Return those of encoder, generator and critic."""
        network, lr = self.network, self.config.lr
        return {
            "encoder": adam(network.encoder.parameters(), lr, PLAIN),
            "generator": adam(network.generator.parameters(), lr),
            "critic": adam(network.critic.parameters(), lr),
        }

    def step(self, draw: Callable[[], Batch], number: int) -> dict[str, Tensor]:
        """Take the critic's and the decoder's steps, then one of encoder and generator."""
        network, config, penalties = self.network, self.config, []
        for _ in range(config.critic_steps):
            batch = draw()
            decoder = self.decoder_step(batch)
            with torch.no_grad():
                fake = self.generate(self.noise(batch), batch.attributes, number)
            loss, penalty = critic_loss(
                network.critic, batch.features, fake, batch.attributes, network.penalty
            )
            self.descend(config.gamma * loss, "critic")
            penalties.append(penalty.detach())
        mean = torch.stack(penalties).mean()
        if config.penalty_rule == "adaptive":
            network.penalty = adapted(network.penalty, mean)
        terms = self.generator_losses(batch, number)
        self.descend(torch.stack(list(terms.values())).sum(), *self.trained(number))
        return {**terms, **decoder, "critic": loss, "penalty": mean, "weight": network.penalty}

    def noise(self, batch: Batch) -> Tensor:
        """Return what the critic's fakes are made of: encoded real features, or plain noise."""
        if self.config.encoded_noise:
            return sample(self.network.encoder(batch.features, batch.attributes), "paper")
        return torch.randn_like(batch.attributes)

    def generator_losses(self, batch: Batch, number: int) -> dict[str, Tensor]:
        """Return VAE loss, -gamma mean D(x, a), and beta R(predicted attributes of x, a)."""
        (features, attributes, _), config = batch, self.config
        code = self.network.encoder(features, attributes)
        found = self.generate(sample(code, "paper"), attributes, number)
        fake = found
        if not config.encoded_noise:
            fake = self.generate(torch.randn_like(attributes), attributes, number)
        return {
            "vae": vae_loss(found, features, code),
            "generator": -config.gamma * self.network.critic(fake, attributes).mean(),
            "attributes": config.recons * weighted_l1(self.predict(fake), attributes),
        }
