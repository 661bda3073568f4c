"""Part points of photos, where the decoded images have them."""

import csv

import numpy as np
import pytest
from PIL import Image

from zslbench.data.cache import decode_image
from zslbench.data.parts import bird_truth, part_points
from zslbench.errors import DataError

LINES = ["image_file,part,x,y", "a/wide.png,eye,52,21", "a/wide.png,tail,5,20",
         "a/tall.png,eye,10,70", "b/other.png,eye,1,1"]  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    """Two photos with a bright dot for an eye each, and their parts."""
    (tmp_path / "a").mkdir()
    for name, size, (x, y) in (("wide", (100, 40), (52, 21)), ("tall", (40, 120), (10, 70))):
        pixels = np.zeros((*size[::-1], 3), dtype=np.uint8)
        pixels[y - 2 : y + 3, x - 2 : x + 3] = 255
        Image.fromarray(pixels).save(tmp_path / f"a/{name}.png")
    index = ["index_1based,label_1based,image_file", "1,1,x/a/wide.png", "2,1,x/a/tall.png"]
    (tmp_path / "index.csv").write_text("\n".join(index).replace("x/", ""))
    (tmp_path / "parts.csv").write_text("\n".join(LINES))
    return tmp_path


@pytest.mark.parametrize("size", [20, 40, 96])
def test_points_are_where_decoding_puts_their_pixels(folder, size):
    found = part_points(folder, np.array([1, 0]), size, 1)
    assert [sorted(points) for points in found] == [["eye"], ["eye"]]  # the tail is cut away
    for points, name in zip(found, ("tall", "wide"), strict=True):
        image = decode_image(folder / f"a/{name}.png", size, "crop")[..., 0].astype(float)
        y, x = (np.average(axis, weights=image) for axis in np.indices(image.shape))
        assert points["eye"] == pytest.approx((x, y), abs=1.5)


def test_without_a_table_nothing_is_known(folder):
    (folder / "parts.csv").unlink()
    assert part_points(folder, np.array([0]), 20, 1) is None


@pytest.mark.parametrize(
    "text",
    ["", "image_file,part,x\na,b,1", "\n".join([*LINES, "a/wide.png,bill,left,3"]), "\0\1"],
    ids=["empty", "no y", "a word for a number", "no text"],
)
def test_a_table_that_is_none_is_refused(folder, text):
    (folder / "parts.csv").write_text(text)
    with pytest.raises(DataError, match=r"parts\.csv"):
        part_points(folder, np.array([0]), 20, 1)


BOXES = ["image_file,x,y,width,height", "a/wide.png,50,20,60,10", "a/tall.png,0,60,40,20"]


def test_boxes_are_decoded_as_points_are_and_not_cut(folder):
    (folder / "boxes.csv").write_text("\n".join(BOXES))
    truth = bird_truth(folder, np.array([1, 0]), 20, 1)
    assert truth.boxes == pytest.approx(np.array([[0, 10, 20, 20], [10, 10, 40, 15]]))
    assert truth.sides == pytest.approx(np.array([[20, 10], [30, 5]]))
    assert (truth.names, truth.size) == (("eye",), 20)
    assert truth.points == pytest.approx(np.array([[[5, 15]], [[11, 10.5]]]))


@pytest.mark.parametrize("name", ["parts.csv", "boxes.csv"])
def test_without_both_tables_birds_are_not_known(folder, name):
    (folder / "boxes.csv").write_text("\n".join(BOXES))
    (folder / name).unlink()
    assert bird_truth(folder, np.array([0]), 20, 1) is None


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (BOXES[:2], "no box for a/tall.png"),
        ([*BOXES[:2], "a/tall.png,0,60,0,20"], "the box 0, 60, 0, 20 for a/tall.png"),
        ([*BOXES[:2], "a/tall.png,0,nan,3,20"], "the box 0, nan, 3, 20 for a/tall.png"),
        (["image_file,x", "a/wide.png,1"], "has no column 'y' in its first line"),
    ],
)
def test_a_table_of_boxes_that_lacks_a_photo_is_refused(folder, lines, said):
    (folder / "boxes.csv").write_text("\n".join(lines))
    with pytest.raises(DataError, match=r"boxes\.csv") as refusal:
        bird_truth(folder, np.array([0, 1]), 20, 1)
    assert said in str(refusal.value)


def test_points_of_real_birds_are_in_their_boxes(real_data):
    """Both tables are in pixels of the files: the box, decoded alike, holds the points."""
    folder, items, size = real_data / "cub20", np.arange(0, 1185, 40), 224
    found = part_points(folder, items, size, 20)
    with (folder / "boxes.csv").open() as file:
        boxes = {row["image_file"]: row for row in csv.DictReader(file)}
    from zslbench.data.formats.items import locate_images, read_items

    names = read_items(folder, None, 20).files
    inside = total = 0
    for item, points in zip(items, found, strict=True):
        name = next(n for n in boxes if names[item].endswith(n.split("images/")[1]))
        (path,) = locate_images([names[item]], folder)
        with Image.open(path) as image:
            scale = size / min(image.size)
            offset = [(side * scale - size) / 2 for side in image.size]
        x, y, width, height = (float(boxes[name][k]) for k in ("x", "y", "width", "height"))
        low, high = np.array([x, y]) * scale - offset, np.array([x + width, y + height]) * scale
        high -= offset
        for point in points.values():
            total += 1
            inside += bool((low - 3 <= point).all() and (point <= high + 3).all())
    assert total > 200
    assert inside / total > 0.97
