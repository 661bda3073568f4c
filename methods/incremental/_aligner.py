"""A frozen pair with a projector for each task: what SPA trains, and what it remembers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from zslbench.arithmetic import tensor
from zslbench.backbones.image_text import ImageText
from zslbench.method import Inputs, TrainSet
from zslbench.method.trained import TrainedMethod
from zslbench.nn.sentences import unit
from zslbench.nn.transport import even, plans

BLOCK = 32  # images whose patches are held against all classes at once


class Bag(NamedTuple):
    """Images, or pseudo-features in their place: pooled `[B, D]` and patches `[B, n, D]`."""

    pooled: Tensor
    patches: Tensor


def bag(features: Tensor) -> Bag:
    """Return a pair's pooled tokens and patches `[B, 1 + N, D]` apart."""
    return Bag(features[:, 0], features[:, 1:])


@dataclass
class Memory:
    """All that is known of the classes; k phrases a class.

    Attributes:
        spans: `[t + 1]` where each task's classes begin, and where the last one's end.
        heads: `[C, D]` mean sentences.
        tokens: `[C, k, D]` phrases.
        projectors: `[t', D, D]`, of the tasks learnt.
        means: `[C', 1 + k, D]` of the classes learnt: the pooled token, then carried patches.
        deviations: Likewise.
    """

    spans: Tensor = field(default_factory=lambda: torch.zeros(1, dtype=torch.long))
    heads: Tensor = field(default_factory=lambda: torch.empty(0))
    tokens: Tensor = field(default_factory=lambda: torch.empty(0))
    projectors: Tensor = field(default_factory=lambda: torch.empty(0))
    means: Tensor = field(default_factory=lambda: torch.empty(0))
    deviations: Tensor = field(default_factory=lambda: torch.empty(0))

    @classmethod
    def of(cls, state: Mapping[str, NDArray[Any]], device: torch.device) -> "Memory":
        """Return it from named arrays."""
        return cls(**{name: torch.from_numpy(a).to(device) for name, a in state.items()})

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return it as named arrays."""
        return {name: value.cpu().numpy() for name, value in vars(self).items()}


class Network(nn.Module):
    """The pair, and the projectors of all tasks: residual linear maps that begin as nothing."""

    def __init__(self, pair: ImageText, tasks: int) -> None:
        super().__init__()
        self.backbone = pair
        made = [nn.Linear(pair.width, pair.width, bias=False) for _ in range(tasks)]
        for projector in made:
            nn.init.zeros_(projector.weight)
        self.projectors = nn.ModuleList(made)


class Aligner(TrainedMethod):
    """Trains the last task's projector on images and on pseudo-features of all older classes.

    Attributes:
        pair: The frozen pair, built once for all tasks.
    """

    pair: ImageText
    memory: Memory
    network: Network

    def build(self, train: TrainSet) -> nn.Module:
        """Return the pair with a projector for each task of the memory."""
        network = Network(self.pair, len(self.memory.spans) - 1)
        for projector, weight in zip(network.projectors, self.memory.projectors, strict=False):
            assert isinstance(projector, nn.Linear)
            projector.weight.data.copy_(weight)
            projector.requires_grad_(False)
        return network

    def losses(self, images: Tensor, labels: Tensor, class_attributes: Tensor) -> dict[str, Tensor]:
        """Return cross-entropies over all classes known: of images, and of pseudo-features."""
        logits = self.of_bag(bag(images))
        found = {"classes": nn.functional.cross_entropy(logits, labels)}
        old = len(self.memory.means)
        if self.config.calibration and old:
            drawn = torch.randint(old, (len(labels),), device=labels.device)
            found["calibration"] = nn.functional.cross_entropy(self.of_bag(self.draw(drawn)), drawn)
        return found

    def logits(self, images: Tensor, class_attributes: Tensor) -> Tensor:
        """Return scores of images over all classes known."""
        return self.of_bag(bag(images))

    def loaded(self, batch: NDArray[Any], chance: np.random.Generator | None = None) -> Tensor:
        """Return images' features `[B, 1 + N, D]`, which were taken before."""
        return tensor(batch)

    def draw(self, classes: Tensor) -> Bag:
        """Return pseudo-features of some classes `[B]`, from their Gaussians."""
        means, deviations = self.memory.means[classes], self.memory.deviations[classes]
        drawn = unit(means + deviations * torch.randn_like(means))
        return Bag(drawn[:, 0], drawn[:, 1:])

    def of_bag(self, bag: Bag) -> Tensor:
        """Return `[B, C]`: each task's classes scored through that task's projector."""
        ends = self.memory.spans.tolist()
        spans = zip(self.network.projectors, ends, ends[1:], strict=False)
        with torch.autocast(bag.pooled.device.type, enabled=False):  # near cosines would tie
            parts = [self._of_task(bag, part, slice(first, end)) for part, first, end in spans]
        scores: Tensor = self.network.backbone.logit_scale.detach() * torch.cat(parts, dim=1)
        return scores

    def _of_task(self, bag: Bag, project: Callable[[Tensor], Tensor], mine: slice) -> Tensor:
        heads, tokens, mix = self.memory.heads[mine], self.memory.tokens[mine], self.config.mix
        pooled: Tensor = unit(bag.pooled + project(bag.pooled)) @ heads.T
        if mix == 1:
            return pooled
        chosen = select(bag.patches, tokens, self.config.patches)
        patches = unit(chosen + project(chosen))
        local = [self._aligned(part, tokens) for part in torch.split(patches, BLOCK)]
        scores: Tensor = mix * pooled + (1 - mix) * torch.cat(local)
        return scores

    def _aligned(self, patches: Tensor, tokens: Tensor) -> Tensor:
        """Return `[b, c]`: cosines of patches `[b, m, D]` and phrases `[c, k, D]`, by the plan."""
        cosines = torch.einsum("bmd,ckd->bcmk", patches, tokens)
        problems = cosines.flatten(0, 1)
        scores = (self.plan(problems) * problems).sum(dim=(1, 2))
        return scores.reshape(cosines.shape[:2])

    def plan(self, cosines: Tensor) -> Tensor:
        """Return the plans `[P, m, k]` that the config asks for."""
        config = self.config
        if not config.transport:
            return even(cosines)
        return plans(cosines, config.epsilon, config.iterations)

    def remember(self, features: Inputs, number: int) -> tuple[Tensor, Tensor]:
        """Return mean and deviation `[1 + k, D]` of a class's images, before projection."""
        tokens = self.memory.tokens[number]

        def carried(images: Tensor) -> tuple[Tensor]:
            pooled, patches = bag(images)
            with torch.autocast(patches.device.type, enabled=False):
                chosen = select(patches, tokens[None], self.config.patches)
                plan = self.plan(torch.einsum("bmd,kd->bmk", chosen, tokens))
                moved = unit(plan.transpose(1, 2) @ chosen)
            return (torch.cat([pooled[:, None], moved], dim=1),)

        (found,) = self.piecewise(features, carried)
        mean, variance = found.mean(axis=0), found.var(axis=0)
        level = variance.mean(axis=1, keepdims=True)
        shrunk = (1 - self.config.shrink) * variance + self.config.shrink * level
        where = tokens.device
        return torch.from_numpy(mean).to(where), torch.from_numpy(np.sqrt(shrunk)).to(where)


def select(patches: Tensor, tokens: Tensor, count: int) -> Tensor:
    """Return the `count` patches of each image `[B, N, D]` that say most of any phrase.

    Args:
        patches: Of length 1.
        tokens: `[c, k, D]` of length 1.
        count: Where there are no more than that, all are returned.
    """
    if patches.shape[1] <= count:
        return patches
    relevance = (patches @ tokens.flatten(0, 1).T).amax(dim=2)
    chosen = relevance.topk(count, dim=1).indices
    return patches.gather(1, chosen[:, :, None].expand(-1, -1, patches.shape[2]))
