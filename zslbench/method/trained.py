"""The training loop, and the base of every method that is trained by gradient descent.

One loop for all: order, augmentation and dropout are resampled each epoch from (seed, purpose,
epoch), so that a run resumed from an epoch's end continues as if it had never stopped.
"""

import math
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from zslbench.arithmetic import PRECISION, autocast, device, tensor
from zslbench.data.types import BackboneSource, Inputs
from zslbench.method.base import Epoch, Float, Method, Need, TrainSet
from zslbench.method.settings import MethodConfig, Settings, hyper, option
from zslbench.metrics.localisation import View
from zslbench.nn.attention import rolled_out
from zslbench.nn.images import normalise
from zslbench.seeding import derive_seed, generator

Comparison = Literal["cosine", "dot"]


class LoopSettings(Settings):
    """What the loop may be set to."""

    epochs: int = hyper(12, "epochs", "length of the schedule", 1, 1000)
    batch_size: int = hyper(64, "B", "images a step", 2, 4096)
    lr: float = hyper(1e-3, "eta", "learning rate of new parameters", 1e-6, 1.0, log=True)
    backbone_lr: float = hyper(
        1e-4, "eta_b", "learning rate of the backbone; 0 freezes it", 0.0, 1.0, log=True
    )
    frozen_epochs: int = hyper(
        0, "frozen", "first epochs, in which the backbone is not trained", 0, 1000
    )
    weight_decay: float = hyper(1e-4, "wd", "decoupled weight decay (AdamW)", 0.0, 1.0, log=True)
    warmup: float = hyper(
        0.1, "warm-up", "share of steps with a rising rate, then cosine", 0.0, 0.9
    )
    clip: float = hyper(1.0, "clip", "gradient norm; 0: no clipping", 0.0, 1e3, log=True)
    augment: bool = option(True, "augment", "flip and shift the training images")


class TrainedSettings(LoopSettings):
    """What all that is trained by this loop into scaled similarities may be set to."""

    logits: Comparison = option("cosine", "cos", "how predicted and class attributes are compared")
    scale: float = hyper(20.0, "sigma", "scale of the logits", 0.1, 1000.0, log=True)


class TrainedConfig(TrainedSettings, MethodConfig):
    """What all trained methods may be set to."""


class NetworkMethod(Method):
    """A method all of whose learning is in a network, which `setup` builds."""

    network: nn.Module

    def state(self) -> dict[str, NDArray[Any]]:
        """Return the network's parameters and buffers."""
        return {k: v.detach().cpu().numpy() for k, v in self.network.state_dict().items()}

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take parameters back into a network that `setup` has built."""
        self.network.load_state_dict({k: torch.from_numpy(v) for k, v in state.items()})

    def ended(self, number: int, losses: Mapping[str, float]) -> Epoch:
        """Return an epoch as `fit` yields it.

        Raises:
            FloatingPointError: If a loss is not finite.
        """
        if not all(map(math.isfinite, losses.values())):
            raise FloatingPointError(f"{type(self).__name__}: losses of epoch {number}: {losses}")
        return Epoch(number, losses)


class TrainedMethod(NetworkMethod):
    """A method with a network, trained on images by AdamW with warm-up and a cosine schedule.

    Attributes:
        keeps: Whether it selects patches, so that `look` returns those kept behind the patches.
        tunable: The backbone's parameters that are trained once the frozen epochs are over.
        unseen: What `table` makes of the unseen classes' attributes, `[Cu, K]`, only if the method
            declares that it trains on them.
    """

    keeps: ClassVar[bool] = False
    needs: ClassVar[frozenset[Need]] = frozenset({"images"})
    precision: ClassVar[str] = PRECISION
    source: BackboneSource
    optimiser: torch.optim.Optimizer
    tunable: list[nn.Parameter]
    unseen: Tensor

    @abstractmethod
    def build(self, train: TrainSet) -> nn.Module:
        """Return the network; new parameters are drawn from torch's generator, already seeded."""

    def losses(self, images: Tensor, labels: Tensor, class_attributes: Tensor) -> dict[str, Tensor]:
        """Return weighted loss terms, whose sum is minimised, of images `[B, 3, S, S]`.

        Without more, that is the cross-entropy over the classes whose attributes are given.
        """
        classes = self.read(class_attributes)
        return {"classes": cross_entropy(self.logits(images, classes), labels)}

    def read(self, class_attributes: Tensor) -> Tensor:
        """Return what `logits` gets of the classes, of what `table` returns: the same without more.

        What parameters make of the classes belongs here: `scores` does it once for all batches.
        """
        return class_attributes

    @abstractmethod
    def logits(self, images: Tensor, class_attributes: Tensor) -> Tensor:
        """Return `[B, C]` scores of images for the classes whose attributes `[C, K]` are given."""

    def compare(self, predicted: Tensor, class_attributes: Tensor) -> Tensor:
        """Return `[B, C]`: predicted and class attributes, compared as the config says."""
        return class_logits(predicted, class_attributes, self.config.logits, self.config.scale)

    def setup(self, train: TrainSet) -> None:
        """Build the network from the seed, on the device."""
        if train.backbone is None:
            raise ValueError("a trained method needs a backbone")
        if (grid := train.backbone.grid) and (why := self.misfit(self.config, grid)):
            raise ValueError(why)
        self.source = train.backbone
        with torch.random.fork_rng():
            torch.manual_seed(derive_seed(self.seed, "initialisation"))
            self.network = self.build(train)
        self.network.to(device())
        if train.unseen_attributes is not None:
            self.unseen = self.table(train.unseen_attributes)

    def table(self, class_attributes: NDArray[Any]) -> Tensor:
        """Return what `losses` and `read` get of the classes, on the device."""
        return tensor(class_attributes)

    @property
    def backbone(self) -> nn.Module:
        """The pretrained part of the network."""
        return self.network.backbone  # type: ignore[return-value]

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return parameters with their learning rates: the backbone's, and all others."""
        backbone = {id(p) for p in self.backbone.parameters()}
        named = [p for p in self.network.parameters() if p.requires_grad]
        groups = (
            ([p for p in named if id(p) not in backbone], self.config.lr),
            ([p for p in named if id(p) in backbone], self.config.backbone_lr),
        )
        return [
            {"params": params, "lr": rate, "initial": rate}
            for params, rate in groups
            if params and rate > 0
        ]

    def fit(self, prepared: TrainSet, after: Mapping[str, Any] | None = None) -> Iterator[Epoch]:
        """Train, yielding at every epoch's end; go on from a checkpoint if one is given."""
        self.setup(prepared)
        self.begin()
        self.epoch = 0
        if after is not None:
            self._resume(after)
        while self.epoch < self.epochs(self.config):
            self.epoch += 1
            yield self.ended(self.epoch, self.train_epoch(prepared, self.epoch))

    def begin(self) -> None:
        """Freeze what is never trained, and make the optimiser of all else."""
        if self.config.backbone_lr == 0:
            self.backbone.requires_grad_(False)
        self.tunable = [p for p in self.backbone.parameters() if p.requires_grad]
        self.optimiser = torch.optim.AdamW(
            self.parameter_groups(), weight_decay=self.config.weight_decay
        )

    def train_epoch(self, train: TrainSet, epoch: int) -> dict[str, float]:
        """Take the steps of an epoch; return the mean of each loss."""
        torch.manual_seed(derive_seed(self.seed, "dropout", epoch))
        chance = generator(self.seed, "augmentation", epoch) if self.config.augment else None
        batches = self.batches(train.labels, epoch)
        steps = len(batches)
        table = self.table(train.class_attributes)
        totals: dict[str, Tensor] = {}
        self._train_mode(epoch)
        for step, items in enumerate(batches):
            self._set_rate((epoch - 1) * steps + step, steps * self.config.epochs)
            images = self.loaded(train.inputs[items], chance)
            labels = torch.from_numpy(train.labels[items]).to(images.device)
            for name, value in self.step(images, labels, table).items():
                totals[name] = totals.get(name, torch.zeros_like(value)) + value
        return {name: float(total) / steps for name, total in totals.items()}

    def batches(self, labels: NDArray[np.int64], epoch: int) -> NDArray[np.int64]:
        """Return the items `[steps, B]` of an epoch's steps: all images in a new order, once."""
        order = generator(self.seed, "order", epoch).permutation(len(labels))
        size = min(self.config.batch_size, len(order))
        return order[: len(order) // size * size].reshape(-1, size)

    def _train_mode(self, epoch: int) -> None:
        """Put the network in training mode, a frozen backbone in evaluation mode without gradients.

        One schedule covers all epochs: after the frozen ones, the backbone's rate is what warm-up
        and cosine make of it by then, and AdamW's averages of its gradients start.
        """
        tuned = epoch > self.config.frozen_epochs
        self.network.train()
        for parameter in self.tunable:
            parameter.requires_grad_(tuned)
        if not (tuned and self.tunable):
            self.backbone.eval()

    def step(self, images: Tensor, labels: Tensor, table: Tensor) -> dict[str, Tensor]:
        """Take one step down the sum of the losses; return them with that sum, `total`."""
        with autocast():
            losses = self.losses(images, labels, table)
        total = torch.stack(list(losses.values())).sum()
        self.optimiser.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        if self.config.clip > 0:
            parameters = [p for group in self.optimiser.param_groups for p in group["params"]]
            nn.utils.clip_grad_norm_(parameters, self.config.clip)
        self.optimiser.step()
        return {name: value.detach() for name, value in {**losses, "total": total}.items()}

    def loaded(self, batch: NDArray[Any], chance: np.random.Generator | None = None) -> Tensor:
        """Return a batch of inputs as `losses` and `logits` take them, augmented if by `chance`."""
        if self.source.kept:
            return tensor(batch)
        return normalise(batch, self.source, chance)

    def _set_rate(self, step: int, steps: int) -> None:
        warm = max(1, round(self.config.warmup * steps))
        done = (step - warm) / max(1, steps - warm)
        factor = (step + 1) / warm if step < warm else (1 + math.cos(math.pi * done)) / 2
        for group in self.optimiser.param_groups:
            group["lr"] = group["initial"] * factor

    def scores(self, batch: NDArray[Any], class_attributes: Float) -> NDArray[np.floating]:
        """Return logits `[b, C]`, batch by batch, without gradients."""
        self.network.eval()  # before the classes are read, too
        with torch.inference_mode():
            classes = self.read(self.table(class_attributes))
        (found,) = self.piecewise(batch, lambda images: (self.logits(images, classes),))
        return found

    def view(self, batch: NDArray[Any]) -> View | None:
        """Return the attention of the backbone's class token, rolled out over its layers."""
        patches, *found = self.piecewise(batch, self.look)
        kept = found.pop(0) > 0 if self.keeps else None
        return View(patches, kept, *found)

    def look(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return what `view` shows: patches `[B, N]`; the kept; attributes in each `[B, N, K]`."""
        return rolled_out(self.network.backbone, images)[:1]

    def piecewise(
        self, inputs: Inputs, function: Callable[[Tensor], Iterable[Tensor]]
    ) -> list[NDArray[np.float32]]:
        """Return what a function of images gives for any number of them, without gradients."""
        self.network.eval()
        size = self.config.batch_size
        with torch.inference_mode(), autocast():
            pieces = [
                function(self.loaded(inputs[first : first + size]))
                for first in range(0, len(inputs), size)
            ]
            return [torch.cat(part).float().cpu().numpy() for part in zip(*pieces, strict=True)]

    def checkpoint(self) -> dict[str, Any]:
        """Return all that `fit` needs to go on: plain tensors and numbers."""
        return {
            "epoch": self.epoch,
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }

    def _resume(self, after: Mapping[str, Any]) -> None:
        self.network.load_state_dict(after["network"])
        self.optimiser.load_state_dict(after["optimiser"])
        self.epoch = int(after["epoch"])


def class_logits(predicted: Tensor, table: Tensor, how: str, scale: float) -> Tensor:
    """Return `[B, C]`: scaled cosine or dot product of predicted and class attributes.

    In float32 whatever the forward pass was in: scores of bf16 would tie.
    """
    with torch.autocast(predicted.device.type, enabled=False):
        predicted, table = predicted.float(), table.float()
        if how == "cosine":
            predicted = nn.functional.normalize(predicted, dim=-1)
            table = nn.functional.normalize(table, dim=-1)
        return scale * predicted @ table.T
