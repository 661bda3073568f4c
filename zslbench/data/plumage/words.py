"""Word vectors of plumage's attributes, composed from those that papers use for CUB's.

CUB's table (word2vec, summed over the words of a name) has a row for most of plumage's attributes.
No attribute of CUB's is a tail's colour alone: "tail color black" is "tail pattern solid" less
"wing pattern solid" plus "wing color black".
"""

from collections.abc import Sequence
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from zslbench.data.plumage.attributes import ATTRIBUTE_NAMES
from zslbench.data.types import Float

FILE = "words.npy"
TAIL = "has_tail_color::"
LONGER = {"has_tail_shape": "_tail", "small": "_(5_-_9_in)", "medium": "_(9_-_16_in)",
          "large": "_(16_-_32_in)"}  # fmt: skip


def composed_of(name: str) -> dict[str, int]:
    """Return the attributes of CUB that an attribute of plumage is made of, with their signs."""
    group, _, value = name.partition("::")
    if name.startswith(TAIL):
        solid = {"has_tail_pattern::solid": 1, "has_wing_pattern::solid": -1}
        return {**solid, f"has_wing_color::{value}": 1}
    return {f"{name}{LONGER.get(value, LONGER.get(group, ''))}": 1}


def compose(table: NDArray[np.floating], names: Sequence[str]) -> NDArray[np.float16]:
    """Return `[K, 300]`, the vectors of plumage's attributes, as `words.npy` has them.

    Args:
        table: `[312, 300]` vectors of CUB's attributes, raw sums over words.
        names: The 312 names of CUB's attributes, such as `has_bill_shape::dagger`.
    """
    rows = dict(zip(names, table.astype(np.float64), strict=True))
    made = [
        sum(sign * rows[part] for part, sign in composed_of(name).items())
        for name in ATTRIBUTE_NAMES
    ]
    return np.array(made).astype(np.float16)


def plumage_words() -> Float:
    """Return `[K, 300]`: the vectors that come with the package, raw sums over words."""
    with (files("zslbench.data.plumage") / FILE).open("rb") as file:
        return np.asarray(np.load(file, allow_pickle=False), dtype=np.float64)
