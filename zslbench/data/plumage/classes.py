"""The classes: which values dominate, how often an image shows another, which habitat is theirs."""

from collections.abc import Iterator, Sequence
from hashlib import sha256
from itertools import count
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from zslbench.data.plumage.attributes import GROUPS, Group
from zslbench.data.plumage.draws import Draws, Streams
from zslbench.data.plumage.scene import HABITATS

AttributeValues = tuple[int, ...]

RESERVED_SHARE = 4
LOWEST, HIGHEST = 60, 95


class BirdClass(NamedTuple):
    """A class of birds.

    Attributes:
        dominant: For each group, the index of the value that most images show.
        percentages: `[K]`, how many images in a hundred show each attribute.
        habitat: Where its spurious images are set.
    """

    dominant: AttributeValues
    percentages: NDArray[np.int64]
    habitat: int


def describe(values: Sequence[int]) -> dict[str, str]:
    """Return group name -> name of the group's value."""
    chosen = zip(GROUPS, values, strict=True)
    return {group.name: group.values[value] for group, value in chosen}


def is_reserved(values: Sequence[int]) -> bool:
    """Say whether a combination belongs to pretraining: one in four does, whatever the seed."""
    text = ";".join(f"{group}::{value}" for group, value in describe(values).items())
    return int.from_bytes(sha256(text.encode()).digest()[:8], "big") % RESERVED_SHARE == 0


def draw_classes(number: int, streams: Streams, *, reserved: bool) -> list[BirdClass]:
    """Draw classes of which any two differ in at least two groups; fewer are the first of more.

    Args:
        number: How many.
        streams: Where they are drawn from.
        reserved: Whether all of them are reserved combinations, or none.
    """
    taken: set[tuple[int, AttributeValues]] = set()
    classes: list[BirdClass] = []
    combinations = zip(*(_dealt(group, streams) for group in GROUPS), strict=True)
    while len(classes) < number:
        values = next(combinations)
        neighbourhood = {(g, values[:g] + values[g + 1 :]) for g in range(len(values))}
        if is_reserved(values) == reserved and taken.isdisjoint(neighbourhood):
            taken |= neighbourhood
            classes.append(_draw_class(values, streams.draws("class", len(classes))))
    return classes


def _dealt(group: Group, streams: Streams) -> Iterator[int]:
    """Yield a group's values in shuffled rounds, so that none is rare."""
    for turn in count():
        yield from streams.draws("deal", group.name, turn).order(len(group.values)).tolist()


def _draw_class(values: AttributeValues, draws: Draws) -> BirdClass:
    """Give the dominant value of each group 60 to 95 %, the rest to one or two others."""
    percentages = []
    for group, value in zip(GROUPS, values, strict=True):
        share = np.zeros(len(group.values), dtype=np.int64)
        second, third = [i for i in draws.order(len(share)) if i != value][:2]
        share[value] = draws.between(LOWEST, HIGHEST)
        share[third] = (100 - share[value]) * draws.below(3) // 4
        share[second] = 100 - share.sum()
        percentages.append(share)
    return BirdClass(values, np.concatenate(percentages), draws.below(HABITATS))


def draw_values(percentages: NDArray[np.int64], draws: Draws) -> AttributeValues:
    """Draw what an image shows: for each group the index of a value, by the percentages."""
    ends = np.cumsum([len(group.values) for group in GROUPS])[:-1]
    shares = np.split(percentages, ends)
    return tuple(int(np.searchsorted(np.cumsum(s), draws.below(100), side="right")) for s in shares)
