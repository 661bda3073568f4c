"""TF-VAEGAN: Narayan et al., "Latent Embedding Feedback and Discriminative Features for Zero-Shot
Classification", ECCV 2020 (arXiv 2003.07833).

| point | paper | released code | here |
|---|---|---|---|
| weight of the penalty | 10 | changed each step, far below 10 | `penalty_rule`: adaptive |
| the critic's fakes | of noise | of encoded features, but on FLO | `encoded_noise`: on |
| reconstruction of attributes | L1 | weighted L1 | weighted L1 |
| feedback while training | - | every other pass through the data | the same |
| what feeds back, where fakes are of noise | - | the decoded encoded feature | the fake |
| final classifier | softmax | 25 epochs, the best on test | the rule's epoch |
| its batch | - | `syn_num` | `classifier_batch`; so in presets |
| classifier of T1 | another, of unseen classes | the same | the same one, unseen columns |
| epoch, with or without feedback | - | the best on test | the rule's epoch, with |
| hidden units, rates | 4096, - | 4096, by dataset | 512, 5e-4; theirs in presets |

A generator step at the end of whose critic steps the penalty is below 1.001 lowers its weight by a
tenth, which holds until the critic's gradients have a norm of about 2. The weight is part of the
network's state. The presets are the released scripts', in generator steps. Without `feedback` this
is the model of Çetin et al. (ICLR 2022), whose logs name a validation epoch.
"""  # noqa: D205

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, normalize

from zslbench.method import PublishedRule, TrainSet
from zslbench.method.generative import Batch, adam, feature_size
from zslbench.method.settings import option, rate, weight
from zslbench.nn.gan import SLOPE, draw_weights, weighted_l1

from ._vaegan import VAEGAN, VAEGANConfig, VAEGANNetwork, released


class SemanticDecoder(nn.Module):
    """Attributes of features: a hidden layer h, then unit rows `[B, K]`."""

    def __init__(self, size: int, hidden: int, attributes: int) -> None:
        super().__init__()
        self.first = nn.Linear(size, hidden)
        self.last = nn.Linear(hidden, attributes)

    def hidden(self, features: Tensor) -> Tensor:
        """Return h, `[B, hidden]`, of features `[B, d]`."""
        return leaky_relu(self.first(features), SLOPE)

    def forward(self, features: Tensor) -> Tensor:
        """Return attributes `[B, K]` of features `[B, d]`."""
        return normalize(self.last(self.hidden(features)), dim=1)


class Network(VAEGANNetwork):
    """A VAE-GAN with a semantic decoder, and what feeds its hidden layer back."""

    def __init__(self, config: VAEGANConfig, train: TrainSet) -> None:
        size, (_, attributes) = feature_size(train), train.class_attributes.shape
        hidden = config.hidden
        super().__init__(config, train, size + hidden + attributes)
        self.decoder = SemanticDecoder(size, hidden, attributes)
        self.feedback = nn.Sequential(
            nn.Linear(hidden, hidden), nn.LeakyReLU(SLOPE),
            nn.Linear(hidden, hidden), nn.LeakyReLU(SLOPE),
        )  # fmt: skip
        draw_weights(self)

    def fed_back(self, noise: Tensor, attributes: Tensor, share: float) -> Tensor:
        """Return features made twice: G's hidden layer gets a share of F(h), h of the first.

        Gradients reach G by the second, and F.
        """
        with torch.no_grad():
            hidden = self.decoder.hidden(self.generator(noise, attributes))
        found: Tensor = self.generator(noise, attributes, share * self.feedback(hidden))
        return found


class TFVAEGAN(VAEGAN):
    """A VAE-GAN that decodes attributes, and by them corrects the features that it makes."""

    class Config(VAEGANConfig):
        """Config of TF-VAEGAN."""

        presets: ClassVar = {
            "CUB": released(3330, 300, 1e-4, feedback_lr=1e-5),
            "AWA2": released(4416, 1800, 1e-5, a1=0.01, a2=0.01, recons=0.1, freeze_decoder=True),
            "SUN": released(6480, 400, 1e-3, a1=0.1, a2=0.01, gamma=1.0, classifier_lr=5e-4),
            "FLO": released(
                4400, 1200, 1e-4, a1=0.5, a2=0.5, feedback_lr=1e-5, encoded_noise=False
            ),
        }
        feedback: bool = option(True, "F", "whether features are corrected by their attributes")
        a1: float = weight(1.0, "a1", "how much of the feedback is added, in training")
        a2: float = weight(1.0, "a2", "how much of the feedback is added, in synthesis")
        feedback_lr: float = rate(1e-4, "eta", "learning rate of the feedback")

    published = PublishedRule(
        epoch="best", source="released code: best epoch on test, no calibration"
    )
    swept = ("lr", "gamma", "recons", "a1", "a2", "syn_num", "classifier_lr")
    network: Network

    def build(self, train: TrainSet) -> Network:
        """Return the network."""
        self.steps_once_through = -(-len(train.labels) // self.config.batch_size)
        return Network(self.config, train)

    def make_optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """Return those of all parts."""
        config, network = self.config, self.network
        return {
            **super().make_optimisers(),
            "decoder": adam(network.decoder.parameters(), config.decoder_lr),
            "feedback": adam(network.feedback.parameters(), config.feedback_lr),
        }

    def fed(self, number: int) -> bool:
        """Return whether a step has feedback: those of every other pass through the data."""
        return bool(self.config.feedback and number // self.steps_once_through % 2)

    def trained(self, number: int) -> tuple[str, ...]:
        """Return the optimisers of a generator step."""
        fed = ("feedback",) if self.fed(number) else ()
        decoder = () if self.config.freeze_decoder else ("decoder",)
        return ("encoder", "generator", *fed, *decoder)

    def generate(self, noise: Tensor, attributes: Tensor, number: int) -> Tensor:
        """Return features for noise and attributes, with feedback where the step has it."""
        if self.fed(number):
            return self.network.fed_back(noise, attributes, self.config.a1)
        return super().generate(noise, attributes, number)

    def decoder_step(self, batch: Batch) -> dict[str, Tensor]:
        """Train the decoder on real features: beta R(Dec(x), a)."""
        loss = self.config.recons * weighted_l1(self.predict(batch.features), batch.attributes)
        self.descend(loss, "decoder")
        return {"decoder": loss}

    def predict(self, features: Tensor) -> Tensor:
        """Return the decoded attributes."""
        found: Tensor = self.network.decoder(features)
        return found

    def represent(self, features: Tensor) -> Tensor:
        """Return [x; h; Dec(x)]."""
        decoder = self.network.decoder
        return torch.cat([features, decoder.hidden(features), decoder(features)], dim=1)

    def synthesise(self, attributes: Tensor) -> Tensor:
        """Return those three of features made of noise, with feedback."""
        noise, network = torch.randn_like(attributes), self.network
        if self.config.feedback:
            return self.represent(network.fed_back(noise, attributes, self.config.a2))
        return self.represent(network.generator(noise, attributes))
