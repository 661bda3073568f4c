"""CADA-VAE: Schönfeld et al., "Generalized Zero- and Few-Shot Learning via Aligned Variational
Autoencoders", CVPR 2019 (arXiv 1812.01784).

| point | paper | released code | here |
|---|---|---|---|
| scaling of features | - | min-max, each test split by its own | min-max of training |
| noise of a sample | one for each dimension | one number for all | `sampling`: released |
| deviation of a sample | sigma | sigma squared | `sampling`: released |
| reconstruction, batch | - | L1, all summed | L1, items averaged; so are all terms |
| reconstruction, features | - | 2048 summed | averaged, times 2048 |
| sizes, rates, weights | - | the defaults | the same |
| warm-ups, of 100 epochs | - | 0-93, 21-75, 6-22 | the same shares of `epochs` |
| order of items | - | drawn anew each step | every item once an epoch |
| unseen attributes | train the classifier | the same | the same, so it is declared |
| features of a seen class | - | its first 200, repeated | drawn; repeated where fewer |
| classifier's epochs | - | by dataset, 21 to 33 | 23, as for CUB |
| classifier of T1 | - | another, of unseen classes | the same one, unseen columns |
| epoch, gamma | - | the last; none | one epoch is yielded: the last |

"-" is where the paper's text was not at hand. A classifier for each epoch of the autoencoders would
cost more than they do. Features are averaged times 2048 so that the weights, found there, mean the
same for others: with 24 features summed, KL and distance leave nothing of the latent code. The
released sampling is the default: it is behind the printed figures, and better in tuning worlds.
"""  # noqa: D205

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from zslbench.method import (
    Epoch,
    Float,
    Inputs,
    MethodConfig,
    PublishedRule,
    Subset,
    TrainSet,
    pieces,
)
from zslbench.method.settings import hyper, option, weight
from zslbench.method.trained import NetworkMethod
from zslbench.nn.gaussians import Gaussian, Sampling, kl_to_standard, sample, wasserstein
from zslbench.seeding import derive_seed, generator

BETA, GAMMA, DELTA = (0.0, 0.93), (0.21, 0.75), (0.06, 0.22)
FEATURES = 2048

_count = partial(hyper, low=1, high=16384, log=True)
_rate = partial(hyper, low=1e-6, high=1.0, log=True)


class VAE(nn.Module):
    """A variational autoencoder of one modality.

    Args:
        size: Of its input.
        encoder: Hidden units of the encoder.
        decoder: Hidden units of the decoder.
        latent: Dimension of the latent space that both modalities share.
    """

    def __init__(self, size: int, encoder: int, decoder: int, latent: int) -> None:
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(size, encoder), nn.ReLU())
        self.mean = nn.Linear(encoder, latent)
        self.log_variance = nn.Linear(encoder, latent)
        self.decode = nn.Sequential(nn.Linear(latent, decoder), nn.ReLU(), nn.Linear(decoder, size))

    def encode(self, inputs: Tensor) -> Gaussian:
        """Return mean and log variance, `[B, latent]` each, of inputs `[B, size]`."""
        hidden = self.hidden(inputs)
        return self.mean(hidden), self.log_variance(hidden)


class Network(nn.Module):
    """Both autoencoders, the classifier, the scaling of features, and the classes it knows."""

    low: Tensor
    span: Tensor
    table: Tensor

    def __init__(self, config: Any, size: int, table: Float) -> None:
        super().__init__()
        latent = config.latent
        self.images = VAE(size, config.image_encoder, config.image_decoder, latent)
        self.attributes = VAE(
            table.shape[1], config.attribute_encoder, config.attribute_decoder, latent
        )
        self.classifier = nn.Linear(latent, len(table))
        self.register_buffer("low", torch.zeros(size))
        self.register_buffer("span", torch.ones(size))
        self.register_buffer("table", torch.tensor(table))
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight, gain=0.5)
                nn.init.zeros_(layer.bias)

    def fit_scale(self, features: Inputs) -> None:
        """Take the range of training features `[n, d]`, which `scaled` maps to 0..1."""
        ranges = [(batch.min(axis=0), batch.max(axis=0)) for _, batch in pieces(features)]
        lows, highs = zip(*ranges, strict=True)
        self.low, high = _tensor(np.min(lows, axis=0)), _tensor(np.max(highs, axis=0))
        self.span = torch.where(high > self.low, high - self.low, torch.ones_like(high))

    def scaled(self, features: NDArray[Any]) -> Tensor:
        """Return features `[b, d]` in units of the range in training."""
        return (_tensor(features) - self.low) / self.span


class CADAVAE(NetworkMethod):
    """A latent space that features and attributes share, and a linear classifier in it."""

    class Config(MethodConfig):
        """Config of CADA-VAE."""

        latent: int = _count(64, "dim z", "dimension of the latent space")
        image_encoder: int = _count(1560, "h", "hidden units of the feature encoder")
        image_decoder: int = _count(1660, "h", "hidden units of the feature decoder")
        attribute_encoder: int = _count(1450, "h", "hidden units, attribute encoder")
        attribute_decoder: int = _count(665, "h", "hidden units, attribute decoder")
        epochs: int = _count(100, "epochs", "epochs of the autoencoders")
        batch_size: int = _count(50, "B", "items a step")
        lr: float = _rate(1.5e-4, "eta", "learning rate of the autoencoders")
        beta: float = weight(0.25, "beta", "weight of the KL terms")
        lambda_cross: float = weight(2.37, "gamma", "weight of cross-reconstruction")
        lambda_distance: float = weight(8.13, "delta", "weight of the Gaussians' distance")
        sampling: Sampling = option(
            "released", "z", "noise by variance, one a sample, or as the paper says"
        )
        seen_samples: int = _count(200, "n_s", "latent samples of a seen class")
        unseen_samples: int = _count(400, "n_u", "latent samples of an unseen class")
        classifier_epochs: int = _count(23, "epochs", "epochs of the classifier")
        classifier_batch: int = _count(32, "B", "samples a step of the classifier")
        classifier_lr: float = _rate(1e-3, "eta", "learning rate of the classifier")

    needs = frozenset({"features", "unseen_attributes"})
    published = PublishedRule(source="released code: the last epoch, no calibration")
    network: Network

    @classmethod
    def epochs(cls, config: Any) -> int:
        """Return one: a fit yields once, after the classifier's last epoch."""
        return 1

    def setup(self, train: TrainSet) -> None:
        """Build the network for the classes of training: seen, then unseen."""
        table = np.concatenate([train.class_attributes, _unseen(train)])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(self.seed, "initialisation"))
            self.network = Network(self.config, train.inputs[np.arange(1)].shape[1], table)

    def fit(self, prepared: TrainSet, after: Mapping[str, Any] | None = None) -> Iterator[Epoch]:
        """Train the autoencoders, then the classifier; yield the one epoch, with last losses."""
        self.setup(prepared)
        self.network.fit_scale(prepared.inputs)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(self.seed, "noise"))
            losses = self._align(prepared)
            losses["classifier"] = self._classify(*self.latents(prepared))
        yield Epoch(1, {name: float(value.detach()) for name, value in losses.items()})

    def _align(self, train: TrainSet) -> dict[str, Tensor]:
        config, network = self.config, self.network
        table, labels = _tensor(train.class_attributes), torch.from_numpy(train.labels)
        both = [*network.images.parameters(), *network.attributes.parameters()]
        optimiser = torch.optim.Adam(both, lr=config.lr, amsgrad=True, fused=True)
        for epoch in range(config.epochs):
            for items in self._batches("order", epoch, len(labels), config.batch_size):
                features = network.scaled(train.inputs[items.numpy()])
                terms = self.losses(features, table[labels[items]], epoch)
                _step(optimiser, torch.stack(list(terms.values())).sum())
        return terms

    def losses(self, features: Tensor, attributes: Tensor, epoch: int) -> dict[str, Tensor]:
        """Return the weighted terms of a batch `[B, d]`, `[B, K]`, in an epoch counted from 0."""
        config, images, classes = self.config, self.network.images, self.network.attributes
        seen, told = images.encode(features), classes.encode(attributes)
        z_seen, z_told = sample(seen, config.sampling), sample(told, config.sampling)
        unit, done = FEATURES / features.shape[1], epoch / config.epochs
        own = unit * l1(images.decode(z_seen), features) + l1(classes.decode(z_told), attributes)
        cross = unit * l1(images.decode(z_told), features) + l1(classes.decode(z_seen), attributes)
        return {
            "reconstruction": own,
            "kl": config.beta * ramp(done, *BETA) * (kl_to_standard(seen) + kl_to_standard(told)),
            "cross": config.lambda_cross * ramp(done, *GAMMA) * cross,
            "distance": config.lambda_distance * ramp(done, *DELTA) * wasserstein(seen, told),
        }

    @torch.no_grad()
    def latents(self, train: TrainSet) -> tuple[Tensor, Tensor]:
        """Return latent samples `[n, latent]`, seen classes' from features, and classes."""
        config, seen, unseen = self.config, len(train.class_attributes), _tensor(_unseen(train))
        chance = generator(self.seed, "samples")
        members = [chance.permutation(np.flatnonzero(train.labels == c)) for c in range(seen)]
        items = np.concatenate([np.resize(of, config.seen_samples) for of in members])
        rows = unseen.repeat_interleave(config.unseen_samples, dim=0)
        codes = self._codes(Subset(train.inputs, items)), self.network.attributes.encode(rows)
        sizes = [config.seen_samples] * seen + [config.unseen_samples] * len(unseen)
        labels = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
        return torch.cat([sample(code, config.sampling) for code in codes]), labels

    def _codes(self, inputs: Inputs) -> Gaussian:
        network = self.network
        codes = [network.images.encode(network.scaled(batch)) for _, batch in pieces(inputs)]
        mean, log_variance = map(torch.cat, zip(*codes, strict=True))
        return mean, log_variance

    def _classify(self, latents: Tensor, labels: Tensor) -> Tensor:
        config, classifier = self.config, self.network.classifier
        optimiser = torch.optim.Adam(
            classifier.parameters(), lr=config.classifier_lr, betas=(0.5, 0.999), fused=True
        )
        for epoch in range(config.classifier_epochs):
            for items in self._batches("classifier", epoch, len(labels), config.classifier_batch):
                loss = cross_entropy(classifier(latents[items]), labels[items])
                _step(optimiser, loss)
        return loss

    def _batches(self, purpose: str, epoch: int, count: int, size: int) -> Iterator[Tensor]:
        """Yield the items of each full batch of an epoch, reshuffled."""
        order, size = generator(self.seed, purpose, epoch).permutation(count), min(size, count)
        yield from torch.from_numpy(order[: count // size * size].reshape(-1, size))

    def scores(self, batch: NDArray[Any], class_attributes: Float) -> NDArray[np.floating]:
        """Return the classifier's logits at the latent mean.

        Args:
            batch: `[b, d]`.
            class_attributes: The first rows, all or some, of those learnt with: seen, then unseen.
                The classifier has an output for each of these and for no other class.

        Raises:
            ValueError: If they are any other rows.
        """
        count = len(class_attributes)
        if not np.array_equal(self.network.table[:count].numpy(), class_attributes):
            raise ValueError("CADA-VAE scores the classes it has learnt with, in their order")
        with torch.inference_mode():
            mean, _ = self.network.images.encode(self.network.scaled(batch))
            found: NDArray[np.float32] = self.network.classifier(mean)[:, :count].numpy()
        return found


def l1(found: Tensor, truth: Tensor) -> Tensor:
    """Return absolute differences, summed over entries, averaged over the batch."""
    return (found - truth).abs().sum(dim=1).mean()


def ramp(done: float, start: float, end: float) -> float:
    """Return a warm-up's factor: 0 up to a share `start` of the epochs, rising to 1 at `end`."""
    return min(max((done - start) / (end - start), 0.0), 1.0)


def _step(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()


def _unseen(train: TrainSet) -> Float:
    if train.unseen_attributes is None:
        raise ValueError("CADA-VAE trains on the attributes of unseen classes")
    return train.unseen_attributes


def _tensor(array: NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.asarray(array, dtype=np.float32))
