import os

import numpy as np
import pytest
from PIL import Image
from scipy.io import loadmat

from zslbench.data.formats import xlsa17
from zslbench.data.formats.class_lists import read_class_splits
from zslbench.data.formats.folder import SUFFIXES, build_dataset
from zslbench.data.formats.items import locate_images, read_items
from zslbench.errors import DataError

BIRDS = ["Auk", "Bunting", "Crow", "Dunlin", "Eider", "Finch", "Grebe", "Häher"]
HEADER = ["class", "wing length", "bill::red", "crest"]


def attributes(names):
    return [[name, f"{i + 1}", f"{i * 12.5}", f"{int(i % 3 == 0)}"] for i, name in enumerate(names)]


def write_csv(path, rows, header=HEADER):
    path.write_text("".join(",".join(row) + "\n" for row in [header, *rows]), encoding="utf-8")
    return path


@pytest.fixture
def images(tmp_path):
    """Eight classes of 3 to 10 images."""
    for number, name in enumerate(BIRDS):
        (tmp_path / "birds" / name).mkdir(parents=True)
        for i in range(3 + number):
            colour = (number * 30, i * 25, 0)
            Image.new("RGB", (4, 4), colour).save(tmp_path / "birds" / name / f"{i}.png")
    return tmp_path / "birds"


@pytest.fixture
def table(tmp_path):
    return write_csv(tmp_path / "attributes.csv", attributes(BIRDS)[::-1])


@pytest.fixture
def out(tmp_path):
    return tmp_path / "new" / "BIRDS"


def read(folder):
    """Return the splits with 0-based locs, and the lines of index.csv."""
    mat = loadmat(folder / "att_splits.mat")
    locs = {name: mat[name].ravel().astype(int) - 1 for name in mat if name.endswith("_loc")}
    lines = (folder / "index.csv").read_text(encoding="utf-8").splitlines()
    return mat, locs, [line.split(",") for line in lines]


def test_build_dataset_writes_the_shape_of_xlsa17(images, table, out):
    build_dataset(images, table, out)
    mat, locs, (header, *items) = read(out)
    assert [str(cell[0]) for cell in mat["allclasses_names"][:, 0]] == BIRDS
    values = np.array([row[1:] for row in attributes(BIRDS)], dtype=float)
    np.testing.assert_array_equal(mat["original_att"], values.T)
    np.testing.assert_allclose(mat["att"], values.T / np.linalg.norm(values, axis=1))
    assert (out / "attributes.txt").read_text().splitlines() == HEADER[1:]
    assert header == ["index_1based", "label_1based", "image_file"]
    assert [int(item[0]) for item in items] == list(range(1, 53))
    for _, label, file in items:
        assert file.startswith(f"images/{BIRDS[int(label) - 1]}/")
        assert (out / file).is_file()
    assert all(mat[f"{name}_loc"].shape[1] == 1 for name in ("trainval", "test_seen"))
    assert sorted(np.concatenate(list(locs.values()))) == list(range(52))


def test_build_dataset_splits_as_the_proposed_splits_do(images, table, out):
    summary = build_dataset(images, table, out)
    _, locs, (_, *items) = read(out)
    labels = np.array([int(item[1]) for item in items]) - 1
    classes = {name: {BIRDS[label] for label in labels[loc]} for name, loc in locs.items()}
    assert classes["test_unseen_loc"] == set(summary.unseen)
    assert classes["trainval_loc"] == classes["test_seen_loc"] == set(summary.seen)
    assert (len(summary.unseen), len(summary.seen)) == (2, 6)
    for name in summary.seen:
        size = 3 + BIRDS.index(name)
        tests = (labels[locs["test_seen_loc"]] == BIRDS.index(name)).sum()
        assert tests == max(1, round(0.2 * size))
    counts = summary.trainval, summary.test_seen, summary.test_unseen
    assert counts == tuple(len(locs[f"{n}_loc"]) for n in ("trainval", "test_seen", "test_unseen"))


def test_build_dataset_splits_the_seen_classes_three_times(images, table, out):
    summary = build_dataset(images, table, out)
    splits = []
    for number in (1, 2, 3):
        train = (out / f"trainclasses{number}.txt").read_text(encoding="utf-8").splitlines()
        validation = (out / f"valclasses{number}.txt").read_text(encoding="utf-8").splitlines()
        assert sorted(train + validation) == list(summary.seen)
        assert len(validation) == 2
        splits.append(tuple(validation))
    assert len(set(splits)) > 1


def test_build_dataset_takes_the_unseen_classes_named(images, table, out):
    summary = build_dataset(images, table, out, unseen=["Häher", "Auk", "Crow"], test_seen=0.5)
    assert summary.unseen == ("Auk", "Crow", "Häher")
    assert summary.test_unseen == 3 + 5 + 10


def test_build_dataset_draws_by_its_seed_alone(images, table, out, tmp_path):
    def files(name, seed):
        build_dataset(images, table, tmp_path / name, seed=seed)
        folder = tmp_path / name
        _, locs, _ = read(folder)
        lists = [path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.txt"))]
        return [*lists, *(loc.tolist() for loc in locs.values())]

    first, again, other = files("a", 0), files("b", 0), files("c", 1)
    assert first == again != other


def test_more_images_of_one_class_leave_the_others_where_they_were(images, table, tmp_path):
    def tests(name):
        build_dataset(images, table, tmp_path / name, unseen=["Auk", "Crow"])
        _, locs, (_, *items) = read(tmp_path / name)
        return {items[i][2] for i in locs["test_seen_loc"]}

    before = tests("before")
    for i in range(20):
        Image.new("RGB", (4, 4)).save(images / "Bunting" / f"more{i}.png")
    after = tests("after")
    assert {f for f in before if "Bunting" not in f} == {f for f in after if "Bunting" not in f}


def test_build_dataset_skips_hidden_files_and_counts_what_is_no_image(images, table, out):
    (images / ".git").mkdir()
    (images / "readme.txt").write_text("")
    (images / "Auk" / ".DS_Store").write_text("")
    (images / "Auk" / "notes.txt").write_text("")
    (images / "Crow" / "upper.JPG").write_bytes((images / "Crow" / "0.png").read_bytes())
    summary = build_dataset(images, table, out)
    assert summary.ignored == 1
    assert any(line[2] == "images/Crow/upper.JPG" for line in read(out)[2])


def test_build_dataset_is_read_by_the_readers(images, table, out):
    summary = build_dataset(images, table, out)
    read_table = xlsa17.read_att_splits(out)
    items = read_items(out, None, len(BIRDS))
    assert read_table.classes.names == tuple(BIRDS)
    assert read_table.classes.attribute_names == tuple(HEADER[1:])
    assert len(locate_images(items.files, out)) == 52
    seen = np.array([BIRDS.index(name) for name in summary.seen])
    assert len(read_class_splits(out, read_table.classes, seen)) == 3


def test_build_dataset_accepts_a_table_saved_by_pandas_or_a_spreadsheet(images, tmp_path, out):
    path = tmp_path / "sheet.csv"
    rows = [["", *HEADER[1:]], *([f" {row[0]} ", *row[1:]] for row in attributes(BIRDS))]
    text = "\r\n".join(",".join(row) for row in rows) + "\r\n\r\n,,,\r\n"
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert build_dataset(images, path, out).attributes == 3


def without(rows, name):
    return [row for row in rows if row[0] != name]


def with_cell(text):
    return [[*row[:2], text, row[3]] if row[0] == "Crow" else row for row in attributes(BIRDS)]


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        (without(attributes(BIRDS), "Crow"), "folder Crow has no line there"),
        ([*attributes(BIRDS), ["Gull", "1", "2", "0"]], "class Gull has no folder"),
        (attributes([*BIRDS[:-1], "haher"]), "folder Häher has no line there (is it haher?)"),
        (attributes(["AUK", *BIRDS[1:]]), "class AUK has no folder (is it Auk?)"),
        (
            [*attributes(BIRDS), attributes(BIRDS)[0]],
            "class 'Auk' stands there twice, in lines 2 and 10",
        ),
        (with_cell("red"), "class Crow, attribute bill::red: 'red' is no finite number"),
        (with_cell(""), "class Crow, attribute bill::red: '' is no finite number"),
        (with_cell("nan"), "'nan' is no finite number"),
        (with_cell("inf"), "'inf' is no finite number"),
        (with_cell("1,5"), "line 4 has 5 cells, the first 4 (Crow,"),
        ([*attributes(BIRDS[:-1]), ["Häher", "0", "0.0", "-0"]], "class Häher has no attribute"),
        (attributes(BIRDS[:5]), "describes 5 classes, and 6 are needed"),
        ([], "describes 0 classes"),
    ],
)
def test_build_dataset_refuses_attributes_that_do_not_fit(images, tmp_path, out, rows, complaint):
    refused(complaint, images, write_csv(tmp_path / "bad.csv", rows), out)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "does not name the attributes"),
        (b"class;wing;bill\nAuk;1;2\n", "does not name the attributes"),
        (b"class,wing,,bill\nAuk,1,2,3\n", "does not name the attributes"),
        (b"class,wing,wing\nAuk,1,2\n", "column 'wing' stands there twice, in places 2 and 3"),
        (b"\x80\x04\x95\xff\xfe", "line 1 is no UTF-8 text (byte 0x80)"),
        (b"class,wing\nAuk,1\n,2\n", "line 3 names no class"),
    ],
)
def test_build_dataset_refuses_what_is_no_table(images, tmp_path, out, content, complaint):
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    refused(complaint, images, path, out)


def refused(complaint, *args, **options):
    """Check the error, and that nothing was written."""
    out = args[2]
    with pytest.raises(DataError) as error:
        build_dataset(*args, **options)
    assert complaint in str(error.value)
    assert not out.exists()
    assert not out.parent.exists() or not any(p.suffix == ".part" for p in out.parent.iterdir())


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"unseen": 0.9}, "unseen = 0.9 makes 7 of 8 classes unseen. Choose 2 to 4"),
        ({"unseen": 0.0}, "unseen = 0.0 makes 0 of 8"),
        ({"unseen": ["Auk"]}, "makes 1 of 8"),
        ({"unseen": ["Auk", "Craw"]}, "There is no class 'Craw'. Did you mean 'Crow'?"),
        ({"test_seen": 1.0}, "1.0 is no share"),
        ({"test_seen": 0}, "0 is no share"),
    ],
)
def test_build_dataset_refuses_shares_that_leave_too_little(images, table, out, options, complaint):
    refused(complaint, images, table, out, **options)


def test_build_dataset_refuses_classes_with_too_few_images(images, table, out):
    (images / "Auk" / "0.png").rename(images / "Auk" / "0.txt")
    refused("holds 2 images", images, table, out)


def test_build_dataset_names_all_faults_at_once_each_with_its_own_remedy(images, tmp_path, out):
    (images / "Auk" / "0.png").rename(images / "Auk" / "0.txt")
    rows = [*with_cell("１"), ["Gull", "1", "2", "0"], ["Haher", "0", "0", "0"]]
    path = write_csv(tmp_path / "bad.csv", without(rows, "Häher"))
    with pytest.raises(DataError) as error:
        build_dataset(images, path, out)
    assert str(error.value) == (
        f"{images} and {path}: class Crow, attribute bill::red: '１' is no finite number. "
        "Put a number there, with a point for decimals. "
        "Also: class Haher has no attribute other than 0. "
        "Give every class at least one attribute. "
        "Also: folder Häher has no line there (is it Haher?). "
        "Add a line for each such folder, or move it away. "
        "Also: class Gull has no folder; class Haher has no folder (is it Häher?). "
        "Make a folder of images for each such class, or remove its line. "
        f"Also: folder Auk holds 2 images. Put at least 3 there ({', '.join(SUFFIXES)}), "
        "or remove both."
    )


def test_build_dataset_refuses_folders_that_are_not_there(images, table, out, tmp_path):
    refused("is no readable folder", tmp_path / "nowhere", table, out)
    refused("there is no such file", images, tmp_path / "nowhere.csv", out)
    refused("folder", tmp_path, table, out)


def take_by_file(out):
    out.write_text("mine")


def take_by_folder(out):
    out.mkdir()
    (out / "mine").write_text("mine")


def take_by_link(out):
    out.symlink_to(out.with_name("elsewhere"))


@pytest.mark.parametrize("take", [take_by_file, take_by_folder, take_by_link])
def test_build_dataset_overwrites_nothing(images, table, tmp_path, take):
    take(tmp_path / "taken")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DataError, match="exists and is not an empty folder"):
        build_dataset(images, table, tmp_path / "taken")
    assert sorted(tmp_path.rglob("*")) == before


def test_build_dataset_fills_an_empty_folder_but_none_inside_the_images(images, table, tmp_path):
    (tmp_path / "empty").mkdir()
    assert build_dataset(images, table, tmp_path / "empty").folder == tmp_path / "empty"
    refused("lies inside the images' folder", images, table, images / "dataset")


def test_build_dataset_leaves_nothing_when_the_disk_fills(images, table, out, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "symlink", full)
    refused("No space left on device", images, table, out)
