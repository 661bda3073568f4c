"""Where a method looks, scored against the true parts. Pure numpy.

Only data whose parts are known (`Dataset.parts`) allow this: is a patch that the method keeps one
that shows the object, and does the patch in which it sees an attribute most show the part that
bears it? Nothing here depends on class labels, and nothing of it is used to choose anything.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zslbench.data.types import PartTruth
from zslbench.metrics import Bool, Int

ON_OBJECT = 0.25


@dataclass(frozen=True)
class View:
    """Where a method looks, in b images on a grid of N patches.

    Attributes:
        patches: `[b, N]`, the higher the more the patch matters.
        kept: `[b, N]` which patches are kept as semantic, where the method selects.
        attributes: `[b, N, K]` how much of each attribute is seen where, where it localises them.
    """

    patches: NDArray[np.floating]
    kept: NDArray[np.bool_] | None = None
    attributes: NDArray[np.floating] | None = None


def score_view(view: View, parts: PartTruth, items: Int) -> dict[str, float]:
    """Return how well a view of some items agrees with their parts, in percent.

    * `patch_auc`: the chance that a patch on the object outranks one off it; 50 is blind. A patch
      is on the object if that covers a quarter of it.
    * `patch_precision`: the share of kept patches that are on the object; `_random`: of all
      patches; `_best`: of the best as many.
    * `attribute_hit`: over images and the attributes they show, how often the patch with the
      highest response shows the bearing part; `_random`: a random patch. Attributes of the whole
      object are left out.

    `_centre` is what one gets without looking, by nearness to the middle of the image.
    """
    grid = round(view.patches.shape[1] ** 0.5)
    whole = parts.part_maps[items] > 0
    found = score_patch_choice(view, _share(whole, grid) >= ON_OBJECT)
    if view.attributes is not None:
        found |= _attribute_hits(view.attributes, parts, items, whole, grid)
    return found


def score_patch_choice(view: View, on_object: Bool) -> dict[str, float]:
    """Return how well patches are ranked and kept, given which `[b, N]` are on the object.

    See `score_view` for their names.
    """
    grid = round(view.patches.shape[1] ** 0.5)
    nearness = np.broadcast_to(_nearness(grid), view.patches.shape)
    found = {
        "patch_auc": _auc(view.patches, on_object),
        "patch_auc_centre": _auc(nearness, on_object),
    }
    if view.kept is not None:
        found["patch_precision"] = 100 * float(on_object[view.kept].mean())
        found["patch_precision_random"] = 100 * float(on_object.mean())
        best = np.minimum(on_object.sum(axis=1), view.kept.sum(axis=1))
        found["patch_precision_best"] = 100 * float(best.sum() / view.kept.sum())
    return found


def _nearness(grid: int) -> NDArray[np.float64]:
    """Return `[grid * grid]`: minus the squared distance of each patch from the middle."""
    steps = np.arange(grid) - (grid - 1) / 2
    nearness: NDArray[np.float64] = -(steps[:, None] ** 2 + steps**2).ravel()
    return nearness


def _share(mask: Bool, grid: int) -> NDArray[np.float64]:
    """Return the share of each patch that a mask `[b, S, S]` covers: `[b, grid * grid]`."""
    b, size, _ = mask.shape
    side = size // grid
    blocks = mask.reshape(b, grid, side, grid, side)
    share: NDArray[np.float64] = blocks.mean(axis=(2, 4), dtype=np.float64)
    return share.reshape(b, grid * grid)


def _auc(scores: NDArray[np.floating], positive: Bool) -> float:
    """Return the mean over images of the area under the ROC curve, in percent; ties count half."""
    from scipy.stats import rankdata

    ranks = rankdata(scores, axis=1)
    count = positive.sum(axis=1)
    others = positive.shape[1] - count
    usable = (count > 0) & (others > 0)
    wins = (ranks * positive).sum(axis=1) - count * (count + 1) / 2
    return 100 * float(np.mean(wins[usable] / (count * others)[usable]))


def _attribute_hits(
    maps: NDArray[np.floating], parts: PartTruth, items: Int, whole: Bool, grid: int
) -> dict[str, float]:
    winners, rows = maps.argmax(axis=1), np.arange(len(items))
    middle = int(_nearness(grid).argmax())
    hits, chances, central = [], [], []
    for attribute in range(maps.shape[2]):
        mask = parts.mask(attribute, items)
        if np.array_equal(mask, whole):
            continue
        bearing = _share(mask, grid) > 0
        counted = parts.shows(attribute)[items] & bearing.any(axis=1)
        hits.append(bearing[rows, winners[:, attribute]][counted])
        chances.append(bearing.mean(axis=1)[counted])
        central.append(bearing[counted, middle])
    return {
        "attribute_hit": 100 * float(np.concatenate(hits).mean()),
        "attribute_hit_random": 100 * float(np.concatenate(chances).mean()),
        "attribute_hit_centre": 100 * float(np.concatenate(central).mean()),
    }
