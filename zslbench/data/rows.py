"""Features as they are stored, in memory or mapped from a file, read a batch at a time."""

from collections.abc import Iterator
from functools import cached_property
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.data.types import Inputs
from zslbench.records import digest

NUMBERS = 2**22  # in a piece: 32 MiB in float64


class FeatureRows:
    """Features `[n, d]`; a batch comes in numbers to compute with, whatever they are stored in.

    float16 becomes float32 and integers float64: a sum of squares overflows in float16.

    Args:
        stored: `[n, d]` real numbers, rows contiguous.
        fine_tuned: Whether the network they are of was trained on labels of all seen classes.
    """

    def __init__(self, stored: NDArray[Any], *, fine_tuned: bool = False) -> None:
        self._stored, self.shape, self.fine_tuned = stored, stored.shape, fine_tuned
        real = stored.dtype.kind == "f"
        self._dtype = np.result_type(stored.dtype, np.float32) if real else np.dtype(np.float64)

    def __len__(self) -> int:
        return len(self._stored)

    def __getitem__(self, items: Any) -> NDArray[Any]:
        return np.asarray(self._stored[items], dtype=self._dtype)

    @cached_property
    def digest(self) -> str:
        """`content_digest` of all rows as one array, without making it."""
        content = sha256()
        for _, batch in pieces(self):
            content.update(np.ascontiguousarray(batch).data)
        return digest([[self._dtype.str, list(self.shape), content.hexdigest()]])


def pieces(inputs: Inputs, whole: int = 0) -> Iterator[tuple[slice, NDArray[Any]]]:
    """Yield all inputs in turn, piece by piece, and which they are.

    Args:
        inputs: `[n, ...]`.
        whole: How many numbers make one piece at most, if more than 2^22, which others have.
    """
    width = inputs[:1].size
    step = len(inputs) if len(inputs) * width <= max(whole, NUMBERS) else max(1, NUMBERS // width)
    for first in range(0, len(inputs), step):
        where = slice(first, first + step)
        yield where, inputs[where]
