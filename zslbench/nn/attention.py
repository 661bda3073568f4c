"""Attention aggregated over layers: only the class token's row.

With head-averaged attention A_l (rows sum to 1), rollout (Abnar and Zuidema, ACL 2020) is
R = B_L ... B_1 with B_l = (A_l + I) / 2; SVIP's Eq. 4, W^l = W^{l-1} + W^{l-1} T^l, multiplies in
the other order, W^L = T^1 (I + T^2) ... (I + T^L), T^l summed over heads. The class row of Eq. 4
needs no layer but the one at hand; that of rollout needs the last layer first, so it keeps all.
"""

from typing import Any, Literal

import torch
from torch import Tensor

Aggregation = Literal["rollout", "eq4", "last"]


class ClassRow:
    """Collects what one forward pass shows, and gives the class token's aggregated row.

    Args:
        how: `rollout`; `eq4`, the paper's, each row divided by its sum (as printed it reaches
            10^13); `last`, the last layer's attention alone.
    """

    def __init__(self, how: Aggregation) -> None:
        self.how = how
        self._layers: list[Tensor] = []
        self._row: Tensor | None = None

    def __call__(self, weights: Tensor) -> None:
        """Take one layer's weights `[B, heads, T, T]`; no gradient goes through them."""
        mean = weights.detach().float().mean(dim=1)
        if self.how == "rollout":
            self._layers.append(mean)
        elif self.how == "last" or self._row is None:
            self._row = mean[:, 0]
        else:
            heads = weights.shape[1]
            self._row = (self._row + heads * _row_times(self._row, mean)) / (1 + heads)

    def patches(self) -> Tensor:
        """Return `[B, T - 1]` scores of the patches."""
        row = self._row
        for mean in reversed(self._layers):
            row = (
                (mean[:, 0] + _unit(mean)) / 2 if row is None else (row + _row_times(row, mean)) / 2
            )
        if row is None:
            raise ValueError("no attention was shown")
        return row[:, 1:]


def rolled_out(backbone: Any, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rolled out attention `[B, N]` and the final tokens `[B, 1 + N, D]` of a ViT."""
    row = ClassRow("rollout")
    final = backbone.encode(backbone.tokens(backbone.embed(images)), row)
    return row.patches(), final


def _row_times(row: Tensor, matrix: Tensor) -> Tensor:
    return torch.bmm(row[:, None], matrix)[:, 0]


def _unit(matrix: Tensor) -> Tensor:
    unit = torch.zeros_like(matrix[:, 0])
    unit[:, 0] = 1.0
    return unit
