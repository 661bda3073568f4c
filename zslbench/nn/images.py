"""Decoded images as networks take them: normalised, and augmented in training."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from zslbench.arithmetic import device
from zslbench.data.types import BackboneSource

FLIP, SHIFT = 0.5, 0.07


def normalise(
    batch: NDArray[Any], source: BackboneSource, chance: np.random.Generator | None = None
) -> Tensor:
    """Return a batch `[b, h, w, 3]` uint8 as the backbone's floats `[b, 3, h, w]`, on the device.

    Args:
        batch: Decoded images.
        source: Whose mean and deviation to use.
        chance: Augments the images if given.
    """
    images = torch.from_numpy(np.ascontiguousarray(batch)).to(device()).permute(0, 3, 1, 2)
    if chance is not None:
        images = augment(images, chance)
    mean, deviation = (
        torch.tensor(value, device=images.device)[:, None, None]
        for value in (source.mean, source.deviation)
    )
    return (images.float() / 255 - mean) / deviation


def augment(images: Tensor, chance: np.random.Generator) -> Tensor:
    """Flip each image at random and shift it by up to 7 % (zeros flow in): `[b, 3, h, w]` uint8."""
    b, _, h, w = images.shape
    flips = torch.from_numpy(chance.random(b) < FLIP).to(images.device)
    images = torch.where(flips[:, None, None, None], images.flip(-1), images)
    reach = round(SHIFT * h)
    offsets = torch.from_numpy(chance.integers(0, 2 * reach + 1, (2, b))).to(images.device)
    padded = nn.functional.pad(images, (reach, reach, reach, reach))
    rows = (offsets[0][:, None] + torch.arange(h, device=images.device))[:, None, :, None]
    columns = (offsets[1][:, None] + torch.arange(w, device=images.device))[:, None, None, :]
    batch = torch.arange(b, device=images.device)[:, None, None, None]
    channels = torch.arange(3, device=images.device)[None, :, None, None]
    return padded[batch, channels, rows, columns]
