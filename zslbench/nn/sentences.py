"""What several sentences of a class come to (Radford et al., ICML 2021, section 3.1.4)."""

from typing import Any

from pydantic import Field
from torch import Tensor, nn

TEMPLATE: Any = Field(
    default="a photo of a {}.", pattern=r"^[^{}]*\{\}[^{}]*$",
    description="prompt around each sentence, which takes the place of {}",
    json_schema_extra={"symbol": "prompt"},
)  # fmt: skip


def unit(rows: Tensor) -> Tensor:
    """Return rows of length 1, in float32."""
    return nn.functional.normalize(rows.float(), dim=-1)


def ensemble(pooled: Tensor, owners: Tensor, count: int) -> Tensor:
    """Return `[C, D]`: unit vectors along each class's mean of its sentences' unit vectors.

    Args:
        pooled: `[n, D]` text features.
        owners: `[n]` the class of each.
        count: C.
    """
    rows = unit(pooled)
    return unit(nn.functional.one_hot(owners, count).to(rows).T @ rows)
