"""What methods share whose classifier works in a latent space of features and attributes."""

from abc import abstractmethod

import numpy as np
import torch
from torch import Tensor

from zslbench.method import Inputs, Subset, TrainSet, pieces
from zslbench.method.generative import GenerativeMethod
from zslbench.nn.gaussians import Gaussian
from zslbench.seeding import generator

FEATURES = 2048


class LatentMethod(GenerativeMethod):
    """A method that trains its classifier on as many latent samples of each class.

    Those of a seen class come from its features, drawn and repeated where there are fewer.
    """

    @abstractmethod
    def encoded(self, features: Tensor) -> Gaussian:
        """Return the Gaussians `[b, z]` of scaled features `[b, d]`."""

    @abstractmethod
    def told(self, attributes: Tensor) -> Gaussian:
        """Return the Gaussians `[b, z]` of attributes `[b, K]`."""

    @abstractmethod
    def sampled(self, code: Gaussian) -> Tensor:
        """Return one latent `[b, z]` of each Gaussian."""

    def seen_examples(self, train: TrainSet) -> tuple[Tensor, Tensor]:
        """Return `seen_samples` latent samples of each seen class, and classes."""
        seen, many = len(train.class_attributes), self.config.seen_samples
        chance = generator(self.seed, "samples")
        members = [chance.permutation(np.flatnonzero(train.labels == c)) for c in range(seen)]
        items = np.concatenate([np.resize(of, many) for of in members])
        rows = self.sampled(self._codes(Subset(train.inputs, items)))
        return rows, torch.arange(seen).repeat_interleave(many)

    def synthesise(self, attributes: Tensor) -> Tensor:
        """Return a latent sample of each row of attributes."""
        return self.sampled(self.told(attributes))

    def represent(self, features: Tensor) -> Tensor:
        """Return the latent means."""
        return self.encoded(features)[0]

    def _codes(self, inputs: Inputs) -> Gaussian:
        codes = [self.encoded(self.network.scaled(batch)) for _, batch in pieces(inputs)]
        mean, log_variance = map(torch.cat, zip(*codes, strict=True))
        return mean, log_variance


def l1(found: Tensor, truth: Tensor) -> Tensor:
    """Return absolute differences, summed over entries, averaged over the batch."""
    return (found - truth).abs().sum(dim=1).mean()


def ramp(done: float, start: float, end: float) -> float:
    """Return a warm-up's factor: 0 up to a share `start` of the schedule, rising to 1 at `end`."""
    return min(max((done - start) / (end - start), 0.0), 1.0)
