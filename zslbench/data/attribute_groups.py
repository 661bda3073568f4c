"""Which attributes are of one kind: by their names, or as the papers list them."""

import numpy as np

from zslbench.data.types import ClassTable, Int

Kinds = tuple[tuple[tuple[int, int], ...], ...]  # of each kind the first and last of its runs
# Colour, texture, shape and size, body parts, movement, activity, food, habitat, temperament.
AWA: Kinds = (
    ((0, 7),), ((8, 13),), ((14, 17),), ((18, 33), (44, 45)), ((34, 43),), ((46, 50),),
    ((51, 62),), ((63, 77),), ((78, 84),),
)  # fmt: skip
# Functions, materials, surface and light, spatial envelope.
SUN: Kinds = (
    ((0, 35),), ((36, 73), (80, 80), (99, 99)), ((74, 79), (81, 84)), ((85, 98), (100, 101)),
)  # fmt: skip
LISTED = {"awa1": AWA, "awa2": AWA, "sun": SUN}


def attribute_groups(dataset: str, table: ClassTable) -> Int | None:
    """Return `[K]` the group of each attribute; None where they are unknown.

    The families of names like CUB's, else the kinds that GEM-ZSL (Liu et al., CVPR 2021; code at
    8486b08) lists for AwA and SUN, which give their attributes no such names.

    Args:
        dataset: Its name.
        table: Its classes.
    """
    named, kinds = table.attribute_groups, LISTED.get(dataset.casefold())
    if named is not None or kinds is None:
        return named
    members = [[k for a, b in runs for k in range(a, b + 1)] for runs in kinds]
    count = sum(map(len, members))
    if count != table.attributes.shape[1]:  # a data set of the user's that bears the name
        return None
    groups = np.empty(count, dtype=np.int64)
    for group, attributes in enumerate(members):
        groups[attributes] = group
    return groups
