"""Where a fitted method looks, held against the parts of the objects, which it never gets."""

from collections.abc import Callable
from dataclasses import dataclass
from math import isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.data.types import BirdTruth, Dataset, Int
from zslbench.method import Method
from zslbench.metrics.localisation import ON_OBJECT, View, score_patch_choice, score_view
from zslbench.metrics.part_boxes import (
    PartScores,
    best_patches,
    boxed,
    families_of,
    references,
    score_patches,
)
from zslbench.protocol.worlds import World

BATCH = 128
RUN = "this run"
BESIDE = {"_random": "random", "_centre": "centre", "_best": "ceiling"}


@dataclass(frozen=True)
class Looked:
    """Where a method looks in n photos of unseen classes.

    Attributes:
        view: Its patches and those it keeps.
        best: `[n, F]` the best patch of each family of attributes, where it localises attributes.
        families: F names, and the numbers of their attributes.
        birds: Where the birds are.
    """

    view: View
    best: Int | None
    families: dict[str, Int]
    birds: BirdTruth

    @property
    def grid(self) -> int:
        """Patches along a side."""
        return isqrt(self.view.patches.shape[1])

    def patches(self) -> dict[str, float]:
        """Return how well patches are ranked and kept; see `score_patch_choice`."""
        return score_patch_choice(self.view, boxed(self.grid, self.birds) >= ON_OBJECT)

    def parts(self) -> dict[str, PartScores]:
        """Return how often parts are found: by the run, if it localises attributes, and by none."""
        if self.best is None:
            return {}
        found = score_patches(self.best, self.grid, tuple(self.families), self.birds)
        return {RUN: found, **references(self.grid, tuple(found.parts), self.birds)}

    def scores(self) -> dict[str, float]:
        """Return both in percent, as `score_view` names them; `part_hit` is the mean over parts.

        `part_hit_best` is the most that the grid allows: only equal grids can be compared.
        """
        parts = self.parts()
        names = {"": RUN, **BESIDE} if parts else {}
        return self.patches() | {f"part_hit{end}": parts[n].mean for end, n in names.items()}


def localise(model: Method, world: World) -> dict[str, float]:
    """Return how well the method looks where the parts of the test items are, if that is known."""
    data = world.dataset
    if data.parts is not None:
        view = model.view(data.inputs[world.test])
        return score_view(view, data.parts, world.test) if view is not None else {}
    looked = look_at_birds(model, data)
    return looked.scores() if looked is not None else {}


def look_at_birds(
    model: Method, data: Dataset, tick: Callable[[int, int], None] = lambda *_: None
) -> Looked | None:
    """Ask a method where it looks in the photos of unseen classes; None if nothing is known.

    Args:
        model: Fitted.
        data: Its data.
        tick: Called with how many batches are done, and of how many.
    """
    if data.birds is None:
        return None
    items, families = data.splits.test_unseen, families_of(data.classes.attribute_names)
    views, best = [], []
    batches = np.array_split(items, -(-len(items) // BATCH))
    for done, batch in enumerate(batches, start=1):
        images = data.inputs[batch]
        if (view := model.view(images)) is None:
            return None
        views.append(View(view.patches, view.kept))
        if view.attributes is not None and families:
            predicted = predicted_attributes(model, images, view.attributes.shape[2])
            best.append(best_patches(view.attributes, predicted, families))
        tick(done, len(batches))
    return Looked(_joined(views), np.concatenate(best) if best else None, families, data.birds)


def predicted_attributes(model: Method, batch: NDArray[Any], attributes: int) -> NDArray[Any]:
    """Return `[b, K]`: what a method predicts for each attribute.

    That is the score of a class that has this attribute alone: for methods that compare predicted
    attributes with the class's, those very attributes.
    """
    return model.scores(batch, np.eye(attributes))


def _joined(views: list[View]) -> View:
    kept = [view.kept for view in views if view.kept is not None]
    return View(
        np.concatenate([view.patches for view in views]), np.concatenate(kept) if kept else None
    )
