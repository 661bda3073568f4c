"""Class descriptions: made from names or attributes, or read from a file, or refused."""

import json

import numpy as np
import pytest

from zslbench.data.descriptions import load_descriptions, plain_name
from zslbench.data.load import DataRequest, load_dataset
from zslbench.data.types import ClassTable
from zslbench.errors import DataError

ATTRIBUTES = ("has_bill_shape::hooked", "has_bill_shape::cone", "has_size::large_(16_-_32_in)",
              "has_wing_color::blue")  # fmt: skip


def table(shares=((80, 20, 60, 10), (10, 90, 30, 100)), attributes=ATTRIBUTES):
    raw = np.array(shares, dtype=float)
    return ClassTable(("001.Laysan_Albatross", "giant+panda"), raw / 100, raw, attributes)


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("001.Black_footed_Albatross", "Black footed Albatross"),
        ("grizzly+bear", "grizzly bear"),
        ("Chuck_will_Widow", "Chuck will Widow"),
        ("abbey", "abbey"),
    ],
)
def test_a_name_is_told_in_words(name, plain):
    assert plain_name(name) == plain


def test_names_alone():
    found = load_descriptions("names", table())
    assert found.sentences.tolist() == [["Laysan Albatross"], ["giant panda"]]


def test_attributes_tell_the_strongest_of_each_family_that_holds_for_the_majority():
    found = load_descriptions("attributes", table())
    assert found.sentences.tolist() == [
        ["Laysan Albatross with hooked bill shape, large size"],
        ["giant panda with cone bill shape, blue wing color"],
    ]
    assert found.description == "attributes"


def test_attributes_of_a_class_that_has_none_for_sure_tell_the_strongest():
    shares = ((10, 20, 5, 1), (10, 90, 30, 100))
    assert load_descriptions("attributes", table(shares), "bird").sentences[0, 0] == (
        "bird with cone bill shape"
    )


def test_many_attributes_make_several_sentences():
    names = tuple(f"trait{n}" for n in range(14))
    found = load_descriptions("attributes", table(np.full((2, 14), 100.0), names)).sentences
    assert found.shape == (2, 3)
    told = " ".join(found[0]).replace(",", "").split()
    assert [word for word in told if word.startswith("trait")] == list(names)


def test_attributes_without_names_are_refused():
    with pytest.raises(DataError, match=r"does not name its attributes.*attributes\.txt"):
        load_descriptions("attributes", table(attributes=()))


def write(tmp_path, content):
    path = tmp_path / "told.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


def test_a_file_may_tell_one_class_more_than_another(tmp_path):
    told = {"Laysan Albatross": ["a large\nseabird", "black wings"], "GIANT_PANDA": ["a bear"],
            "unicorn": []}  # fmt: skip
    found = load_descriptions(write(tmp_path, told), table())
    assert found.sentences.tolist() == [["a large seabird", "black wings"], ["a bear", ""]]
    assert found.description == "told.json"


def test_a_file_may_tell_of_a_class_in_several_documents(tmp_path):
    told = {"Laysan Albatross": [["a large\nseabird", "black wings"], ["it glides"]],
            "giant panda": ["a bear"]}  # fmt: skip
    found = load_descriptions(write(tmp_path, told), table())
    assert found.sentences.tolist() == [
        [["a large seabird", "black wings"], ["it glides", ""]], [["a bear", ""], ["", ""]]
    ]  # fmt: skip
    del told["giant panda"][0]
    told["giant panda"] += [["a bear"], ["eats", "bamboo"]]
    assert load_descriptions(write(tmp_path, told), table()).sentences.shape == (2, 2, 2)


def test_the_digest_is_of_the_sentences(tmp_path):
    one = load_descriptions("names", table())
    same = write(tmp_path, {"001.Laysan_Albatross": ["Laysan Albatross"],
                            "giant+panda": ["giant panda"]})  # fmt: skip
    assert load_descriptions(same, table()).digest == one.digest
    assert load_descriptions("attributes", table()).digest != one.digest


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"giant panda": ["a bear"]}, "1 of 2 classes, not 001.Laysan_Albatross"),
        ({"Laysan Albatross": [], "giant panda": ["a"]}, "001.Laysan_Albatross.*no list of sent"),
        ({"Laysan Albatross": "a", "giant panda": ["a"]}, "'a' is no list of sentences"),
        ({"Laysan Albatross": [" "], "giant panda": ["a"]}, "' ' is no sentence"),
        ({"Laysan Albatross": [7], "giant panda": ["a"]}, "7 is no sentence"),
        ({"Laysan Albatross": [["a"], "b"], "giant panda": ["a"]}, "'b' is no document"),
        ({"Laysan Albatross": [["a"], []], "giant panda": ["a"]}, "is no document"),
        ({"Laysan Albatross": ["a", ["b"]], "giant panda": ["a"]}, r"\['b'\] is no sentence"),
        (["a bear"], "holds a list, not an object"),
        ("{", "is no readable JSON"),
    ],
)
def test_a_file_that_does_not_do_is_refused_by_what_is_wrong(tmp_path, content, said):
    with pytest.raises(DataError, match=said):
        load_descriptions(write(tmp_path, content), table())


CRANES = ClassTable(("134.crane", "517.crane", "003.owl"), np.eye(3), np.eye(3), ())
OWL = {"owl": ["an owl"]}
BOTH = {"134.crane": ["a bird"], "517.crane": ["a machine"]}


def test_full_names_go_to_exactly_their_classes(tmp_path):
    found = load_descriptions(write(tmp_path, BOTH | OWL), CRANES)
    assert found.sentences.tolist() == [["a bird"], ["a machine"], ["an owl"]]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (OWL | {"crane": ["a bird"]}, "'crane' may be 134.crane or 517.crane"),
        (OWL | BOTH | {"crane": ["a bird"]}, "'crane' may be 134.crane or 517.crane"),
        (OWL | {"099.Crane": ["a bird"]}, "'099.Crane' may be 134.crane or 517.crane"),
        (BOTH | OWL | {"003.owl": ["one"]}, "003.owl twice, as 'owl' and as '003.owl'"),
        (BOTH | OWL | {"Owl": ["one"]}, "003.owl twice, as 'owl' and as 'Owl'"),
    ],
)
def test_what_may_be_two_classes_or_two_texts_is_refused(tmp_path, content, said):
    with pytest.raises(DataError, match=said):
        load_descriptions(write(tmp_path, content), CRANES)


def test_a_file_that_is_not_there_is_refused():
    with pytest.raises(DataError, match=r"there is no such file.*names or attributes"):
        load_descriptions("nowhere.json", table())


def test_a_dataset_on_disk_is_told_by_its_names(tiny_root):
    found = load_dataset(DataRequest("tiny", tiny_root))
    assert found.sentences[3].tolist() == ["class 3"]
    assert found.descriptions.description == "names"


def test_plumage_is_told_by_its_attributes(tmp_path):
    request = DataRequest("plumage:classes=6,unseen=2,images_per_class=5", tmp_path)
    found = load_dataset(request)
    assert found.sentences.shape == (6, 2)
    assert all(text.startswith("bird with ") for text in found.sentences.ravel())
    crowns = {name.split("_crowned")[0][4:].lower() for name in found.classes.names}
    assert crowns == {text.split()[2] for text in found.sentences[:, 0]}
