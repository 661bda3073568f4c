"""SDGZSL: Chen et al., "Semantics Disentangling for Generalized Zero-Shot Learning", ICCV 2021
(arXiv 2101.07978).

| point | paper | released code | here |
|---|---|---|---|
| scaling of features | - | min-max of training | the same |
| schedule | - | 220 to 600 epochs, by dataset | `epochs` times `steps` |
| warm-ups | - | a rise per epoch, to 1 at most | linear to their value at the end |
| batches | - | a pass through the data, reshuffled | drawn afresh each step |
| reconstruction by the VAE | - | squares, 2048 summed | averaged, times 2048 |
| total correlation | log ratio | difference of sigmoids | `correlation`: released |
| discriminator's step | - | one in `generator_steps` + 1 | the same |
| classes related | - | those of the batch | the same |
| final classifier | softmax of h_s | 50 epochs, the best on test | the rule's epoch |
| its batch | - | `syn_num` | `classifier_batch`; so in presets |
| its first weights | - | Xavier's, biases 0 | PyTorch's own |
| T1 | - | another run, other settings | the same one, unseen columns |
| step of the generator | - | the best on test | the rule's |
| class descriptions of CUB | sentences | either | attributes |
| sizes | 2048 | 2048 | 512, h_s 128; theirs in presets |

"-" is where the paper's text was not at hand. The released discriminator ends in two sigmoids,
whose values then go through a softmax, and the total correlation is their difference: `ratio` has
logits, whose difference is the log ratio. Features are averaged times 2048 so that the weight of
KL, found there, means the same for others.
"""  # noqa: D205

from collections.abc import Callable
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss, one_hot

from zslbench.method import PublishedRule, TrainSet
from zslbench.method.generative import (
    PLAIN,
    Batch,
    GenerativeConfig,
    GenerativeMethod,
    GenerativeNetwork,
    adam,
    feature_size,
)
from zslbench.method.settings import count, hyper, option, weight
from zslbench.nn.correlation import Correlation, Discriminator
from zslbench.nn.gan import SLOPE
from zslbench.nn.gaussians import Gaussian, kl_to_standard, sample
from zslbench.nn.relation import Relation

from ._latent import FEATURES

BOTTLENECK, VARIANCE_DROPOUT, BATCH_NORM_EPSILON = 128, 0.2, 0.8
_share = partial(hyper, low=0.0, high=0.9)


class ConditionalVAE(nn.Module):
    """q(z | x, a) with a variance by softplus, and p(x | z, a) with batch normalisation."""

    def __init__(self, size: int, attributes: int, config: "SDGZSL.Config") -> None:
        super().__init__()
        hidden, latent = config.hidden, config.latent
        self.hidden = nn.Sequential(
            nn.Linear(size + attributes, hidden), nn.LeakyReLU(SLOPE),
            nn.Linear(hidden, hidden), nn.Dropout(config.encoder_dropout), nn.LeakyReLU(SLOPE),
            nn.Linear(hidden, BOTTLENECK),
        )  # fmt: skip
        self.mean = nn.Linear(BOTTLENECK, latent)
        self.variance = nn.Sequential(
            nn.Linear(BOTTLENECK, latent), nn.Dropout(VARIANCE_DROPOUT), nn.Softplus()
        )
        drop = config.decoder_dropout
        self.decoder = nn.Sequential(
            nn.Linear(latent + attributes, hidden), nn.Dropout(drop), nn.LeakyReLU(SLOPE),
            nn.Linear(hidden, hidden), nn.BatchNorm1d(hidden, BATCH_NORM_EPSILON), nn.Dropout(drop),
            nn.Linear(hidden, hidden), nn.BatchNorm1d(hidden, BATCH_NORM_EPSILON), nn.Dropout(drop),
            nn.LeakyReLU(SLOPE), nn.Linear(hidden, size), nn.LeakyReLU(SLOPE),
        )  # fmt: skip

    def encode(self, features: Tensor, attributes: Tensor) -> Gaussian:
        """Return mean and log variance `[B, z]` of features `[B, d]` with their attributes."""
        hidden = self.hidden(torch.cat([features, attributes], dim=1))
        return self.mean(hidden), self.variance(hidden).log()

    def decode(self, latent: Tensor, attributes: Tensor) -> Tensor:
        """Return features `[B, d]` of latents `[B, z]` with attributes `[B, K]`."""
        features: Tensor = self.decoder(torch.cat([latent, attributes], dim=1))
        return features


class Network(GenerativeNetwork):
    """The VAE, the disentangling autoencoder, and what relates and what discriminates its codes."""

    def __init__(self, config: "SDGZSL.Config", train: TrainSet) -> None:
        size, attributes = feature_size(train), train.class_attributes.shape[1]
        super().__init__(train, config.semantic)
        both, drop = 2 * config.semantic, config.autoencoder_dropout
        self.vae = ConditionalVAE(size, attributes, config)
        self.encode = nn.Sequential(nn.Linear(size, both), nn.LeakyReLU(SLOPE), nn.Dropout(drop))
        self.decode = nn.Sequential(
            nn.Linear(both, config.hidden), nn.LeakyReLU(SLOPE), nn.Dropout(drop),
            nn.Linear(config.hidden, size), nn.LeakyReLU(SLOPE), nn.Dropout(drop),
        )  # fmt: skip
        self.relate = Relation(config.semantic, attributes, config.hidden, nn.ReLU())
        self.discriminator = Discriminator(config.semantic, config.correlation)


def released(
    steps: int, syn_num: int, lr: float, classifier_lr: float, **others: float
) -> dict[str, float]:
    """Return a preset: what the released settings of all datasets share, and what they do not."""
    given = {"steps": steps, "syn_num": syn_num, "lr": lr, "classifier_lr": classifier_lr}
    return {"hidden": 2048, "semantic": 2048, "classifier_batch": syn_num, **given, **others}


class SDGZSL(GenerativeMethod):
    """A feature's code in two independent halves, of which one is related to attributes."""

    class Config(GenerativeConfig):
        """Config of SDGZSL."""

        presets: ClassVar = {
            "CUB": released(
                6600, 1000, 1e-4, 2e-3, relation=5.0, correlation_weight=0.003, kl_end=0.6,
                correlation_end=0.06, weight_decay=1e-8, encoder_dropout=0.1, decoder_dropout=0.1,
                generator_steps=3, autoencoder_dropout=0.0,
            ),
            "AWA2": released(
                8074, 5000, 3e-5, 3e-3, semantic=1024, relation=0.5, correlation_weight=1.0,
                kl_end=2.2, correlation_end=0.22, weight_decay=1e-6, encoder_dropout=0.4,
                decoder_dropout=0.5, generator_steps=2, autoencoder_dropout=0.2,
            ),
            "SUN": released(
                6440, 400, 3e-4, 1e-3, relation=30.0, correlation_weight=0.3, discriminator=0.5,
                kl_end=0.4, correlation_end=0.12, weight_decay=1e-6, encoder_dropout=0.4,
                decoder_dropout=0.2, generator_steps=3, autoencoder_dropout=0.4,
            ),
        }  # fmt: skip
        semantic: int = count(128, "S", "dimension of h_s, and of h_n")
        latent: int = count(20, "dim z", "dimension of the VAE's latent space")
        relation: float = weight(5.0, "lambda_1", "weight of the relation of h_s and attributes")
        correlation_weight: float = weight(0.3, "lambda_2", "weight of the total correlation")
        discriminator: float = weight(0.3, "dis", "weight of the discriminator's loss")
        kl_end: float = weight(0.6, "beta", "weight of KL at the end, rising from 0; 1 at most")
        correlation_end: float = weight(
            0.1, "gamma", "factor of the total correlation at the end, likewise"
        )
        generator_steps: int = hyper(3, "n_g", "other steps after one of the discriminator", 1, 100)
        correlation: Correlation = option("released", "TC", "difference of sigmoids, or log ratio")
        weight_decay: float = hyper(1e-8, "wd", "weight decay (Adam)", 0.0, 1.0, log=True)
        encoder_dropout: float = _share(0.1, "p_e", "dropout in the VAE's encoder")
        decoder_dropout: float = _share(0.1, "p_d", "dropout in the VAE's decoder")
        autoencoder_dropout: float = _share(0.0, "p_a", "dropout in the disentangling autoencoder")
        classifier_epochs: int = count(50, "epochs", "epochs of the classifier")

    published = PublishedRule(
        epoch="best",
        source="released code: best step of the VAE and epoch of the classifier on test, no "
        "calibration",
    )
    swept = ("lr", "relation", "correlation_weight", "kl_end", "syn_num", "classifier_lr")
    network: Network

    def build(self, train: TrainSet) -> Network:
        """Return the network."""
        return Network(self.config, train)

    def make_optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """Return that of the discriminator, and one of all else."""
        network, config = self.network, self.config
        others = nn.ModuleList([network.vae, network.encode, network.decode, network.relate])
        return {
            name: adam(part.parameters(), config.lr, PLAIN, weight_decay=config.weight_decay)
            for name, part in {"discriminator": network.discriminator, "others": others}.items()
        }

    def step(self, draw: Callable[[], Batch], number: int) -> dict[str, Tensor]:
        """Take one step, of the discriminator too where it is its turn; then nothing is apart."""
        network, config = self.network, self.config
        done = number / (config.epochs * config.steps)
        terms, codes = self.losses(draw(), done)
        judged = apart = torch.zeros_like(terms["kl"])
        if number % (config.generator_steps + 1) == 0:
            judged = network.discriminator.loss([code.detach() for code in codes])
            judged = config.discriminator * judged
            self.descend(judged, "discriminator")
        else:
            factor = min(config.correlation_end * done, 1.0) * config.correlation_weight
            apart = factor * network.discriminator.correlation(codes)
        terms["correlation"] = apart
        self.descend(torch.stack(list(terms.values())).sum(), "others")
        return {**terms, "discriminator": judged}

    def losses(self, batch: Batch, done: float) -> tuple[dict[str, Tensor], list[Tensor]]:
        """Return the weighted terms but one, at a share of the schedule, and both codes `[B, 2S]`.

        The codes are those of the features as the VAE reconstructs them, and as they are.
        """
        network, config = self.network, self.config
        code = network.vae.encode(batch.features, batch.attributes)
        rebuilt = network.vae.decode(sample(code, "paper"), batch.attributes)
        codes = [network.encode(features) for features in (rebuilt, batch.features)]
        return {
            "vae": FEATURES * mse_loss(rebuilt, batch.features),
            "kl": min(config.kl_end * done, 1.0) * kl_to_standard(code),
            "relation": config.relation * sum(self.relation_loss(c, batch.labels) for c in codes),
            "reconstruction": sum(mse_loss(network.decode(c), batch.features) for c in codes),
        }, codes

    def relation_loss(self, code: Tensor, labels: Tensor) -> Tensor:
        """Return the mean square of relation minus truth, over the classes of the batch."""
        present, places = labels.unique(return_inverse=True)  # type: ignore[no-untyped-call]
        table = self.network.table[present].to(code.dtype)
        truth = one_hot(places, len(present)).to(code.dtype)
        related = self.network.relate(code[:, : self.config.semantic], table).sigmoid()
        return mse_loss(related, truth)

    def synthesise(self, attributes: Tensor) -> Tensor:
        """Return h_s of a feature of each row of attributes, decoded from noise."""
        noise = torch.randn(len(attributes), self.config.latent, device=attributes.device)
        return self.represent(self.network.vae.decode(noise, attributes))

    def represent(self, features: Tensor) -> Tensor:
        """Return h_s `[b, S]`."""
        code: Tensor = self.network.encode(features)[:, : self.config.semantic]
        return code
