"""FREE: Chen et al., "FREE: Feature Refinement for Generalized Zero-Shot Learning", ICCV 2021
(arXiv 2107.13807).

| point | paper | released code | here |
|---|---|---|---|
| weight of the penalty | 10 | a tenth less each step: none | `penalty_rule`: adaptive |
| the critic's fakes | of noise | of encoded features, but on FLO | `encoded_noise`: on |
| refined features | sampled | sampled, of test images too | `refined`: their mean |
| other centre in the loss | another class | any, the item's own too | another |
| gradients of the centres | - | never reset, so they add up | reset each step |
| frozen refinement | - | momentum still moves it | it stays |
| final classifier | softmax | 25 epochs, the best on test | the rule's epoch |
| its batch | - | `syn_num` | `classifier_batch`; so in presets |
| T1 | - | - | the same classifier, unseen columns |
| epoch of the generator | - | the best on test | the rule's |
| hidden units, rates | 4096, - | 4096, by dataset | 512, 5e-4; theirs in presets |

With one critic step the penalty, (norm - 1)^2, hardly ever is above 1.001, and its weight falls by
a factor of 14 in 28 steps: what is trained is a GAN without penalty. `penalty_rule=fixed` is the
paper's. A sampled feature makes an image's scores depend on what is scored beside it. The presets
are the released scripts', in generator steps: an epoch there goes through the data twice. Of 301 to
601 epochs the last is left out.
"""  # noqa: D205

from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from zslbench.method import Float, PublishedRule, TrainSet
from zslbench.method.generative import Batch, adam, feature_size
from zslbench.method.settings import hyper, option, weight
from zslbench.nn.gan import SLOPE, draw_weights, weighted_l1
from zslbench.nn.losses import center_loss, other_classes
from zslbench.seeding import derive_seed

from ._vaegan import VAEGAN, VAEGANConfig, VAEGANNetwork, released


class Refinement(nn.Module):
    """FR(x): a hidden layer, then mean and deviation of K numbers, and centres of the seen."""

    def __init__(self, size: int, hidden: int, attributes: int, seen: int) -> None:
        super().__init__()
        self.first = nn.Linear(size, hidden)
        self.last = nn.Linear(hidden, 2 * attributes)
        self.centres = nn.Parameter(torch.randn(seen, attributes))

    def hidden(self, features: Tensor) -> Tensor:
        """Return the hidden layer, `[B, hidden]`, of features `[B, d]`."""
        return leaky_relu(self.first(features), SLOPE)

    def forward(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and deviation, `[B, K]` each, of a hidden layer."""
        mean, deviation = self.last(hidden).chunk(2, dim=1)
        return mean, deviation.sigmoid()


class Network(VAEGANNetwork):
    """A VAE-GAN with a refinement of features."""

    def __init__(self, config: VAEGANConfig, train: TrainSet) -> None:
        size, (seen, attributes) = feature_size(train), train.class_attributes.shape
        super().__init__(config, train, size + config.hidden + attributes)
        self.refinement = Refinement(size, config.hidden, attributes, seen)
        draw_weights(self)


class FREE(VAEGAN):
    """A VAE-GAN whose features are classified beside a refinement that centres of classes shape."""

    class Config(VAEGANConfig):
        """Config of FREE."""

        presets: ClassVar = {
            "CUB": released(5550, 700, 1e-4, margin=200.0),
            "AWA1": released(9300, 4600, 1e-5, balance=0.1, nearest=True, freeze_decoder=True),
            "AWA2": released(14720, 4600, 1e-5, balance=0.5, nearest=True, freeze_decoder=True),
            "SUN": released(
                1260, 300, 2e-4, margin=120.0, batch_size=512, recons=0.1, gamma=1.0,
                classifier_lr=5e-4,
            ),
            "FLO": released(
                1100, 2400, 1e-4, margin=200.0, batch_size=256, critic_steps=5, encoded_noise=False
            ),
        }  # fmt: skip
        critic_steps: int = hyper(1, "n_critic", "critic steps a generator step", 1, 100)
        recons: float = weight(0.001, "eta", "weight of the attributes' reconstruction")
        center_weight: float = weight(0.5, "lambda_SAMC", "weight of the center loss")
        margin: float = hyper(50.0, "Delta", "margin of the center loss", 0.0, 1000.0, log=True)
        balance: float = hyper(0.8, "gamma", "share of the own class in that loss", 0.0, 1.0)
        nearest: bool = option(False, "c", "whether the other class is the nearest; or any one")
        refined: Literal["mean", "sampled"] = option(
            "mean", "h", "what the classifier gets of the refinement; sampled, as the code"
        )

    published = PublishedRule(
        epoch="best", source="released code: best epoch on test, no calibration"
    )
    swept = ("lr", "gamma", "recons", "margin", "balance", "syn_num", "classifier_lr")
    network: Network

    def build(self, train: TrainSet) -> Network:
        """Return the network."""
        return Network(self.config, train)

    def make_optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """Return those of all parts."""
        config, part = self.config, self.network.refinement
        layers = [*part.first.parameters(), *part.last.parameters()]
        return {
            **super().make_optimisers(),
            "refinement": adam(layers, config.decoder_lr),
            "centres": adam([part.centres], config.lr),
        }

    def trained(self, number: int) -> tuple[str, ...]:
        """Return the optimisers of a generator step."""
        return ("encoder", "generator", *(() if self.config.freeze_decoder else ("refinement",)))

    def decoder_step(self, batch: Batch) -> dict[str, Tensor]:
        """Train the refinement and its centres on real features: lambda SAMC + eta R(h, a)."""
        (features, attributes, labels), config = batch, self.config
        part = self.network.refinement
        code = part(part.hidden(features))
        others = other_classes(code[0], part.centres, labels, config.nearest)
        center = center_loss(
            code[0], part.centres, labels, others, config.margin, config.balance, 1 - config.balance
        )
        terms = {
            "center": config.center_weight * center,
            "decoder": config.recons * weighted_l1(drawn(*code), attributes),
        }
        self.descend(terms["center"] + terms["decoder"], "refinement", "centres")
        return terms

    def predict(self, features: Tensor) -> Tensor:
        """Return refined features, sampled."""
        part = self.network.refinement
        return drawn(*part(part.hidden(features)))

    def represent(self, features: Tensor) -> Tensor:
        """Return [x; hidden layer; h]."""
        part = self.network.refinement
        hidden = part.hidden(features)
        mean, deviation = part(hidden)
        refined = mean.sigmoid() if self.config.refined == "mean" else drawn(mean, deviation)
        return torch.cat([features, hidden, refined], dim=1)

    def synthesise(self, attributes: Tensor) -> Tensor:
        """Return those three of features made of noise."""
        return self.represent(self.network.generator(torch.randn_like(attributes), attributes))

    def scores(self, batch: NDArray[Any], class_attributes: Float) -> NDArray[np.floating]:
        """Return the classifier's logits; where they are of samples, by noise of the seed."""
        with torch.random.fork_rng():
            torch.manual_seed(derive_seed(self.seed, "refined"))
            return super().scores(batch, class_attributes)


def drawn(mean: Tensor, deviation: Tensor) -> Tensor:
    """Return sigmoid(mu + sigma e), e ~ N(0, I)."""
    return (mean + deviation * torch.randn_like(mean)).sigmoid()
