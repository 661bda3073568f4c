"""Integer random draws that are the same on every platform and numpy version.

Only raw words of PCG64 are used: numpy guarantees a bit generator's stream for ever, that of
`Generator`'s methods from one version to the next only.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from zslbench.seeding import derive_seed


class Draws:
    """The stream of one purpose of one seed."""

    def __init__(self, seed: int, *purpose: str | int) -> None:
        self._bits = np.random.PCG64(derive_seed(seed, *purpose))

    def below(self, count: int) -> int:
        """Return one of 0..count-1; the modulo's bias is below `count` / 2^64."""
        return int(self._bits.random_raw()) % count

    def between(self, low: int, high: int) -> int:
        """Return one of low..high, both included."""
        return low + self.below(high - low + 1)

    def order(self, count: int) -> NDArray[np.int64]:
        """Return a permutation of 0..count-1."""
        words = np.asarray(self._bits.random_raw(count))
        return np.argsort(words, kind="stable").astype(np.int64)

    def bytes(self, *shape: int) -> NDArray[np.int64]:
        """Return an array of that shape with values 0..255; its size is a multiple of 8."""
        words = np.asarray(self._bits.random_raw(int(np.prod(shape)) // 8))
        return words.astype("<u8").view(np.uint8).reshape(shape).astype(np.int64)


class Streams(NamedTuple):
    """All the streams of one seed and purpose, told apart by what is drawn from them."""

    seed: int
    purpose: tuple[str | int, ...]

    def of(self, *purpose: str | int) -> "Streams":
        """Return the streams of a narrower purpose."""
        return Streams(self.seed, self.purpose + purpose)

    def draws(self, *purpose: str | int) -> Draws:
        """Return one stream, at its beginning."""
        return Draws(self.seed, *self.purpose, *purpose)
