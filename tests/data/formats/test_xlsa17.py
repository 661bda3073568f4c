"""The reader of the Proposed Splits, on the files their authors ship."""

import shutil

import numpy as np
import pandas as pd
import pytest
from datasets import write_tiny
from scipy.io import loadmat, savemat

from zslbench.data.formats.items import locate_images, read_items
from zslbench.data.formats.xlsa17 import read_att_splits
from zslbench.data.load import DataRequest, find_datasets, load_dataset
from zslbench.errors import DataError, ZslbenchError
from zslbench.protocol import tuning_worlds

PUBLISHED = [
    ("CUB", 200, 312, 7057, 1764, 2967),
    ("SUN", 717, 102, 10320, 2580, 1440),
    ("AWA2", 50, 85, 23527, 5882, 7913),
    ("AWA1", 50, 85, 19832, 4958, 5685),
    ("APY", 32, 64, 5932, 1483, 7924),
]
WITH_INDEX = [
    ("CUB", 11788, 150, 50, [(100, 50)] * 3),
    ("AWA2", 37322, 40, 10, [(27, 13)] * 3),
    ("SUN", 14340, 645, 72, [(580, 65)] * 3),
]
LEAKY = [("AWA2", 5882), ("SUN", 2580)]


def numbers(path, *names):
    """Return the union of some locs as SciPy reads them."""
    content = loadmat(path)
    return {int(i) for name in names for i in content[name].ravel()}


def assemble(folder, *, splits, index=None, lists=None):
    """Make a dataset folder of real files, with one column of features drawn at random."""
    folder.mkdir(parents=True)
    (folder / "att_splits.mat").symlink_to(splits / "att_splits.mat")
    labels = pd.read_csv((index or splits) / "index.csv.gz")["label_1based"].to_numpy()
    features = np.random.default_rng(0).normal(size=(4, len(labels)))
    savemat(folder / "few.mat", {"features": features, "labels": labels[:, None]})
    for path in (lists or splits).glob("*classes?.txt"):
        (folder / path.name).symlink_to(path)
    return folder


def sizes(dataset):
    return [(len(split.train), len(split.validation)) for split in dataset.splits.class_splits]


@pytest.fixture
def tiny(tmp_path):
    """A tiny dataset that a test may alter."""
    return write_tiny(tmp_path / "data" / "tiny")


def load(folder, **request):
    return load_dataset(DataRequest(folder.name, folder.parent, **request))


@pytest.mark.parametrize(
    ("name", "classes", "attributes", "trainval", "test_seen", "test_unseen"), PUBLISHED
)
def test_att_splits_have_the_published_counts(
    real_data, name, classes, attributes, trainval, test_seen, test_unseen
):
    table = read_att_splits(real_data / "xlsa17" / name)
    splits = table.splits
    assert table.classes.attributes.shape == (classes, attributes)
    assert len(set(table.classes.names)) == classes
    locs = splits.trainval, splits.test_seen, splits.test_unseen
    assert tuple(map(len, locs)) == (trainval, test_seen, test_unseen)
    assert set(np.concatenate(locs)) == set(range(trainval + test_seen + test_unseen))


@pytest.mark.parametrize("name", [row[0] for row in PUBLISHED])
def test_class_attributes_are_unit_rows_of_the_published_ones(real_data, name):
    classes = read_att_splits(real_data / "xlsa17" / name).classes
    content = loadmat(real_data / "xlsa17" / name / "att_splits.mat")
    np.testing.assert_allclose(np.linalg.norm(classes.attributes, axis=1), 1, rtol=1e-12)
    np.testing.assert_allclose(classes.attributes, content["att"].T, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(classes.raw_attributes, content["original_att"].T)


def test_class_attributes_of_a_file_in_single_precision_are_accepted(tiny):
    content = loadmat(tiny / "att_splits.mat")
    kept = {k: v for k, v in content.items() if not k.startswith("__")}
    savemat(tiny / "att_splits.mat", kept | {"att": kept["att"].astype(np.float32)})
    assert np.allclose(np.linalg.norm(load(tiny).classes.attributes, axis=1), 1, rtol=1e-12)


@pytest.mark.parametrize(("name", "items", "seen", "unseen", "_splits"), WITH_INDEX)
def test_classes_are_seen_and_unseen_as_published(
    real_data, tmp_path, name, items, seen, unseen, _splits
):
    dataset = load(assemble(tmp_path / name, splits=real_data / "xlsa17" / name))
    assert len(dataset.inputs) == items
    assert (len(dataset.seen), len(dataset.unseen)) == (seen, unseen)
    names = {dataset.classes.names[c] for c in dataset.unseen}
    listed = (real_data / "xlsa17" / name / "testclasses.txt").read_text().split()
    assert names == set(listed)


@pytest.mark.parametrize(("name", "_items", "_seen", "_unseen", "splits"), WITH_INDEX)
def test_official_class_splits_are_read_and_partition_the_seen_classes(
    real_data, tmp_path, name, _items, _seen, _unseen, splits
):
    dataset = load(assemble(tmp_path / name, splits=real_data / "xlsa17" / name))
    assert sizes(dataset) == splits
    for split in dataset.splits.class_splits:
        both = np.concatenate([split.train, split.validation])
        np.testing.assert_array_equal(np.sort(both), dataset.seen)


def test_official_class_splits_of_cub20(real_data):
    dataset = load(real_data / "cub20")
    assert sizes(dataset) == [(10, 3), (7, 6), (8, 5)]
    assert [split.name for split in dataset.splits.class_splits] == [
        "official 1", "official 2", "official 3",
    ]  # fmt: skip


def test_items_keep_the_order_of_xlsa17(real_data):
    folder = real_data / "xlsa17" / "CUB"
    items, classes = read_items(folder, None, 200), read_att_splits(folder).classes
    assert items.labels[0] == 151 - 1
    assert "001.Black_footed_Albatross" in items.files[0]
    for item in (0, 5000, 11787):
        assert f"/{classes.names[items.labels[item]]}/" in items.files[item]


@pytest.mark.parametrize(("name", "leaking"), LEAKY)
def test_a_leaky_file_is_refused_with_the_number_of_leaking_images(
    real_data, tmp_path, name, leaking
):
    variant = real_data / "xlsa17_variants" / f"{name}_2018_leaky"
    path = variant / "att_splits.mat"
    tuning, test = numbers(path, "train_loc", "val_loc"), numbers(path, "test_seen_loc")
    assert len(tuning & test) == leaking
    folder = assemble(tmp_path / name, splits=variant, index=real_data / "xlsa17" / name)
    with pytest.raises(DataError, match=f"{leaking} test images .* --resplit"):
        load(folder)


@pytest.mark.parametrize("name", [name for name, _ in LEAKY])
@pytest.mark.parametrize("with_lists", [True, False], ids=["class lists", "no class lists"])
def test_a_leaky_file_is_mended_by_resplit(real_data, tmp_path, name, with_lists):
    variant, official = (
        real_data / "xlsa17_variants" / f"{name}_2018_leaky",
        real_data / "xlsa17" / name,
    )
    lists = official if with_lists else variant
    folder = assemble(tmp_path / name, splits=variant, index=official, lists=lists)
    dataset = load(folder, resplit=True)
    assert len(sizes(dataset)) == (3 if with_lists else 0)
    for world in tuning_worlds(dataset, 3):
        assert np.isin(world.test, dataset.splits.trainval).all()
        assert np.isin(world.classes, dataset.seen).all()


def test_train_loc_and_val_loc_of_the_2020_file_are_the_official_class_split(real_data, tmp_path):
    variant, official = real_data / "xlsa17_variants" / "AWA2_v2_2020", real_data / "xlsa17/AWA2"
    folder = assemble(tmp_path / "AWA2", splits=variant, index=official)
    (split,) = load(folder).splits.class_splits
    assert (len(split.train), len(split.validation)) == (27, 13)
    locs = numbers(variant / "att_splits.mat", "train_loc", "val_loc")
    assert locs == numbers(variant / "att_splits.mat", "trainval_loc")


def test_class_lists_come_before_train_loc_and_val_loc(real_data, tmp_path):
    variant, official = real_data / "xlsa17_variants" / "AWA2_v2_2020", real_data / "xlsa17/AWA2"
    folder = assemble(tmp_path / "AWA2", splits=variant, index=official, lists=official)
    assert sizes(load(folder)) == [(27, 13)] * 3


@pytest.mark.parametrize("name", ["cub20", "CUB20", "Cub20"])
def test_a_dataset_is_found_in_any_case(real_data, name):
    assert load_dataset(DataRequest(name, real_data)).name == "cub20"


def test_find_datasets_lists_every_folder_with_splits(real_data):
    assert set(find_datasets(real_data / "xlsa17")) == {row[0] for row in PUBLISHED}
    assert "cub20" in find_datasets(real_data)


def test_a_mistyped_dataset_is_answered_with_the_nearest(real_data):
    with pytest.raises(ZslbenchError, match=r"no dataset 'AWA3'.*Did you mean 'AWA\d'\?"):
        load_dataset(DataRequest("AWA3", real_data / "xlsa17"))


def test_a_data_root_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ZslbenchError, match=r"nowhere: there is no such folder"):
        load_dataset(DataRequest("CUB", tmp_path / "nowhere"))


@pytest.mark.parametrize(
    ("files", "asked", "read"),
    [
        (["res101"], None, "res101"),
        (["a", "res101"], None, "res101"),
        (["vit"], None, "vit"),
        (["a", "res101"], "a", "a"),
    ],
)
def test_features_default_to_res101_or_the_only_file(tiny, files, asked, read):
    content = (tiny / "res101.mat").read_bytes()
    (tiny / "res101.mat").unlink()
    for name in files:
        (tiny / f"{name}.mat").write_bytes(content)
    assert load(tiny, features=asked).backbone.name == f"features:{read}"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (["b", "a"], r"several feature files \(a, b\)\. Name one as the features"),
        ([], r"no feature file\. Put a file of the shape of res101.mat"),
    ],
)
def test_features_that_leave_a_choice_must_be_named(tiny, files, said):
    for name in files:
        shutil.copy(tiny / "res101.mat", tiny / f"{name}.mat")
    (tiny / "res101.mat").unlink()
    with pytest.raises(DataError, match=said):
        load(tiny)


def test_features_exposure_is_known_for_the_published_ones_only(tiny):
    shutil.copy(tiny / "res101.mat", tiny / "mine.mat")
    assert load(tiny).backbone.exposure == "1k"
    assert load(tiny, features="mine").backbone.exposure == "unknown"


def test_features_change_the_backbone_and_not_the_data(tiny):
    content = loadmat(tiny / "res101.mat")
    changed = {"features": content["features"] * 2, "labels": content["labels"]}
    savemat(tiny / "double.mat", changed)
    one, two = load(tiny), load(tiny, features="double")
    assert one.digest == two.digest
    assert one.backbone.weights_digest != two.backbone.weights_digest


FOREIGN = "/BS/Deep_Fragments/work/MSc/CUB_200_2011/CUB_200_2011/images/"


@pytest.mark.parametrize(
    "prefix", ["", "/", FOREIGN, "C:\\data\\images\\", "//images//"],
    ids=["relative", "rooted", "foreign", "windows", "double slashes"],
)  # fmt: skip
def test_locate_images_matches_the_longest_suffix_below_the_root(real_data, prefix):
    root = real_data / "cub20" / "CUB_200_2011" / "images"
    names = sorted(p.relative_to(root).as_posix() for p in root.glob("011*/*.jpg"))
    assert locate_images([prefix + name for name in names], root) == [root / n for n in names]


def test_locate_images_takes_a_dataset_as_it_is(real_data):
    folder = real_data / "cub20"
    items = read_items(folder, folder / "mobilenetv2.mat", 20)
    found = locate_images(items.files, folder)
    assert len(found) == 1185
    assert all(path.parts[-2:] == tuple(file.split("/")[-2:])
               for path, file in zip(found, items.files, strict=True))  # fmt: skip


@pytest.mark.parametrize("missing", ["no/such.jpg", "", "/", "x" * 5000, "nul\0.jpg"])
def test_locate_images_counts_and_names_what_is_missing(real_data, missing):
    root = real_data / "cub20"
    file = read_items(root, root / "mobilenetv2.mat", 20).files[0]
    with pytest.raises(DataError) as refused:
        locate_images([file, *[missing] * 7], root)
    assert refused.value.what.startswith("7 of 8 image files are not below this folder")
    assert refused.value.what.endswith(" ...")
    assert "--images" in refused.value.fix


@pytest.mark.parametrize("file", ["../secret.jpg", "a/../../b.jpg", "..\\b.jpg"])
def test_locate_images_does_not_leave_the_root(tmp_path, file):
    (tmp_path / "secret.jpg").touch()
    (tmp_path / "root").mkdir()
    with pytest.raises(DataError, match="points outside"):
        locate_images([file], tmp_path / "root")


def test_missing_images_are_counted_before_anything_is_decoded(tiny):
    with pytest.raises(DataError, match="144 of 144 image files are not below this folder"):
        load(tiny, image_size=56)


def test_an_index_serves_where_there_are_no_features(real_data):
    with pytest.raises(DataError, match="11788 of 11788 image files"):
        load(real_data / "xlsa17" / "CUB", image_size=56)


def test_a_folder_that_names_no_items_says_what_is_missing(real_data):
    with pytest.raises(DataError, match=r"neither a feature file .* nor an index\.csv"):
        load(real_data / "xlsa17" / "AWA1", image_size=56)


def relabel(folder, change):
    content = loadmat(folder / "res101.mat")
    labels = content["labels"].copy()
    change(labels)
    savemat(folder / "res101.mat", {"features": content["features"], "labels": labels})


def to_class(items, label):
    def change(labels):
        labels[items] = label

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (to_class(-1, 1), "class class_0 has items in trainval_loc and in test_unseen_loc"),
        (to_class(1, 12), "class class_11 has items in trainval_loc and in test_unseen_loc"),
        (to_class(0, 12), "class class_11 has items in test_seen_loc but none in trainval_loc"),
    ],
)
def test_labels_that_disagree_with_the_splits_are_refused(tiny, change, said):
    relabel(tiny, change)
    with pytest.raises(DataError) as refused:
        load(tiny)
    assert refused.value.what == said
    assert "res101.mat" in refused.value.where


TRAIN = {"trainclasses1.txt": "class_0\nclass_1"}


@pytest.mark.parametrize(
    ("lists", "said"),
    [
        (TRAIN | {"valclasses1.txt": "class_2\nclas_3"}, "Did you mean 'class_3'?"),
        (TRAIN | {"valclasses1.txt": "class_2\nclass_11"}, "class_11 is an unseen class"),
        (TRAIN | {"valclasses1.txt": "class_2\nclass_1"}, "class_1 is in trainclasses1.txt too"),
        (TRAIN | {"valclasses1.txt": " \n"}, "names no class"),
        (TRAIN, "there is no such file"),
        (
            {"trainvalclasses.txt": "class_0"},
            "class class_1 is not named here but has items in trainval_loc",
        ),
        (
            {"testclasses.txt": "class_9\nclass_10\nclass_11\nclass_2"},
            "class class_2 is named here but has no items in test_unseen_loc",
        ),
    ],
)
def test_class_lists_that_cannot_be_right_are_refused(tiny, lists, said):
    for file, names in lists.items():
        (tiny / file).write_text(names)
    with pytest.raises(DataError) as refused:
        load(tiny)
    assert said in refused.value.what
    assert "classes" in refused.value.where


def test_class_lists_are_read_until_a_number_is_missing(tiny):
    for number in (1, 2, 4):
        (tiny / f"trainclasses{number}.txt").write_text("class_0\n\n class_1 \n")
        (tiny / f"valclasses{number}.txt").write_text("class_2\nclass_3")
    assert sizes(load(tiny)) == [(2, 2)] * 2


@pytest.mark.parametrize(
    ("lines", "names"),
    [
        ([f"{i} part::colour_{i}" for i in range(1, 9)], ("part::colour_1", "part::colour_8")),
        ([f"colour of part {i}" for i in range(8)], ("colour of part 0", "colour of part 7")),
    ],
    ids=["numbered", "not numbered"],
)
@pytest.mark.parametrize("file", ["attributes.txt", "predicates.txt"])
def test_attribute_names_are_read_numbered_or_not(tiny, file, lines, names):
    (tiny / file).write_text("\n".join(lines))
    found = load(tiny).classes.attribute_names
    assert (found[0], found[-1]) == names
    assert len(found) == 8
