"""How far the two halves of a code depend on each other, by what tells them from shuffled ones.

The density-ratio trick of FactorVAE (Kim and Mnih, ICML 2018) on two halves: SDGZSL (Chen et al.,
ICCV 2021), in its paper's form and in that of its released code.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax

Correlation = Literal["released", "ratio"]


class Discriminator(nn.Linear):
    """A layer that says of a code `[B, 2S]` how real, and how shuffled, its halves look together.

    Args:
        size: S.
        how: `ratio` judges by logits, whose difference is the log density ratio; `released` by
            their sigmoids, which then go through a softmax.
    """

    def __init__(self, size: int, how: Correlation) -> None:
        super().__init__(2 * size, 2)
        self.size, self.how = size, how

    def forward(self, code: Tensor) -> Tensor:
        """Return `[B, 2]`: how much codes look like real and like shuffled ones."""
        found = super().forward(code)
        return found.sigmoid() if self.how == "released" else found

    def correlation(self, codes: Sequence[Tensor]) -> Tensor:
        """Return by how much more codes look real: its mean over a batch, summed over codes."""
        found = map(self, codes)
        return torch.stack([(each[:, 0] - each[:, 1]).mean() for each in found]).sum()

    def loss(self, codes: Sequence[Tensor]) -> Tensor:
        """Return how badly codes are told from those whose halves are shuffled independently."""
        found = list[Tensor]()
        for code in codes:
            halves = torch.split(code, self.size, dim=1)
            mixed = torch.cat([shuffled(half) for half in halves], dim=1)
            for rows, column in ((code, 0), (mixed, 1)):
                found.append(-log_softmax(self(rows), dim=1)[:, column].mean())
        return torch.stack(found).sum()


def shuffled(rows: Tensor) -> Tensor:
    """Return the rows in another order."""
    return rows[torch.randperm(len(rows), device=rows.device)]
