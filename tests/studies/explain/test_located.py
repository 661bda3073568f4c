"""Where a method looks on photos with a parts.csv and a boxes.csv, by a method that is told."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from zslbench.data.parts import bird_truth
from zslbench.method import View
from zslbench.protocol.looking import RUN, localise
from zslbench.studies.explain.located import locate, parts_figure

SIDE, GRID, PHOTOS = 56, 7, 4
NAMES = ("has_bill_color::red", "has_bill_color::blue", "has_leg_color::red", "has_size::small")
BEAK, LEG = 3 * GRID + 2, 5 * GRID + 2  # patches: row 3 and row 5, column 2


class Told:
    """It keeps the bird's patches and sees the blue bill and the leg where they are."""

    def __init__(self, localises=True):
        self.localises = localises

    def view(self, batch):
        kept = np.zeros((len(batch), GRID**2), dtype=bool)
        kept[:, [BEAK, LEG]] = True
        maps = np.zeros((len(batch), GRID**2, len(NAMES)))
        maps[:, BEAK, 1] = maps[:, LEG, 2] = 1
        return View(kept.astype(float), kept, maps if self.localises else None)

    def scores(self, batch, table):
        assert np.array_equal(table, np.eye(len(NAMES)))
        return np.tile([1.0, 2.0, 3.0, 9.0], (len(batch), 1))


@pytest.fixture
def root(tmp_path):
    """Photos of one size, each with a beak and a leg in the middle of a patch, and a box."""
    folder = tmp_path / "birds"
    folder.mkdir()
    (folder / "att_splits.mat").touch()
    names = [f"{n}.png" for n in range(PHOTOS)]
    for name in names:
        Image.new("RGB", (SIDE, SIDE)).save(folder / name)
    tables = {
        "index": ["index_1based,label_1based,image_file", "{n},1,{name}"],
        "parts": ["image_file,part,x,y", "{name},beak,20,28", "{name},left leg,20,44"],
        "boxes": ["image_file,x,y,width,height", "{name},8,16,32,32"],
    }
    for table, (head, *lines) in tables.items():
        rows = [line.format(n=n + 1, name=names[n]) for n in range(PHOTOS) for line in lines]
        (folder / f"{table}.csv").write_text("\n".join([head, *rows]))
    return tmp_path


def photos(root, names=NAMES):
    return SimpleNamespace(
        splits=SimpleNamespace(test_unseen=np.arange(PHOTOS)),
        classes=SimpleNamespace(names=("a bird",), attribute_names=names),
        inputs=np.zeros((PHOTOS, SIDE, SIDE, 3), dtype=np.uint8),
        birds=bird_truth(root / "birds", np.arange(PHOTOS), SIDE, 1),
        parts=None,
    )


def looked(root, model, names=NAMES):
    return locate(model, photos(root, names))


def test_parts_seen_where_they_are_are_found(root):
    found = looked(root, Told())
    assert (found.images, found.grid) == (PHOTOS, GRID)
    assert found.parts[RUN].parts == {"head": 100, "leg": 100}
    assert found.parts["ceiling"].mean == 100
    assert 0 < found.parts["random"].mean < found.parts["random on the bird"].mean < 30
    assert found.patches["patch_precision"] == found.patches["patch_precision_best"] == 100
    assert found.patches["patch_precision_random"] == pytest.approx(100 * 16 / 49)
    assert [row["row"] for row in found.records()] == list(found.parts)
    assert "100.0" in repr(found)


def test_the_figure_has_a_bar_for_the_mean_and_each_part(root):
    (axes,) = parts_figure(looked(root, Told()), "title").axes
    assert [bar.get_height() for bar in axes.patches] == [100, 100, 100]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["mean", "head", "leg"]
    assert len(axes.lines) == 4


def test_without_attribute_maps_the_patches_alone_are_scored(root):
    found = looked(root, Told(localises=False))
    assert not found.parts
    assert found.patches["patch_auc"] > 50
    assert "parts found" not in repr(found)


def test_attributes_without_names_of_cubs_are_reported(root):
    found = looked(root, Told(), names=())
    assert not found.parts
    assert "No parts are scored: no attribute has a name of CUB's" in " ".join(repr(found).split())


def test_photos_without_boxes_are_left_alone(root):
    (root / "birds" / "boxes.csv").unlink()
    assert looked(root, Told()) is None


@pytest.mark.parametrize("localises", [True, False])
def test_a_record_holds_the_same_numbers(root, localises):
    model, world = Told(localises), SimpleNamespace(dataset=photos(root))
    found, shown = localise(model, world), looked(root, model)
    assert found.items() >= shown.patches.items()
    told = {name: value for name, value in found.items() if name.startswith("part_hit")}
    rows = {"": RUN, "_random": "random", "_centre": "centre", "_best": "ceiling"}
    assert told == {f"part_hit{end}": shown.parts[r].mean for end, r in rows.items() if localises}


def test_what_says_not_where_it_looks_is_not_asked_for_parts(root):
    class Blind(Told):
        def view(self, batch):
            return None

    assert localise(Blind(), SimpleNamespace(dataset=photos(root))) == {}
