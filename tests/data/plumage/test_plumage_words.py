"""The word vectors that come with plumage: made of CUB's, asked for by name, with controls."""

from pathlib import Path

import numpy as np
import pytest

from zslbench.data.load import DataRequest, load_dataset
from zslbench.data.plumage import ATTRIBUTE_NAMES
from zslbench.data.plumage.words import compose, composed_of, plumage_words
from zslbench.data.words import asked_words, clean_name
from zslbench.errors import DataError
from zslbench.methods.svip import SVIP
from zslbench.protocol import final_world
from zslbench.studies.plan import plan

BIRDS = "plumage:classes=9,unseen=3,images_per_class=5"


def dataset(words):
    return load_dataset(DataRequest(BIRDS, Path(), words=words, bare=True))


def names_of_cub(folder):
    lines = (folder / "attribute_names" / "CUB_attributes.txt").read_text().splitlines()
    return [line.split()[1] for line in lines]


def test_the_table_is_composed_of_cubs(real_data):
    table = np.load(real_data / "words" / "CUB_word2vec_sum.npy")
    made = compose(table, names_of_cub(real_data))
    assert np.array_equal(made, plumage_words())
    assert made.shape == (len(ATTRIBUTE_NAMES), 300)


def test_a_tails_colour_is_the_sum_of_its_words(real_data):
    """Solve CUB's table for single words; `tail` is in other names of its."""
    table = np.load(real_data / "words" / "CUB_word2vec_sum.npy").astype(np.float64)
    names = [clean_name(name) for name in names_of_cub(real_data)]
    words = sorted({word for name in names for word in name})
    counts = np.array([[name.count(word) for word in words] for name in names], dtype=float)
    single = dict(zip(words, np.linalg.lstsq(counts, table, rcond=None)[0], strict=True))
    found = dict(zip(ATTRIBUTE_NAMES, plumage_words(), strict=True))
    for colour in ("black", "red"):
        expected = single["tail"] + single["color"] + single[colour]
        # minimum-norm word vectors share a shift that sums of as many words do not show
        assert found[f"has_tail_color::{colour}"] == pytest.approx(expected, abs=5e-3)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("has_crown_color::red", {"has_crown_color::red": 1}),
        ("has_tail_shape::forked", {"has_tail_shape::forked_tail": 1}),
        ("has_size::small", {"has_size::small_(5_-_9_in)": 1}),
        ("has_tail_color::red", {"has_tail_pattern::solid": 1, "has_wing_pattern::solid": -1,
                                 "has_wing_color::red": 1}),
    ],
)  # fmt: skip
def test_each_row_is_told_by_the_attributes_of_cub_that_it_is_made_of(name, parts):
    assert composed_of(name) == parts


def test_attributes_of_like_meaning_have_like_vectors():
    words = dict(zip(ATTRIBUTE_NAMES, asked_words("plumage", ATTRIBUTE_NAMES, 47).vectors,
                     strict=True))  # fmt: skip
    red, tail, other = (words[n] for n in ("has_crown_color::red", "has_tail_color::red",
                                           "has_bill_shape::dagger"))  # fmt: skip
    assert red @ tail > 0.6 > red @ other


def test_plumage_has_its_own_words_and_random_ones_where_asked_for():
    own = dataset(None)
    assert own.words.description == "plumage, L2"
    assert own.word_vectors == pytest.approx(asked_words("plumage", ATTRIBUTE_NAMES, 47).vectors)
    raw, drawn = dataset("sum:plumage"), dataset("random")
    assert np.array_equal(raw.word_vectors, plumage_words())
    assert (raw.words.description, drawn.words.description) == ("plumage, raw", "random:0, L2")


def test_shuffled_words_are_the_same_vectors_and_no_attribute_has_its_own():
    own, shuffled = dataset(None), dataset("shuffled:plumage")
    assert shuffled.words.description == "shuffled:plumage, L2"
    assert not (own.word_vectors == shuffled.word_vectors).all(axis=1).any()
    rows = [sorted(map(tuple, data.word_vectors.tolist())) for data in (own, shuffled)]
    assert rows[0] == rows[1]


def test_runs_on_other_words_have_other_keys_and_methods_without_words_the_same():
    def key(method, words):
        request = DataRequest(BIRDS, Path(), words=words)
        (job,) = plan([method], [request], settings={}, seeds=[0], worlds=1)
        return job.spec.key

    sources = None, "shuffled:plumage", "random", "plumage"
    *three, again = (key("svip", words) for words in sources)
    assert len(set(three)) == 3
    assert again == three[0]
    assert len({key("vit_attr_head", words) for words in sources}) == 1


def test_svip_is_handed_these_words():
    world = final_world(dataset(None))
    assert world.train_set(SVIP).word_vectors.shape == (47, 300)


def test_other_attributes_have_no_words_of_plumages():
    with pytest.raises(DataError, match="plumage: is the word vectors of plumage's attributes"):
        asked_words("plumage", ("has_bill_color::red",), 1)
