"""Parts found by APN's rule, against a naive loop and against figures measured before."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zslbench.data.parts import bird_truth
from zslbench.data.types import BirdTruth
from zslbench.metrics.part_boxes import (
    POINTS,
    best_patches,
    boxed,
    families_of,
    middles,
    references,
    score_patches,
)

NAMES = tuple(name for names in POINTS.values() for name in names)
FAMILIES = ("has_bill_color", "has_wing_shape", "has_wing_color", "has_tail_shape")
BEARERS = ("head", "wing", "wing", "tail")
SIZE = 224


def birds(seed, count=6):
    """Birds of any size anywhere, some reaching out of the image, half of their points hidden."""
    rng = np.random.default_rng(seed)
    corners, sides = rng.uniform(-40, 150, (count, 2)), rng.uniform(30, 200, (count, 2))
    points = corners[:, None] + rng.uniform(0, 1, (count, len(NAMES), 2)) * sides[:, None]
    hidden = rng.random((count, len(NAMES))) < 0.5
    outside = ((points < 0) | (points >= SIZE)).any(axis=2)
    points[hidden | outside] = np.nan
    return BirdTruth(NAMES, points, np.hstack([corners, corners + sides]), SIZE)


def box(x, y, width, height):
    """Return the edges of a box around a place, moved into the image."""
    left, top = x - width / 2, y - height / 2
    left = 0 if left < 0 else min(left, SIZE - width)
    top = 0 if top < 0 else min(top, SIZE - height)
    return left, top, left + width, top + height


def agreement(one, other):
    """Return the intersection over union of two boxes."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0
    areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (one, other)]
    return width * height / (sum(areas) - width * height)


def found(truth, image, part, place):
    """Return whether a part is found at a place; None where it is not to be seen."""
    shown = [
        tuple(truth.points[image, NAMES.index(name)])
        for name in POINTS[part]
        if not np.isnan(truth.points[image, NAMES.index(name)]).any()
    ]
    if not shown:
        return None
    nearest = min(shown, key=lambda p: (p[0] - place[0]) ** 2 + (p[1] - place[1]) ** 2)
    left, top, right, bottom = truth.boxes[image]
    sides = (right - left) / 4, (bottom - top) / 4
    return agreement(box(*place, *sides), box(*nearest, *sides)) > 0.5


def naive(truth, places, parts, fold=np.mean):
    """Return part -> percent, given each image's places of each part, image by image."""
    scores = {}
    for part in parts:
        images = []
        for image in range(len(truth.boxes)):
            hits = [found(truth, image, part, place) for place in places(image, part)]
            if None not in hits:
                images.append(fold(hits))
        if images:
            scores[part] = 100 * np.mean(images)
    return scores


@given(st.integers(0, 10**6), st.sampled_from([2, 7, 14]))
def test_patches_are_scored_as_a_naive_loop_does(seed, grid):
    truth = birds(seed)
    patches = np.random.default_rng(seed).integers(0, grid**2, (len(truth.boxes), len(FAMILIES)))

    def places(image, part):
        for family, bearer in enumerate(BEARERS):
            if bearer == part:
                row, column = divmod(int(patches[image, family]), grid)
                yield (column + 0.5) * SIZE / grid, (row + 0.5) * SIZE / grid

    scores = score_patches(patches, grid, FAMILIES, truth)
    expected = naive(truth, places, dict.fromkeys(BEARERS))
    assert dict(scores.parts) == pytest.approx(expected)
    if {"head", "wing"} <= expected.keys():
        assert scores.mean == pytest.approx((expected["head"] + expected["wing"]) / 2)


@pytest.mark.parametrize("seed", range(5))
def test_the_ceiling_and_the_centre_are_those_of_a_naive_loop(seed):
    truth, parts = birds(seed), tuple(POINTS)
    beside = references(7, parts, truth)
    steps = [16 + 32 * k for k in range(7)]
    every = [(x, y) for y in steps for x in steps]
    assert dict(beside["ceiling"].parts) == pytest.approx(
        naive(truth, lambda *_: every, parts, max)
    )
    middle = [(SIZE / 2, SIZE / 2)]
    assert dict(beside["centre"].parts) == pytest.approx(naive(truth, lambda *_: middle, parts))


def test_a_look_at_a_key_point_finds_its_part_and_one_afar_does_not():
    truth = birds(1)
    points = np.full_like(truth.points, np.nan)
    points[:, NAMES.index("belly")] = middles(7, SIZE)[24]
    truth = BirdTruth(NAMES, points, truth.boxes, SIZE)
    family = ("has_belly_color",)
    for patch, share in ((24, 100), (0, 0)):
        patches = np.full((len(points), 1), patch)
        assert score_patches(patches, 7, family, truth).parts == {"belly": share}


def test_of_a_family_the_attribute_with_the_highest_prediction_is_looked_for():
    names = ["has_size::small", "has_bill_color::red", "has_bill_color::blue", "has_leg_color::red"]
    families = families_of(names)
    assert {name: list(members) for name, members in families.items()} == {
        "has_bill_color": [1, 2], "has_leg_color": [3],
    }  # fmt: skip
    maps = np.zeros((2, 4, 4))
    maps[:, 0, 0] = maps[:, 1, 1] = maps[:, 2, 2] = maps[:, 3, 3] = 1
    predicted = np.array([[9, 1, 0, 0], [9, 0, 1, -5]])
    assert best_patches(maps, predicted, families).tolist() == [[1, 3], [2, 3]]


@given(st.integers(0, 10**6))
def test_the_share_of_a_patch_in_the_box_is_that_of_its_pixels(seed):
    rng = np.random.default_rng(seed)
    corners, sides = rng.integers(-40, 200, (4, 2)), rng.integers(1, 200, (4, 2))
    truth = birds(0, 4)
    truth = BirdTruth(NAMES, truth.points, np.hstack([corners, corners + sides]) * 1.0, SIZE)
    pixels = np.zeros((4, SIZE, SIZE))
    for image, (x, y, right, bottom) in zip(pixels, truth.boxes.astype(int), strict=True):
        image[max(y, 0) : max(bottom, 0), max(x, 0) : max(right, 0)] = 1
    shares = pixels.reshape(4, 7, 32, 7, 32).mean(axis=(2, 4)).reshape(4, 49)
    assert boxed(7, truth) == pytest.approx(shares)


@pytest.mark.slow
def test_real_birds_give_the_figures_that_were_measured_without_this_code(real_data):
    """Every twelfth photo of cub87, scaled to 256 and cropped to 224 as APN's code does."""
    items = np.arange(0, 4850, 12)
    at_256 = bird_truth(real_data / "cub87", items, 256, 87)
    points = at_256.points - 16
    points[~((points >= 0) & (points < SIZE)).all(axis=2)] = np.nan
    truth = BirdTruth(at_256.names, points, at_256.boxes - 16, SIZE)
    small, large = (references(grid, tuple(POINTS), truth) for grid in (7, 14))
    found = {name: scores.mean for name, scores in small.items()}
    assert found.pop("ceiling") == pytest.approx(57.4, abs=2)
    measured = {"random": 1.6, "random on the bird": 3.1, "centre": 5.2}
    assert found == pytest.approx(measured, abs=0.5)
    assert large["ceiling"].mean == pytest.approx(93.6, abs=0.5)
    assert small["ceiling"].parts["belly"] == pytest.approx(49, abs=0.5)
    assert small["ceiling"].parts["back"] == pytest.approx(43, abs=0.5)
