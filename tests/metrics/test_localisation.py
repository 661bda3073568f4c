"""Where a method looks, against parts placed by hand on a 2 x 2 grid of 4 x 4 pixels."""

import numpy as np
import pytest

from zslbench.data.plumage import ATTRIBUTE_NAMES, PlumageConfig, load_plumage
from zslbench.method import View
from zslbench.metrics.localisation import score_view

ITEMS = np.array([1, 0])


class TwoImages:
    """Item 0 shows part 1 top left and part 2 top right; item 1 part 1 bottom left."""

    part_maps = np.zeros((2, 4, 4), dtype=np.uint8)
    part_maps[0, :2, :2] = 1
    part_maps[0, 1, 2] = 2
    part_maps[1, 3, 0] = 1
    shown = np.array([[True, True, True], [True, False, True]])

    def mask(self, attribute, items):
        """Attributes 0 and 1 are borne by parts 1 and 2, attribute 2 by the whole object."""
        maps = self.part_maps[items]
        return maps > 0 if attribute == 2 else maps == attribute + 1

    def shows(self, attribute):
        return self.shown[:, attribute]


def view(patches, kept=None, attributes=None):
    return View(
        np.asarray(patches, dtype=float),
        None if kept is None else np.asarray(kept, dtype=bool),
        None if attributes is None else np.asarray(attributes, dtype=float),
    )


def test_patches_are_ranked_against_those_a_quarter_of_which_is_object():
    """Item 1: the object in the third patch; item 0: in the first two."""
    found = score_view(view([[0, 1, 2, 3], [4, 1, 2, 0]]), TwoImages(), ITEMS)
    assert found["patch_auc"] == pytest.approx(100 * (2 / 3 + 3 / 4) / 2)
    assert found["patch_auc_centre"] == pytest.approx(50)


def test_ties_rank_as_chance_does():
    found = score_view(view(np.zeros((2, 4))), TwoImages(), ITEMS)
    assert found["patch_auc"] == pytest.approx(50)


def test_kept_patches_are_counted_beside_all_patches():
    kept = [[0, 1, 1, 0], [1, 0, 0, 1]]
    found = score_view(view(np.zeros((2, 4)), kept), TwoImages(), ITEMS)
    assert found["patch_precision"] == pytest.approx(50)
    assert found["patch_precision_random"] == pytest.approx(100 * 3 / 8)
    assert found["patch_precision_best"] == pytest.approx(100 * 3 / 4)


def test_attributes_are_looked_for_in_the_images_that_show_them():
    """Item 1 shows attribute 0 (patch 2: found); item 0 shows 0 (missed) and 1 (found)."""
    attributes = np.zeros((2, 4, 3))
    attributes[0, 2, 0] = attributes[0, 0, 1] = 1
    attributes[1, 3, 0] = attributes[1, 1, 1] = 1
    found = score_view(view(np.zeros((2, 4)), None, attributes), TwoImages(), ITEMS)
    assert found["attribute_hit"] == pytest.approx(100 * 2 / 3)
    assert found["attribute_hit_random"] == pytest.approx(100 / 4)
    assert found["attribute_hit_centre"] == pytest.approx(100 / 3)


def test_a_view_made_from_the_truth_is_perfect(tmp_path):
    config = PlumageConfig(classes=5, unseen=2, images_per_class=6, size=112)
    parts, items = load_plumage(config, tmp_path).parts, np.arange(30)
    blocks = parts.part_maps.reshape(30, 7, 16, 7, 16)
    share = (blocks > 0).mean(axis=(2, 4)).reshape(30, 49)
    attributes = np.stack(
        [
            parts.mask(k, items).reshape(30, 7, 16, 7, 16).mean(axis=(2, 4)).reshape(30, 49)
            for k in range(len(ATTRIBUTE_NAMES))
        ],
        axis=-1,
    )
    found = score_view(View(share, share >= 0.25, attributes), parts, items)
    assert found["patch_auc"] == found["patch_precision"] == found["attribute_hit"] == 100
    assert found["patch_precision_random"] < 60
    assert found["attribute_hit_random"] < 25
