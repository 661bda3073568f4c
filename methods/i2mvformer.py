"""I2MVFormer: Naeem et al., "I2MVFormer: Large Language Model Generated Multi-View Document
Supervision for Zero-Shot Image Classification", CVPR 2023 (arXiv 2212.02291).

| point | paper | released code | here |
|---|---|---|---|
| views of a class | by a language model, Wiki | four, not shipped | documents of `--descriptions` |
| where it has one document | - | - | each of its sentences is a view |
| summary of a view | transformer, learnt tokens | 1 + 64, depth 2 | `summary_tokens`, `depth` |
| document of a class | class tokens of its views | their mean | the same |
| summary of all views | the same over the views' summaries | 64 tokens, depth 2 | the same |
| local score | patches attend to that summary | attention pooling of patches, linear | the same |
| networks of tokens | - | images 3 layers, words 2 | I2DFormer's |
| all else | as I2DFormer | the same | as I2DFormer here |

On plumage, sentences made of attributes serve: six attributes a view. Released code was read for
facts alone; it does not run as it is.
"""  # noqa: D205

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from zslbench.backbones.image_text import ImageText
from zslbench.method import TrainSet
from zslbench.method.settings import hyper

from .i2dformer import Config as DocumentConfig
from .i2dformer import I2DFormer, LocalScore, Summary
from .i2dformer import Network as DocumentNetwork


class Config(DocumentConfig):
    """Config of I2MVFormer."""

    summary_tokens: int = hyper(64, "n", "tokens that sum up a view, and all views", 1, 1024)


class PooledScore(LocalScore):
    """A local score of patches that a learnt query pools, in place of their mean."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.query = nn.Parameter(torch.zeros(width))
        self.pool_keys, self.pool_values = (nn.Linear(width, width) for _ in range(2))
        self.refine = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(),
            nn.Linear(4 * width, width),
        )  # fmt: skip

    def pooled(self, attention: Tensor, values: Tensor) -> Tensor:
        """Return `[B, C, r]` of what each patch attends to, `[B, C, N, T]`."""
        found = self.out(torch.einsum("bcnt,ctr->bcnr", attention, values))
        share = (self.pool_keys(found) @ self.query / len(self.query) ** 0.5).softmax(dim=-1)
        pooled = torch.einsum("bcn,bcnr->bcr", share, self.pool_values(found))
        refined: Tensor = pooled + self.refine(pooled)
        return refined


class Network(DocumentNetwork):
    """I2DFormer's, for several documents of a class."""

    def __init__(self, backbone: ImageText, config: Any) -> None:
        super().__init__(backbone, config, 1 + config.summary_tokens, PooledScore)
        self.all_views = Summary(config.width, config.summary_tokens, config.depth)

    def read(self, table: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return documents `[C, r]`, their summaries `[C, n, r]`, and that all are there `[C, n]`.

        Args:
            table: `[C, V, T, D]` tokens, zeros where a view is shorter than others, or none.
        """
        words = table.any(dim=-1)
        count = len(self.all_views.tokens)
        views = self.summary(self.documents(table.flatten(0, 1)), words.flatten(0, 1))
        views, there = views[:, : 1 + count].unflatten(0, table.shape[:2]), words.any(dim=-1)
        documents = (views[:, :, 0] * there[..., None]).sum(dim=1) / there.sum(dim=1, keepdim=True)
        told = there[..., None].expand(-1, -1, count).flatten(1)
        summaries = self.all_views(views[:, :, 1:].flatten(1, 2), told)[:, :count]
        return documents, summaries, torch.ones_like(summaries[..., 0], dtype=torch.bool)


class I2MVFormer(I2DFormer):
    """I2DFormer with several documents of a class, summed up one by one and together."""

    Config = Config
    network: Network
    version = 1

    def build(self, train: TrainSet) -> nn.Module:
        """Return the network around the frozen pair."""
        return Network(self.source.build(), self.config)

    def table(self, class_attributes: NDArray[Any]) -> Tensor:
        """Return the words `[C, V, T, D]` of a class's documents `[C, V, S]`, or sentences."""
        views = class_attributes.reshape(*class_attributes.shape[:2], -1)
        words = self.words_of(views.reshape(-1, views.shape[2]))
        return words.reshape(*views.shape[:2], *words.shape[1:])
