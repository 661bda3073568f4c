"""What can be said of a bird: groups of attributes like CUB's, and the part that bears each."""

from enum import IntEnum
from math import prod
from typing import NamedTuple

import numpy as np

from zslbench.data.types import ANY_PART

Rgb = tuple[int, int, int]


class Part(IntEnum):
    """What a pixel of a part map shows; `WHOLE_BIRD` is no pixel's value but any part's."""

    NONE = 0
    CROWN = 1
    WING = 2
    BREAST = 3
    TAIL = 4
    BILL = 5
    LEG = 6
    BODY = 7
    EYE = 8
    WHOLE_BIRD = ANY_PART


PART_NAMES = {int(p): p.name.lower() for p in Part if p not in (Part.NONE, Part.WHOLE_BIRD)}


class Group(NamedTuple):
    """Attributes of which every bird has exactly one."""

    name: str
    values: tuple[str, ...]
    part: Part


COLORS: dict[str, Rgb] = {
    "black": (38, 36, 42),
    "white": (242, 240, 234),
    "red": (206, 44, 40),
    "yellow": (242, 202, 44),
    "green": (58, 146, 66),
    "blue": (44, 92, 196),
}
_FEATHERS = tuple(COLORS)
_BARE = ("black", "red", "yellow", "blue")
_PATTERNS = ("solid", "striped", "spotted")

GROUPS = (
    Group("has_crown_color", _FEATHERS, Part.CROWN),
    Group("has_wing_color", _FEATHERS, Part.WING),
    Group("has_breast_color", _FEATHERS, Part.BREAST),
    Group("has_tail_color", _FEATHERS, Part.TAIL),
    Group("has_bill_color", _BARE, Part.BILL),
    Group("has_leg_color", _BARE, Part.LEG),
    Group("has_wing_pattern", _PATTERNS, Part.WING),
    Group("has_breast_pattern", _PATTERNS, Part.BREAST),
    Group("has_bill_shape", ("cone", "dagger", "hooked"), Part.BILL),
    Group("has_tail_shape", ("squared", "forked", "pointed"), Part.TAIL),
    Group("has_size", ("small", "medium", "large"), Part.WHOLE_BIRD),
)
ATTRIBUTE_NAMES = tuple(f"{group.name}::{value}" for group in GROUPS for value in group.values)
ATTRIBUTE_GROUP = np.repeat(np.arange(len(GROUPS)), [len(group.values) for group in GROUPS])
ATTRIBUTE_VALUE = np.concatenate([np.arange(len(group.values)) for group in GROUPS])
ATTRIBUTE_PART = np.array([GROUPS[group].part for group in ATTRIBUTE_GROUP], dtype=np.int64)
COMBINATIONS = prod(len(group.values) for group in GROUPS)
