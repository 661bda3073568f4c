"""What methods share that compare images with the sentences of a class."""

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from zslbench.method import option
from zslbench.nn.sentences import unit

SENTENCES: Any = option("sentences", "t", "classes are told by their descriptions")


def sentences_of(table: NDArray[Any]) -> tuple[list[str], Tensor]:
    """Return the n sentences of a table `[C, ...]`, without empty ones, and the class of each."""
    pairs = [(str(text), row) for row, texts in enumerate(table) for text in texts.flat if text]
    return [text for text, _ in pairs], torch.tensor([row for _, row in pairs])


def cosine_logits(images: Tensor, classes: Tensor, scale: Tensor) -> Tensor:
    """Return `[B, C]` scaled cosines of image features `[B, D]` and unit vectors, in float32."""
    with torch.autocast(images.device.type, enabled=False):
        return scale.float() * unit(images) @ classes.T
