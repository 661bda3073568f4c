"""CN-ZSL: Skorokhodov and Elhoseiny, "Class Normalization for (Continual?) Generalized Zero-Shot
Learning", ICLR 2021 (arXiv 2006.11328).

| point | paper | released code | here |
|---|---|---|---|
| class attributes | norm sqrt(K) | the same | `class_attributes` times sqrt(K) |
| embedding | K-1024-1024-D, ReLU | the same | the same, `hidden` |
| standardised over classes | by deviation | by variance + 1e-5 | `standardise`: variance |
| classes it is over | the seen ones | the same; at test running means, momentum 0.1 | the same |
| last layer's start | eq. 13 | U(+-sqrt(3 / (hidden D))) | the code's, where standardised |
| logits | cosine, gamma 5 for each side | 25 x cosine | `scale` 25 |
| optimiser | Adam 5e-4, decay 1e-4 | the same | the same |
| rate | times 0.1 from epoch 26 of 50 | the same | times 0.1 from half of `epochs` |
| epoch | the last | the last | `published`: last; `validation` chooses it |
| calibration | seen scores times 0.95, CUB 1 | the same | none in `published`, else gamma |

A factor on scores is no gamma: where a seen class's cosine is 0.8, 0.95 takes 0.04 off it, where
it is 0.2, 0.01.
"""  # noqa: D205

import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, relu

from zslbench.arithmetic import device, tensor
from zslbench.method import Epoch, Float, MethodConfig, PublishedRule, TrainSet, hyper, option
from zslbench.method.trained import NetworkMethod, class_logits
from zslbench.seeding import derive_seed, generator

MOMENTUM, EPSILON = 0.1, 1e-5


class Standardise(nn.Module):
    """Each unit minus its mean over classes, divided by its variance or deviation over them.

    Args:
        width: Number of units.
        by: What it is divided by.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, width: int, by: str) -> None:
        super().__init__()
        self.power = 1.0 if by == "variance" else 0.5
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("variance", torch.ones(width))

    def forward(self, classes: Tensor) -> Tensor:
        """Return units `[C, width]`, by running statistics outside training."""
        mean, variance = self.mean, self.variance
        if self.training:
            mean, variance = classes.mean(dim=0), classes.var(dim=0)
            self.mean.lerp_(mean.detach(), MOMENTUM)
            self.variance.lerp_(variance.detach(), MOMENTUM)
        return (classes - mean) / (variance**self.power + EPSILON)


class Network(nn.Module):
    """From class attributes to a prototype among the features."""

    def __init__(self, attributes: int, hidden: int, features: int, standardise: str) -> None:
        super().__init__()
        self.first = nn.Linear(attributes, hidden)
        self.second = nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, features)
        self.norms = nn.ModuleList()
        if standardise != "none":
            self.norms.extend(Standardise(hidden, standardise) for _ in range(2))
            reach = math.sqrt(3 / (hidden * features))
            nn.init.uniform_(self.last.weight, -reach, reach)

    def forward(self, class_attributes: Tensor) -> Tensor:
        """Return prototypes `[C, d]` of classes `[C, K]`."""
        normed = list(self.norms) or [nn.Identity(), nn.Identity()]
        hidden = relu(self.first(class_attributes * math.sqrt(class_attributes.shape[1])))
        hidden = normed[1](relu(normed[0](self.second(hidden))))
        prototypes: Tensor = relu(self.last(hidden))
        return prototypes


class CNZSL(NetworkMethod):
    """Classes embedded among the features by a small network, standardised over classes."""

    class Config(MethodConfig):
        """Config of CN-ZSL."""

        hidden: int = hyper(1024, "d_h", "hidden units", 1, 16384, log=True)
        standardise: Literal["variance", "deviation", "none"] = option(
            "variance", "CN", "divide by the variance over classes (code), its root (paper), or not"
        )
        scale: float = hyper(25.0, "gamma^2", "scale of the cosine", 0.1, 1000.0, log=True)
        epochs: int = hyper(50, "epochs", "length of the fit", 1, 1000)
        batch_size: int = hyper(256, "B", "items a step", 2, 4096)
        lr: float = hyper(
            5e-4, "eta", "learning rate, a tenth in the second half", 1e-6, 1.0, log=True
        )
        weight_decay: float = hyper(1e-4, "wd", "L2 penalty in Adam", 0.0, 1.0, log=True)

    needs = frozenset({"features"})
    published = PublishedRule(source="released notebook: the last epoch; its factor is no gamma")
    network: Network

    def setup(self, train: TrainSet) -> None:
        """Build the network from the seed, on the device."""
        with torch.random.fork_rng():
            torch.manual_seed(derive_seed(self.seed, "initialisation"))
            sizes = train.class_attributes.shape[1], self.config.hidden, train.inputs[:1].shape[1]
            self.network = Network(*sizes, self.config.standardise)
        self.network.to(device())

    def fit(self, prepared: TrainSet, after: Mapping[str, Any] | None = None) -> Iterator[Epoch]:
        """Train, yielding the mean loss at every epoch's end; that takes seconds in all."""
        self.setup(prepared)
        config, table = self.config, tensor(prepared.class_attributes)
        optimiser = torch.optim.Adam(
            self.network.parameters(), lr=config.lr, weight_decay=config.weight_decay
        )
        for epoch in range(1, config.epochs + 1):
            if epoch == config.epochs // 2 + 1:
                optimiser.param_groups[0]["lr"] = config.lr / 10
            order = generator(self.seed, "order", epoch).permutation(len(prepared.labels))
            total = 0.0
            self.network.train()
            for items in np.array_split(order, -(-len(order) // config.batch_size)):
                labels = torch.from_numpy(prepared.labels[items]).to(device())
                loss = cross_entropy(self.logits(prepared.inputs[items], table), labels)
                optimiser.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                total += float(loss.detach()) * len(items)
            yield self.ended(epoch, {"classes": total / len(order)})

    def logits(self, features: NDArray[Any], class_attributes: Tensor) -> Tensor:
        """Return scaled cosines `[b, C]` of features `[b, d]` and prototypes of classes."""
        prototypes = self.network(class_attributes)
        return class_logits(tensor(features), prototypes, "cosine", self.config.scale)

    def scores(self, batch: NDArray[Any], class_attributes: Float) -> NDArray[np.floating]:
        """Return scaled cosines `[b, C]`."""
        self.network.eval()
        with torch.inference_mode():
            found: NDArray[np.float32] = self.logits(batch, tensor(class_attributes)).cpu().numpy()
        return found
