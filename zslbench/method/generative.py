"""The base of methods that synthesise features of unseen classes and classify by them.

Xian et al., "Feature Generating Networks for Zero-Shot Learning", CVPR 2018, and those after it:
features scaled to 0..1, a generator trained on seen classes, and a linear classifier over all
classes, trained on real features of the seen and synthetic ones of the unseen.

A schedule counts generator steps, not passes through the data: small datasets need as many. After
every `steps` of them, a generator's epoch, a classifier is trained from its first weights. Each of
its epochs is an epoch of the fit: papers pick the best of them on test. What does not fill a batch
of the classifier is left out of its epoch; released code fills it up from the next. Noise and
batches are resampled from (seed, purpose, epoch), so that a fit resumed after a classifier
gives the same numbers.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from zslbench.arithmetic import device, tensor
from zslbench.data.rows import pieces
from zslbench.data.types import Inputs
from zslbench.method.base import Epoch, Float, TrainSet
from zslbench.method.settings import MethodConfig, count, hyper, rate
from zslbench.method.trained import NetworkMethod
from zslbench.seeding import derive_seed, generator

PLAIN = (0.9, 0.999)  # the usual betas of Adam
ROWS = 4096  # that are synthesised at once


class ClassifierConfig(MethodConfig):
    """What the final classifier may be set to."""

    classifier_epochs: int = count(25, "epochs", "epochs of the classifier")
    classifier_batch: int = count(32, "B", "features a step of the classifier")
    classifier_lr: float = rate(1e-3, "eta", "learning rate of the classifier")


class GenerativeConfig(ClassifierConfig):
    """What all methods that train a generator step by step may be set to."""

    epochs: int = hyper(10, "epochs", "times a classifier is trained from scratch", 1, 1000)
    steps: int = hyper(160, "steps", "generator steps an epoch", 1, 100_000, log=True)
    batch_size: int = hyper(64, "B", "features a step", 2, 16384)
    lr: float = rate(5e-4, "eta", "learning rate of generator and critic")
    hidden: int = count(512, "h", "hidden units of each network; 4096 in papers")
    syn_num: int = count(100, "n", "synthetic features of an unseen class")


class Batch(NamedTuple):
    """Training features `[B, d]`, scaled; attributes `[B, K]` and labels `[B]` of their classes."""

    features: Tensor
    attributes: Tensor
    labels: Tensor


class GenerativeNetwork(nn.Module):
    """What every such method has beside its own parts: scaling, classes it knows, classifier.

    Args:
        train: What it is to be trained on.
        width: Of what the classifier gets.

    Attributes:
        table: `[C, K]` attributes of the seen, then of the unseen classes.
    """

    low: Tensor
    span: Tensor
    table: Tensor

    def __init__(self, train: TrainSet, width: int) -> None:
        super().__init__()
        size = feature_size(train)
        table = np.concatenate([train.class_attributes, unseen_attributes(train)])
        self.classifier = nn.Linear(width, len(table))
        self.register_buffer("low", torch.zeros(size))
        self.register_buffer("span", torch.ones(size))
        self.register_buffer("table", torch.tensor(table))

    def fit_scale(self, features: Inputs) -> None:
        """Take the range of training features `[n, d]`, which `scaled` maps to 0..1."""
        ranges = [(batch.min(axis=0), batch.max(axis=0)) for _, batch in pieces(features)]
        lows, highs = zip(*ranges, strict=True)
        self.low, high = tensor(np.min(lows, axis=0)), tensor(np.max(highs, axis=0))
        self.span = torch.where(high > self.low, high - self.low, torch.ones_like(high))

    def scaled(self, features: NDArray[Any]) -> Tensor:
        """Return features `[b, d]` in units of the range in training."""
        return (tensor(features) - self.low) / self.span


class GenerativeMethod(NetworkMethod):
    """A method that classifies by synthetic features of unseen classes.

    Attributes:
        optimisers: By name, as `make_optimisers` returned them.
    """

    needs = frozenset({"features", "unseen_attributes"})
    network: GenerativeNetwork
    optimisers: dict[str, torch.optim.Optimizer]

    @classmethod
    def passes(cls, config: Any) -> int:
        """Return how many epochs of each classifier are yielded: all, or else the last alone."""
        return int(config.classifier_epochs)

    @classmethod
    def epochs(cls, config: Any) -> int:
        """Return how many epochs a fit yields, those of all classifiers."""
        return int(config.epochs) * cls.passes(config)

    @abstractmethod
    def build(self, train: TrainSet) -> GenerativeNetwork:
        """Return the network; parameters are drawn from torch's generator, already seeded."""

    @abstractmethod
    def make_optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """Return the optimisers of all that is trained, by name."""

    @abstractmethod
    def step(self, draw: Callable[[], Batch], number: int) -> dict[str, Tensor]:
        """Take one generator step, with its critic's; return the loss terms.

        Args:
            draw: Gives another batch of training features each time.
            number: Of the step in the fit, counted from 0.
        """

    @abstractmethod
    def synthesise(self, attributes: Tensor) -> Tensor:
        """Return what the classifier learns from, `[n, width]`, for attributes `[n, K]`."""

    def represent(self, features: Tensor) -> Tensor:
        """Return what the classifier gets, `[b, width]`, of scaled features `[b, d]`."""
        return features

    def pretrain(self, train: TrainSet) -> None:
        """Train what is fixed when the steps begin; the optimisers are there."""

    def setup(self, train: TrainSet) -> None:
        """Build the network from the seed, on the device."""
        with torch.random.fork_rng():
            torch.manual_seed(derive_seed(self.seed, "initialisation"))
            self.network = self.build(train)
        self.network.to(device())

    def fit(self, prepared: TrainSet, after: Mapping[str, Any] | None = None) -> Iterator[Epoch]:
        """Train, yielding after each classifier's epochs; go on from a checkpoint if given."""
        self.setup(prepared)
        self.network.fit_scale(prepared.inputs)
        first_weights = deepcopy(self.network.classifier.state_dict())
        self.optimisers, self.epoch = self.make_optimisers(), 0
        if after is None:
            self.pretrain(prepared)
        else:
            self._resume(after)
        passes = self.passes(self.config)
        while self.epoch < self.epochs(self.config):
            self.network.classifier.load_state_dict(first_weights)
            with torch.random.fork_rng():
                losses = self.train_epoch(prepared, self.epoch // passes + 1)
                classified = self.classify(prepared)
            for loss in classified:
                self.epoch += 1
                told = {**losses, "classifier": loss}
                yield self.ended(self.epoch, {k: float(v.detach()) for k, v in told.items()})

    def train_epoch(self, train: TrainSet, epoch: int) -> dict[str, Tensor]:
        """Take the steps of a generator's epoch; return the mean of each loss."""
        torch.manual_seed(derive_seed(self.seed, "noise", epoch))
        chance, table = generator(self.seed, "order", epoch), tensor(train.class_attributes)
        size, totals = min(self.config.batch_size, len(train.labels)), dict[str, Tensor]()
        self.network.train()

        def draw() -> Batch:
            return self.batch(train, table, chance.choice(len(train.labels), size, replace=False))

        for number in range((epoch - 1) * self.config.steps, epoch * self.config.steps):
            for name, value in self.step(draw, number).items():
                totals[name] = totals.get(name, torch.zeros_like(value)) + value.detach()
        return {name: total / self.config.steps for name, total in totals.items()}

    def batch(self, train: TrainSet, table: Tensor, items: NDArray[np.int64]) -> Batch:
        """Return training items with the attributes of their classes, of a table on the device."""
        labels = torch.from_numpy(train.labels[items]).to(table.device)
        return Batch(self.network.scaled(train.inputs[items]), table[labels], labels)

    def descend(self, loss: Tensor, *names: str) -> None:
        """Take one step of the named optimisers down a loss; nothing else gets a gradient."""
        optimisers = [self.optimisers[name] for name in names]
        for optimiser in optimisers:
            optimiser.zero_grad(set_to_none=True)
        groups = [group for optimiser in optimisers for group in optimiser.param_groups]
        loss.backward(inputs=[p for g in groups for p in g["params"]])  # type: ignore[no-untyped-call]
        for optimiser in optimisers:
            optimiser.step()

    @torch.no_grad()
    def examples(self, train: TrainSet) -> tuple[Tensor, Tensor]:
        """Return what the classifier learns from, `[n, width]`, and classes: real, then synthetic.

        `syn_num` of each unseen class is where a generator hides its calibration: they are weighed
        against as many real features as a seen class happens to have.
        """
        self.network.eval()
        rows, labels = self.seen_examples(train)
        seen, unseen = len(train.class_attributes), tensor(unseen_attributes(train))
        classes = torch.arange(len(unseen)).repeat_interleave(self.unseen_examples())
        made = [self.synthesise(unseen[some]) for some in torch.split(classes, ROWS)]
        return torch.cat([rows, *made]), torch.cat([labels, seen + classes])

    def seen_examples(self, train: TrainSet) -> tuple[Tensor, Tensor]:
        """Return what the classifier learns from of the seen classes: all training features."""
        rows = [self.represent(features) for features in self.training_features(train)]
        return torch.cat(rows), torch.from_numpy(train.labels)

    def training_features(self, train: TrainSet) -> Iterator[Tensor]:
        """Yield all training features, scaled, some `[b, d]` at a time."""
        return (self.network.scaled(batch) for _, batch in pieces(train.inputs))

    def unseen_examples(self) -> int:
        """Return how many synthetic features the classifier gets of each unseen class."""
        return int(self.config.syn_num)

    def classify(self, train: TrainSet) -> Iterator[Tensor]:
        """Begin with the classifier of all classes; return what trains it, a loss each pass."""
        config, (rows, labels) = self.config, self.examples(train)
        every = config.classifier_epochs // self.passes(config)
        losses = self.classifier_passes(
            self.network.classifier, rows, labels, "classifier",
            epochs=config.classifier_epochs, size=config.classifier_batch, lr=config.classifier_lr,
        )  # fmt: skip
        return islice(losses, every - 1, None, every)

    def train_classifier(
        self, layer: nn.Module, rows: Tensor, labels: Tensor, purpose: str, **schedule: Any
    ) -> None:
        """Train a layer to the end of its schedule, as `classifier_passes` does."""
        for _ in self.classifier_passes(layer, rows, labels, purpose, **schedule):
            pass

    def classifier_passes(
        self, layer: nn.Module, rows: Tensor, labels: Tensor, purpose: str,
        *, epochs: int, size: int, lr: float,
    ) -> Iterator[Tensor]:  # fmt: skip
        """Train a layer by cross-entropy on rows `[n, width]`; yield each epoch's last loss."""
        optimiser = adam(layer.parameters(), lr)
        labels = labels.to(rows.device)
        for epoch in range(epochs):
            for items in self.batches(purpose, epoch, len(labels), size):
                loss = cross_entropy(layer(rows[items]), labels[items])
                optimiser.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
            yield loss

    def batches(self, purpose: str, epoch: int, number: int, size: int) -> Iterator[Tensor]:
        """Yield the items of each full batch of a pass through `number` items, reshuffled."""
        order, size = generator(self.seed, purpose, epoch).permutation(number), min(size, number)
        yield from torch.from_numpy(order[: number // size * size].reshape(-1, size))

    def scores(self, batch: NDArray[Any], class_attributes: Float) -> NDArray[np.floating]:
        """Return the classifier's logits.

        Args:
            batch: `[b, d]`.
            class_attributes: The first rows, all or some, of those learnt with: seen, then unseen.
                The classifier has an output for each of these and for no other class.

        Raises:
            ValueError: If they are any other rows.
        """
        known = len(class_attributes)
        if not np.array_equal(self.network.table[:known].cpu().numpy(), class_attributes):
            name = type(self).__name__
            raise ValueError(f"{name} scores the classes it has learnt with, in their order")
        self.network.eval()
        with torch.inference_mode():
            rows = self.represent(self.network.scaled(batch))
            found: NDArray[np.float32] = self.network.classifier(rows)[:, :known].cpu().numpy()
            return found

    def checkpoint(self) -> dict[str, Any] | None:
        """Return all that `fit` needs to go on, at the end of a classifier; before it, nothing."""
        if self.epoch % self.passes(self.config):
            return None
        return {
            "epoch": self.epoch,
            "network": self.network.state_dict(),
            "optimisers": {name: each.state_dict() for name, each in self.optimisers.items()},
        }

    def _resume(self, after: Mapping[str, Any]) -> None:
        self.network.load_state_dict(after["network"])
        for name, state in after["optimisers"].items():
            self.optimisers[name].load_state_dict(state)
        self.epoch = int(after["epoch"])


def adam(
    parameters: Iterable[nn.Parameter],
    lr: float,
    betas: tuple[float, float] = (0.5, 0.999),
    **others: Any,
) -> torch.optim.Optimizer:
    """Return Adam as adversarial networks use it, with little memory of past gradients.

    Args:
        parameters: What it trains.
        lr: Learning rate.
        betas: `PLAIN` where it is the usual Adam.
        others: Of torch's.
    """
    return torch.optim.Adam(list(parameters), lr=lr, betas=betas, fused=True, **others)


def feature_size(train: TrainSet) -> int:
    """Return how many numbers a feature has."""
    return int(train.inputs[np.arange(1)].shape[1])


def unseen_attributes(train: TrainSet) -> Float:
    """Return the attributes of the unseen classes.

    Raises:
        ValueError: If a method that has not declared its need of them asks.
    """
    if train.unseen_attributes is None:
        raise ValueError("a generator of features needs the attributes of unseen classes")
    return train.unseen_attributes
