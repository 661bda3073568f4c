"""Whether a method looks at the right part of a bird, by the rule of APN's released code. Numpy.

For each family of attributes (bill colour, wing pattern) the place of the attribute with the
highest predicted value is the best patch of its map. A box of a quarter of the bird's width and
height is put there, the same box at the nearest visible key point of the part that bears the
family; the part is found if their intersection over union exceeds one half. Mean over the families
of an image, then over images, then over parts; the tail stays outside the mean.

Source: wenjiaXu/APN-ZSL 95d5c9b, `model/CAM_utils.py` and `model/main_utils.py`, the families by
`attri_groups_8_layer.json`. Three departures: boxes are not rounded to whole pixels; a patch's
place is its middle, also at the left and upper edge, where the first maximum of a map resized by
OpenCV is the corner of the image; and the predicted values are those that a method scores by, where
APN's code takes its local part's, which score nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zslbench.data.types import BirdTruth
from zslbench.metrics import Float, Int

POINTS = {
    "head": ("beak", "crown", "forehead", "left eye", "right eye", "nape"),
    "breast": ("breast", "throat"),
    "belly": ("belly",),
    "back": ("back",),
    "wing": ("left wing", "right wing"),
    "leg": ("left leg", "right leg"),
    "tail": ("tail",),
}
OUTSIDE = "tail"
FAMILIES = {
    "head": ("bill_color", "eye_color", "crown_color", "forehead_color", "bill_length",
             "bill_shape", "nape_color", "head_pattern"),
    "breast": ("throat_color", "breast_pattern", "breast_color"),
    "belly": ("underparts_color", "belly_color", "belly_pattern"),
    "back": ("upperparts_color", "back_pattern", "back_color"),
    "wing": ("wing_pattern", "wing_color", "wing_shape"),
    "leg": ("leg_color",),
    "tail": ("tail_shape", "tail_pattern", "upper_tail_color", "under_tail_color"),
}  # fmt: skip
PARTS = {f"has_{family}": part for part, names in FAMILIES.items() for family in names}
LATTICE = 16


@dataclass(frozen=True)
class PartScores:
    """How often parts are found, in percent.

    Attributes:
        parts: Of each part that some image shows and some family describes.
    """

    parts: Mapping[str, float]

    @property
    def mean(self) -> float:
        """Over parts, the tail left out."""
        return float(np.mean([found for part, found in self.parts.items() if part != OUTSIDE]))


def families_of(attribute_names: Sequence[str]) -> dict[str, Int]:
    """Return the families that a part bears, with the numbers of their attributes."""
    names = [name.partition("::")[0] for name in attribute_names]
    numbers = {name: [k for k, n in enumerate(names) if n == name] for name in names}
    return {name: np.array(found) for name, found in numbers.items() if name in PARTS}


def best_patches(
    maps: NDArray[np.floating], predicted: NDArray[np.floating], families: Mapping[str, Int]
) -> Int:
    """Return `[b, F]`: for each family the best patch of its highest-predicted attribute.

    Args:
        maps: `[b, N, K]` how much of each attribute is seen in each patch.
        predicted: `[b, K]` the value predicted for each attribute.
        families: F names, and the numbers of their attributes.
    """
    rows = np.arange(len(maps))
    chosen = [members[predicted[:, members].argmax(axis=1)] for members in families.values()]
    return np.stack([maps[rows, :, k].argmax(axis=1) for k in chosen], axis=1)


def score_patches(patches: Int, grid: int, families: Sequence[str], birds: BirdTruth) -> PartScores:
    """Return how often the patches `[n, F]`, one a family, of a grid are on the parts."""
    places = middles(grid, birds.size)[patches]
    bearers = np.array([PARTS[name] for name in families])
    borne = [part for part in POINTS if part in bearers]
    return _scored({part: places[:, bearers == part] for part in borne}, birds)


def references(grid: int, parts: Sequence[str], birds: BirdTruth) -> dict[str, PartScores]:
    """Return what is found without looking, and the most that a grid allows.

    * `random`: any place of the image; `random on the bird`: of its box (means over a lattice).
    * `centre`: the middle of the image.
    * `ceiling`: the best patch of the grid. Only methods of one grid can be compared.
    """
    lattice = middles(LATTICE, birds.size)
    corners, sides = birds.boxes[:, None, :2], birds.sides[:, None]
    middle = np.array([[birds.size / 2] * 2])
    anywhere = {
        "random": lattice[None],
        "random on the bird": corners + lattice / birds.size * sides,
        "centre": middle[None],
    }
    found = {n: _scored(dict.fromkeys(parts, p), birds) for n, p in anywhere.items()}
    best = _scored(dict.fromkeys(parts, middles(grid, birds.size)[None]), birds, best=True)
    return {**found, "ceiling": best}


def boxed(grid: int, birds: BirdTruth) -> Float:
    """Return `[n, N]`: the share of each patch that lies in the bird's box."""
    side = birds.size / grid
    starts = np.arange(grid) * side
    low, high = birds.boxes[:, None, :2], birds.boxes[:, None, 2:]
    ends = np.minimum(starts[:, None] + side, high)
    across = np.clip(ends - np.maximum(starts[:, None], low), 0, None) / side
    share: Float = across[:, :, None, 1] * across[:, None, :, 0]
    return share.reshape(len(birds.boxes), grid**2)


def middles(grid: int, size: int) -> Float:
    """Return `[N, 2]`: x and y of the middle of each patch, row by row."""
    steps = (np.arange(grid) + 0.5) * size / grid
    return np.stack([np.tile(steps, grid), np.repeat(steps, grid)], axis=1)


def _scored(places: Mapping[str, Float], birds: BirdTruth, *, best: bool = False) -> PartScores:
    """Score places `[n or 1, L, 2]` of each part: their mean in an image, or the best of them."""
    found = {}
    for part, where in places.items():
        points = birds.points[:, [name in POINTS[part] for name in birds.names]]
        shown = np.asarray(np.isfinite(points[..., 0]).any(axis=1))
        if shown.any():
            hits = _hits(np.broadcast_to(where, (len(points), *where.shape[1:])), points, birds)
            each = np.asarray(hits.any(axis=1) if best else hits.mean(axis=1))
            found[part] = 100 * float(each[shown].mean())
    return PartScores(found)


def _hits(places: Float, points: Float, birds: BirdTruth) -> NDArray[np.bool_]:
    """Return `[n, L]`: whether the box at a place agrees with the one at the nearest point."""
    apart = ((places[:, :, None] - points[:, None]) ** 2).sum(axis=3)
    nearest = np.where(np.isfinite(apart), apart, np.inf).argmin(axis=2)
    point = np.take_along_axis(points, nearest[..., None], axis=1)
    box = birds.sides[:, None] / 4
    low, high = box / 2, birds.size - box / 2  # a box that reaches out of the image is moved in
    offset = np.abs(np.clip(places, low, high) - np.clip(point, low, high))
    shared = np.clip(box - offset, 0, None).prod(axis=2)
    return np.asarray(shared / (2 * box.prod(axis=2) - shared) > 0.5)
