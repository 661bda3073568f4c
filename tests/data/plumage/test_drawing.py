"""What is in plumage's images: shapes, masks, colours, clutter, habitats, light."""

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from zslbench.data.plumage import PlumageConfig
from zslbench.data.plumage.attributes import COLORS, GROUPS, Part
from zslbench.data.plumage.classes import describe, draw_classes
from zslbench.data.plumage.drawing import choose_place, draw_image, held_out
from zslbench.data.plumage.draws import Draws, Streams
from zslbench.data.plumage.image import draw_picture
from zslbench.data.plumage.raster import fill, rotation, sine, transform
from zslbench.data.plumage.scene import ANY_THINGS, CLUTTER_INK, HABITATS, Place, add_clutter, home
from zslbench.data.types import content_digest

BEARERS = (Part.CROWN, Part.WING, Part.BREAST, Part.TAIL, Part.BILL, Part.LEG)
COLOR_GROUPS = {group.part: group.name for group in GROUPS if group.name.endswith("_color")}


def some_values(number):
    """Return values drawn at random for each group: bird `number` of this file."""
    draws = Draws(number, "test values")
    return describe([draws.below(len(group.values)) for group in GROUPS])


def picture(number=0, size=112, clutter=50, habitat=None, **values):
    habitat = number % HABITATS if habitat is None else habitat
    streams = Streams(number, ("test",))
    return draw_picture(some_values(number) | values, Place(habitat), clutter, size, streams)


def inside_by_rays(points, x, y):
    """Say whether a point is inside a polygon: the parity of the edges left of it, in fractions."""
    crossed = 0
    for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
        if (y0 <= y) != (y1 <= y):
            at = int(x0) + Fraction(int(y - y0) * int(x1 - x0), int(y1 - y0))
            crossed += at <= x
    return crossed % 2 == 1


@pytest.mark.parametrize("seed", range(12))
def test_fill_agrees_with_exact_rays_also_where_the_frame_cuts(seed):
    side = 20
    points = np.random.default_rng(seed).integers(-100, 16 * side + 100, (3 + seed % 5, 2))
    shape = fill(points, side)
    found = np.zeros((side, side), dtype=bool)
    found[shape.rows, shape.columns] = shape.inside
    naive = [
        [inside_by_rays(points, 16 * x + 8, 16 * y + 8) for x in range(side)] for y in range(side)
    ]
    np.testing.assert_array_equal(found, naive)
    assert found.any()


def test_fill_of_a_shape_outside_the_frame_is_empty():
    assert not fill(np.array([(-90, -90), (-50, -90), (-50, -50)]), 20).inside.any()


def test_sine_and_rotation_are_those_of_the_reals_to_a_thousandth():
    exact = [1024 * math.sin(2 * math.pi * angle / 256) for angle in range(-256, 512)]
    assert np.abs(np.array([sine(angle) for angle in range(-256, 512)]) - exact).max() < 2
    quarter = transform(np.array([(160, 32)]), rotation(64))
    np.testing.assert_array_equal(quarter, [(-32, 160)])


@pytest.mark.parametrize(
    ("size", "digest"),
    [
        (56, "9236e36db5ad66fe195088885ae4c083e7d856cdfc25ddfbd2ea7b21cfb0fb07"),
        (112, "84920c6da62464a486ae77147dd6119a03a5482259690de9e57232252eaa02a2"),
    ],
)
def test_pixels_and_masks_are_these_ones_everywhere(size, digest):
    pictures = [picture(number, size, clutter=number * 10) for number in range(8)]
    found = content_digest(*(array for each in pictures for array in each))
    assert found == digest, "drawing changed: raise DRAWING_VERSION with this digest"


def test_both_sizes_show_the_same_picture():
    for number in range(5):
        large, small = picture(number), picture(number, 56)
        np.testing.assert_array_equal(large.parts[1::2, 1::2], small.parts)
        means = large.pixels.reshape(56, 2, 56, 2, 3).mean(axis=(1, 3))
        assert np.abs(means - small.pixels).mean() < 8


@pytest.mark.parametrize("part", BEARERS, ids=lambda part: part.name)
def test_painting_a_part_otherwise_changes_the_pixels_of_its_mask_and_no_others(part):
    for number in range(10):
        one = picture(number, **{COLOR_GROUPS[part]: "black"})
        other = picture(number, **{COLOR_GROUPS[part]: "red"})
        changed = (one.pixels != other.pixels).any(axis=-1)
        np.testing.assert_array_equal(one.parts, other.parts)
        assert not (changed & (one.parts != part)).any()
        assert changed[one.parts == part].mean() > 0.99


def nearest_color(pixels):
    """Return the feather colour nearest to the median pixel, under the light that suits it best."""
    seen = np.median(pixels, axis=0)
    lights = np.linspace(0.7, 1.4, 15)
    gaps = {
        name: min(np.abs(np.minimum(light * np.array(rgb), 255) - seen).sum() for light in lights)
        for name, rgb in COLORS.items()
    }
    return min(gaps, key=gaps.get)


@pytest.mark.parametrize("size", [56, 112])
def test_the_pixels_of_a_mask_have_the_colour_that_was_painted(size):
    plain = {"has_wing_pattern": "solid", "has_breast_pattern": "solid"}
    right = []
    for number in range(40):
        image, values = picture(number, size, **plain), some_values(number)
        right += [
            nearest_color(image.pixels[image.parts == part]) == values[COLOR_GROUPS[part]]
            for part in BEARERS
        ]
    assert np.mean(right) > 0.98


@pytest.mark.parametrize("part", ["wing", "breast"])
def test_patterns_mark_a_share_of_their_part_only(part):
    group, code = f"has_{part}_pattern", Part[part.upper()]
    for number in range(5):
        plain, *marked = (
            picture(number, **{group: pattern}) for pattern in ("solid", "striped", "spotted")
        )
        for image in marked:
            changed = (image.pixels != plain.pixels).any(axis=-1)
            assert not (changed & (plain.parts != code)).any()
            assert 0.1 < changed[plain.parts == code].mean() < 0.6


@pytest.mark.parametrize("size", [56, 112])
def test_parts_are_visible_and_the_bird_leaves_most_of_the_frame(size):
    maps = np.stack([picture(number, size, 0).parts for number in range(200)])
    least = 2 * (size // 56) ** 2 * 4
    for part in BEARERS:
        assert ((maps == part).sum(axis=(1, 2)) >= least).mean() > 0.95, part
    shares = (maps > 0).mean(axis=(1, 2))
    assert 0.18 < shares.min() < shares.max() < 0.40
    borders = np.concatenate([maps[:, [0, -1]], maps[:, :, [0, -1]].transpose(0, 2, 1)], axis=1)
    assert (borders == 0).all(axis=(1, 2)).mean() > 0.95


def test_sizes_do_not_overlap_among_birds_of_one_shape():
    def areas(size):
        shape = {"has_size": size, "has_tail_shape": "squared", "has_bill_shape": "cone"}
        return [(picture(number, **shape).parts > 0).sum() for number in range(40)]

    small, medium, large = map(areas, ("small", "medium", "large"))
    assert max(small) < min(medium) < max(medium) < min(large)


def test_birds_face_both_ways_and_stand_in_many_places():
    maps = np.stack([picture(number, clutter=0).parts for number in range(60)])
    x = np.indices(maps.shape)[2]
    bill, tail = (np.array([x[i][maps[i] == p].mean() for i in range(60)]) for p in (5, 4))
    assert 0.3 < (bill > tail).mean() < 0.7
    tops = [np.flatnonzero((each > 0).any(axis=1))[0] for each in maps]
    assert np.ptp(tops) > 20


@pytest.mark.parametrize("clutter", [0, 25, 50, 75, 100])
def test_clutter_covers_the_share_asked_for(clutter):
    for number in range(20):
        bird = picture(number).parts > 0
        bare, draws = np.zeros((112, 112), np.uint8), Draws(number, "test")
        inks = add_clutter(bare, ~bird, clutter, ANY_THINGS, draws)
        share = 100 * (inks[~bird] >= CLUTTER_INK).mean()
        assert clutter <= share < clutter + 8
        assert clutter or not share


def test_clutter_up_to_a_half_is_seen_around_the_bird_and_never_on_it():
    for number in range(20):
        bare, image = picture(number, clutter=0), picture(number, clutter=50)
        bird = bare.parts > 0
        np.testing.assert_array_equal(image.parts, bare.parts)
        np.testing.assert_array_equal(image.pixels[bird], bare.pixels[bird])
        assert 0.5 < (image.pixels != bare.pixels).any(axis=-1)[~bird].mean() < 0.62


def beside(mask):
    """Return the pixels left of a mask or above it, where its outline lies."""
    return np.pad(mask, ((0, 1), (0, 0)))[1:] | np.pad(mask, ((0, 0), (0, 1)))[:, 1:]


@pytest.mark.parametrize(("clutter", "least", "most"), [(60, 2, 14), (80, 7, 20), (100, 12, 25)])
def test_clutter_above_a_half_hides_a_quarter_of_the_excess_of_the_bird(clutter, least, most):
    hidden = []
    for number in range(20):
        bare, image = picture(number, clutter=0), picture(number, clutter=clutter)
        bird = bare.parts > 0
        gone = bird & (image.parts == 0)
        np.testing.assert_array_equal(image.parts[~gone], bare.parts[~gone])
        inner = (image.parts > 0) & ~beside(gone)
        np.testing.assert_array_equal(image.pixels[inner], bare.pixels[inner])
        assert (image.pixels != bare.pixels).any(axis=-1)[gone].mean() > 0.9
        hidden.append(100 * gone.sum() / bird.sum())
    assert min(hidden) >= (clutter - 50) // 4
    assert least < np.mean(hidden) < most


def test_clutter_has_the_colours_of_feathers_and_habitats_have_not():
    def vivid(clutter):
        images = [picture(number, clutter=clutter) for number in range(20)]
        outside = np.concatenate([image.pixels[image.parts == 0] for image in images])
        return (np.ptp(outside.astype(int), axis=1) > 100).mean()

    assert vivid(0) < 0.05
    assert vivid(80) > 0.3


def test_light_changes_the_image_and_not_what_is_in_it():
    means = [picture(number, clutter=0, habitat=0).pixels.mean() for number in range(30)]
    assert np.ptp(means) > 30


def birds_of(config):
    return draw_classes(config.classes, config.streams, reserved=config.pretraining)


def places(config, label):
    """Return a class, its places in training, and those where it is tested."""
    bird, held = birds_of(config)[label], held_out(config, label)
    kept = [number for number in range(config.images_per_class) if number not in held]
    return bird, *([choose_place(config, bird, label, n) for n in some] for some in (kept, held))


@pytest.mark.parametrize("spurious", [0, 30, 100])
def test_seen_classes_are_trained_on_at_home_as_often_as_asked_and_tested_anywhere(spurious):
    config = PlumageConfig(classes=6, unseen=2, spurious=spurious, images_per_class=2000)
    bird, kept, held = places(config, 4)
    at_home = [place for place in kept if place.things != ANY_THINGS]
    assert {place.habitat for place in at_home} <= {bird.habitat}
    assert 100 * len(at_home) / len(kept) == pytest.approx(spurious, abs=3.5)
    assert {place.things for place in held} == {ANY_THINGS}
    assert len({place.habitat for place in held}) == HABITATS


def test_places_of_unseen_classes_are_independent_of_class_and_of_the_knob():
    config = PlumageConfig(classes=6, unseen=2, spurious=100, images_per_class=2000)
    for label in (0, 1):
        bird = birds_of(config)[label]
        found = [choose_place(config, bird, label, number) for number in range(2000)]
        counts = np.bincount([place.habitat for place in found], minlength=HABITATS)
        assert counts.max() < 2 * 2000 / HABITATS
        assert counts.min() > 2000 / HABITATS / 2
        calm = replace(config, spurious=0)
        assert found == [choose_place(calm, bird, label, number) for number in range(2000)]


@pytest.mark.parametrize("habitat", range(HABITATS))
def test_the_things_of_a_home_have_two_of_the_feather_colours(habitat):
    colors = [(ink - CLUTTER_INK) // 4 % len(COLORS) for ink in home(habitat).things]
    texture, tint = divmod(habitat, 6)
    assert set(colors) == {texture, tint}
    assert len(colors) == 4 * len(set(colors))


def test_backgrounds_tell_seen_classes_apart_only_where_habitat_is_spurious():
    def spread(spurious, label):
        config = PlumageConfig(classes=6, unseen=2, clutter=0, spurious=spurious, size=112)
        bird = birds_of(config)[label]
        kept = [number for number in range(30) if number not in held_out(config, label)]
        images = [draw_image(config, bird, label, number)[0] for number in kept]
        hues = np.array([image.pixels[image.parts == 0].mean(axis=0) for image in images])
        return (hues / hues.sum(axis=1, keepdims=True)).std(axis=0).sum()

    for label in (2, 3, 4):
        assert spread(100, label) < spread(0, label) / 2
    assert spread(100, 0) == spread(0, 0)
