"""Pictures of where a method looks, by what is in their panels."""

import numpy as np
import pytest
from matplotlib.patches import Rectangle
from PIL import Image

from zslbench.report.files import write_figure
from zslbench.studies.explain.embedding import embedding_figure
from zslbench.studies.explain.pictures import ItemPicture, attribute_figure, patch_figure

SIDE, GRID = 28, 7
KEPT = np.arange(GRID**2) % 7 != 0  # all but the first column


def picture(**more):
    """A grey image of 28 pixels on a grid of 7; patches matter more from the first to the last."""
    image = np.full((SIDE, SIDE, 3), 200, dtype=np.uint8)
    return ItemPicture("a bird", image, np.arange(GRID**2, dtype=float), **more)


def maps(best):
    """Maps of two attributes, highest at a patch; patches that are not kept are not looked at."""
    values = np.zeros((GRID**2, 2))
    values[best] = 1
    values[~KEPT] = -np.inf
    return values


def hatched(axes):
    return sorted(
        tuple(np.round(p.get_xy() + np.array([0.5, 0.5])).astype(int))
        for p in axes.patches
        if isinstance(p, Rectangle) and p.get_hatch()
    )


def framed(axes):
    return {p.get_xy() for p in axes.patches if isinstance(p, Rectangle) and not p.get_hatch()}


def shown(axes):
    return axes.images[0].get_array()


def test_patches_that_are_not_kept_are_hatched_and_no_others():
    figure = patch_figure([picture(kept=KEPT)] * 3, "title")
    assert len(figure.axes) == 9
    for axes in figure.axes[6:]:
        assert hatched(axes) == [(0, 4 * row) for row in range(GRID)]
    assert not any(hatched(axes) for axes in figure.axes[:6])


def test_a_method_that_does_not_select_has_no_row_of_kept_patches():
    figure = patch_figure([picture(), picture()], "title")
    assert len(figure.axes) == 4
    assert not any(hatched(axes) for axes in figure.axes)


def test_patches_that_matter_more_are_brighter():
    light = shown(patch_figure([picture()], "title").axes[1])[::4, ::4, 0].ravel()
    assert (np.diff(light.astype(int)) > 0).all()
    assert light[-1] == 200


def test_patches_that_matter_equally_are_equally_dark():
    figure = patch_figure([ItemPicture("", picture().image, np.zeros(GRID**2))], "title")
    assert len(np.unique(shown(figure.axes[1]))) == 1


def test_each_attribute_has_a_panel_with_its_best_patch_framed():
    one = picture(kept=KEPT, attributes=("bill shape: hooked", "size: small"), maps=maps(8))
    figure = attribute_figure([one, one], "title")
    assert len(figure.axes) == 6
    assert [axes.get_title() for axes in figure.axes[1:3]] == list(one.attributes)
    for axes in (*figure.axes[1:3], *figure.axes[4:]):
        assert framed(axes) == {(3.5, 3.5)}
        assert len(hatched(axes)) == GRID
    assert not framed(figure.axes[0])


def test_true_parts_are_numbered_outlined_and_named():
    mask = np.zeros((SIDE, SIDE), dtype=bool)
    mask[4:12, 8:16] = True
    masks = {"crown": mask, "leg": np.zeros_like(mask)}  # a hidden leg
    bearing = np.stack([mask, mask])
    more = {"attributes": ("a", "b"), "maps": maps(8), "bearing": bearing}
    figure = attribute_figure([picture(masks=masks, points={"eye": (3.0, 5.0)}, **more)], "title")
    first, *others = figure.axes
    assert {(t.get_text(), *t.get_position()) for t in first.texts} == {
        ("1", 11.5, 7.5), ("3", 3.0, 5.0)
    }  # fmt: skip
    assert "1 crown, 2 leg, 3 eye" in figure._supxlabel.get_text()
    assert all(len(axes.collections) == 2 for axes in (first, *others))  # dark below bright
    assert all(axes.get_xlim() == (-0.5, SIDE - 0.5) for axes in figure.axes)


def test_what_is_hatched_can_be_told_in_greyscale(tmp_path):
    """On a bright image: very different greys where a patch is left out, and nowhere else."""
    figure = patch_figure([picture(kept=KEPT)], "title")
    path, _ = write_figure(tmp_path, "patches", figure)
    grey = np.asarray(Image.open(path).convert("L")).astype(int)
    box = figure.axes[2].get_window_extent().transformed(figure.dpi_scale_trans.inverted())
    scale = grey.shape[1] / figure.get_figwidth()
    top = round(grey.shape[0] - box.y1 * scale)
    left, side = round(box.x0 * scale), round(box.width * scale / GRID)
    kept = grey[top + 5 : top + side - 5, left + side + 5 : left + 2 * side - 5]
    out = grey[top + 5 : top + side - 5, left + 5 : left + side - 5]
    assert np.ptp(kept) < 5
    assert np.ptp(out) > 100


def test_the_same_figure_gives_the_same_bytes(tmp_path):
    one, other = (
        [p.read_bytes() for p in write_figure(tmp_path / n, "x", patch_figure([picture()], "t"))]
        for n in "ab"
    )
    assert one == other


@pytest.mark.parametrize(("seen", "unseen"), [(3, 2), (20, 20), (2, 1)])
def test_classes_of_either_side_are_told_apart_without_colour(seen, unseen):
    labels = np.repeat(np.arange(seen + unseen), 3)
    places = np.random.default_rng(0).normal(size=(len(labels), 2))
    names = [f"class_{c}" for c in range(seen + unseen)]
    figure = embedding_figure(places, labels, seen, names, "title")
    for axes, count in zip(figure.axes, (seen, unseen), strict=True):
        others, *groups = axes.collections
        assert len(others.get_offsets()) == 3 * (seen + unseen - count)
        assert len(groups) == count
        shapes = {
            (g.get_paths()[0].vertices.tobytes(), len(g.get_facecolor()) == 0) for g in groups
        }
        assert len(shapes) == count
        assert len(axes.get_legend().get_texts()) == count
