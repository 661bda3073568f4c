"""Attention aggregated over layers: only the class token's row, nothing of size T x T kept long.

With head-averaged attention A_l (rows sum to 1), rollout (Abnar and Zuidema, ACL 2020) is
R = B_L ... B_1 with B_l = (A_l + I) / 2; SVIP's Eq. 4, W^l = W^{l-1} + W^{l-1} T^l, multiplies in
the other order, W^L = (I + T^1) ... (I + T^L). The class row of Eq. 4 needs no layer but the one at
hand; that of rollout needs the last layer first.
"""

from typing import Literal

import torch
from torch import Tensor

Aggregation = Literal["rollout", "eq4", "last"]


class ClassRow:
    """Collects what one forward pass shows, and gives the class token's aggregated row.

    Args:
        how: `rollout`; `eq4`, the paper's order with rows kept at sum 1 (as printed, heads summed,
            they reach 10^13); `last`, the last layer's attention alone.
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
        elif self.how == "last":
            self._row = mean[:, 0]
        elif self._row is None:
            first = torch.zeros_like(mean[:, 0])
            first[:, 0] = 1.0
            self._row = (first + mean[:, 0]) / 2
        else:
            self._row = (self._row + _row_times(self._row, mean)) / 2

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


def _row_times(row: Tensor, matrix: Tensor) -> Tensor:
    return torch.bmm(row[:, None], matrix)[:, 0]


def _unit(matrix: Tensor) -> Tensor:
    unit = torch.zeros_like(matrix[:, 0])
    unit[:, 0] = 1.0
    return unit
