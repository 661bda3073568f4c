from pathlib import Path

import numpy as np
import pytest

from zslbench.data.load import DataRequest, load_dataset
from zslbench.data.words import asked_words, clean_name, load_words
from zslbench.errors import DataError

SHARED = Path(__file__).parents[3] / "shared" / "data"
real_data = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared real data are not here")

TABLE = """the 1 1
bill 1 0
blue 0 3
gray 4 4
Eye 6 8
eye 0 1
"""


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "tiny.txt"
    path.write_text(TABLE)
    return path


def write(path, content):
    path.write_bytes(content) if isinstance(content, bytes) else path.write_text(content)
    return str(path)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("has_bill_shape::curved_(up_or_down)", "bill shape curved"),
        ("has_bill_shape::spatulate", "bill shape broad"),
        ("has_upperparts_color::grey", "upper parts color gray"),
        ("has_shape::gull-like", "shape gull like"),
        ("has_size::very_small_(3_-_5_in)", "size very small"),
        ("oldworld", "old world"),
        ("strainteeth", "strain teeth"),
        ("quadrapedal", "quadrupedal"),
        ("buckteeth", "buckteeth"),
        ("new+world", "new world"),
        ("electric/indoor lighting", "electric indoor lighting"),
        ("rock/stone", "rock stone"),
        ("vacationing/ touring", "vacationing touring"),
        ("far-away horizon", "faraway horizon"),
        ("greyhound", "greyhound"),
        ("hash", "hash"),
        ("(none)", ""),
    ],
)
def test_clean_name_follows_the_rules_of_the_field(name, words):
    assert clean_name(name) == words.split()


@real_data
@pytest.mark.parametrize("dataset", ["CUB", "AWA2"])
def test_clean_name_explains_the_papers_tables_exactly(dataset):
    """Each published row is the sum of its words' vectors: a least-squares fit leaves nothing."""
    names_file = next((SHARED / "attribute_names").glob(f"{dataset}_*.txt"))
    names = [line.split(maxsplit=1)[1] for line in names_file.read_text().splitlines()]
    published = np.load(SHARED / "words" / f"{dataset}_word2vec_sum.npy").astype(np.float64)
    vocabulary = sorted({word for name in names for word in clean_name(name)})
    counts = np.array([[clean_name(name).count(word) for word in vocabulary] for name in names])
    vectors = np.linalg.lstsq(counts, published, rcond=None)[0]
    np.testing.assert_allclose(counts @ vectors, published, atol=1e-6)


@real_data
@pytest.mark.parametrize(("dataset", "count", "empty"), [("CUB", 312, ()), ("SUN", 102, (88,))])
def test_load_words_reads_the_papers_tables(dataset, count, empty):
    source = str(SHARED / "words" / f"{dataset}_word2vec_sum.npy")
    words = load_words(source, (), count)
    assert (words.vectors.shape, words.vectors.dtype) == ((count, 300), np.float64)
    assert words.empty == empty
    np.testing.assert_allclose(np.linalg.norm(words.vectors, axis=1), 1)
    raw = load_words(source, (), count, normalise=False)
    others = np.setdiff1d(np.arange(count), empty)
    assert (raw.vectors[others] == np.load(source)[others]).all()


@pytest.mark.parametrize(
    ("pool", "normalise", "expected", "description"),
    [
        ("mean", False, [[0.5, 1.5], [4, 4]], "tiny.txt, mean, raw"),
        ("sum", False, [[1, 3], [4, 4]], "tiny.txt, sum, raw"),
        ("mean", True, [[0.1**0.5, 0.9**0.5], [0.5**0.5] * 2], "tiny.txt, mean, L2"),
    ],
)
def test_load_words_pools_the_words_of_a_name(table, pool, normalise, expected, description):
    words = load_words(str(table), ["blue bill", "grey"], 2, pool, normalise)
    np.testing.assert_allclose(words.vectors, expected)
    assert words.description == description
    assert (words.missing, words.empty) == ((), ())


def test_load_words_prefers_the_case_as_written_then_lower_case(table):
    words = load_words(str(table), ["Eye", "EYE", "Blue"], 3, normalise=False)
    assert words.vectors.tolist() == [[6, 8], [0, 1], [0, 3]]


def test_load_words_reports_missing_words_and_fills_empty_rows_with_the_mean(table):
    words = load_words(str(table), ["blue crest", "lore", "bill", "the"], 4, normalise=False)
    assert words.missing == ("crest", "lore")
    assert words.empty == (1,)
    np.testing.assert_allclose(words.vectors[1], words.vectors[[0, 2, 3]].mean(axis=0))
    assert words.description == "tiny.txt, mean, raw, 1 of 4 rows empty: the mean of the others"


def test_asked_words_after_sum_are_the_papers_raw_sums_and_a_sum_of_nothing_is_zero(table):
    words = asked_words(f"sum:{table}", ["blue bill", "lore"], 2)
    assert words.vectors.tolist() == [[1, 3], [0, 0]]
    assert words.description == "tiny.txt, sum, raw, 1 of 2 rows empty: zeros"
    plain = asked_words(str(table), ["blue bill", "lore"], 2)
    np.testing.assert_allclose(np.linalg.norm(plain.vectors, axis=1), 1)


@real_data
@pytest.mark.parametrize(("name", "count"), [("CUB", 312), ("AWA2", 85), ("SUN", 102)])
def test_asked_words_after_sum_are_the_released_tables_bit_for_bit(name, count):
    path = SHARED / "words" / f"{name}_word2vec_sum.npy"
    np.testing.assert_array_equal(asked_words(f"sum:{path}", (), count).vectors, np.load(path))


def test_a_dataset_hands_over_the_table_as_asked(tiny_root, tmp_path):
    path = tmp_path / "words.npy"
    raw = load_dataset(DataRequest("tiny", tiny_root, bare=True))
    rows = np.random.default_rng(0).normal(size=(raw.classes.attributes.shape[1], 4))
    np.save(path, rows)
    found = load_dataset(DataRequest("tiny", tiny_root, words=f"sum:{path}", bare=True))
    np.testing.assert_array_equal(found.word_vectors, rows)
    assert found.words.description == "words.npy, raw"


@pytest.mark.parametrize(
    "content",
    [
        "2 2\nbill 1 0\nblue 0 3\n",
        "2 2\nbill 1 0 \nblue 0 3 \n",
        "bill 1 0\r\nblue 0 3\r\n\r\n",
        "bill 1 0\nat name@domain.com 5 5\nblue at . 7 7\nblue 0 3",
        b"bill 1 0\n\xff\xfe 2 2\nblue 0 3\n",
    ],
    ids=["word2vec", "word2vec, blank at the end", "windows", "blanks in words", "not UTF-8"],
)
def test_load_words_reads_the_text_formats(tmp_path, content):
    words = load_words(write(tmp_path / "t.txt", content), ["bill", "blue"], 2, normalise=False)
    assert words.vectors.tolist() == [[1, 0], [0, 3]]


def test_load_words_at_random_is_seeded_and_says_so():
    words, again, other = (load_words(s, (), 5) for s in ("random", "random:0", "random:1"))
    assert words.vectors.shape == (5, 300)
    assert words.digest == again.digest != other.digest
    assert (words.description, other.description) == ("random:0, L2", "random:1, L2")


def test_digest_tells_values_pooling_and_normalisation_apart_but_not_file_names(table):
    names = ["blue", "bill"]
    twin = write(table.with_name("twin.txt"), TABLE)
    first = load_words(str(table), names, 2).digest
    assert load_words(twin, names, 2).digest == first
    changed = [
        load_words(str(table), names[::-1], 2),
        load_words(str(table), names, 2, pool="sum"),
        load_words(str(table), names, 2, normalise=False),
    ]
    assert len({first, *(words.digest for words in changed)}) == 4


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("bill 1 0\nblue 0\n", "line 2 has 1 values where 2"),
        ("bill 1 0\nthe 1 2 3\nblue 0 1\n", "line 2 has 3 values where 2"),
        ("3 2\nbill 1 0\nblue\n", "line 3 has 0 values"),
        ("bill 1 0\nblue 0 x\n", "line 2: could not convert"),
        ("bill 1 0\nblue 0 nan\n", "line 2 holds a value that is not finite"),
        ("bill 1 0\nblue 0 1e999\n", "line 2 holds a value that is not finite"),
        ("bill\nblue\n", "line 1 has 0 values"),
        ("", "knows none of the words"),
        ("wing 1 0\n", "knows none of the words of the attribute names (blue, bill"),
        ("bill 0 0\nblue 0 0\n", "all zero"),
        ("blue 0 3\nbill 1 0\nblue 9 9\n", "lines 1 and 3 give 'blue' different vectors"),
        ("bill 1 0\nblue 0 3\n".encode("utf-16"), "is in UTF-16, or its lines end in CR"),
        ("bill 1 0\rblue 0 3\r", "is in UTF-16, or its lines end in CR alone"),
        (b"\x80\x04\x95\x1b\x00\x00\x00\x8c\x08builtins\x8c\x04eval\x93.", "line 1"),
    ],
)
def test_load_words_refuses_a_broken_word_table(tmp_path, content, complaint):
    path = write(tmp_path / "bad.txt", content)
    with pytest.raises(DataError) as error:
        load_words(path, ["blue", "bill"], 2)
    assert complaint in str(error.value)
    assert path in str(error.value)


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        (np.ones((3, 5)), "has shape (3, 5) for a dataset of 2 attributes"),
        (np.ones((2, 0)), "has shape (2, 0)"),
        (np.ones(2), "not a table of numbers"),
        (np.array([["a"], ["b"]]), "not a table of numbers"),
        (np.ones((2, 2), dtype=complex), "not a table of numbers"),
        (np.array([[{}], [{}]], dtype=object), "Object arrays cannot be loaded"),
        (np.array([[1, np.inf], [1, 1]]), "holds inf at row 0, column 1"),
        (np.zeros((2, 2)), "all zero"),
    ],
)
def test_load_words_refuses_a_broken_ready_table(tmp_path, table, complaint):
    path = tmp_path / "bad.npy"
    np.save(path, table, allow_pickle=True)
    with pytest.raises(DataError) as error:
        load_words(str(path), (), 2)
    assert complaint in str(error.value)


@pytest.mark.parametrize(
    "content", [b"", b"\x93NUMPY\x01\x00v\x00", b"\x80\x04N.", b"PK\x05\x06" + bytes(18)]
)
def test_load_words_refuses_what_is_no_npy_file(tmp_path, content):
    path = tmp_path / "bad.npy"
    path.write_bytes(content)
    with pytest.raises(DataError):
        load_words(str(path), (), 2)


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("nowhere.txt", "there is no such file"),
        ("nowhere.npy", "there is no such file"),
        (".", "cannot be read"),
        ("random:x", "names no seed"),
        ("random:-1", "names no seed"),
    ],
)
def test_load_words_refuses_a_source_that_is_not_there(source, complaint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=complaint):
        load_words(source, ["blue"], 1)


@pytest.mark.parametrize("names", [(), ["blue"]])
def test_load_words_needs_a_name_for_each_attribute_to_look_words_up(table, names):
    with pytest.raises(DataError, match=f"names {len(names)} of its 2 attributes"):
        load_words(str(table), names, 2)


def test_shuffled_words_may_be_of_any_source(table):
    names = ["Blue", "eye", "blue bill"]
    own, dealt = (asked_words(s, names, 3) for s in (f"sum:{table}", f"shuffled:sum:{table}"))
    assert sorted(own.vectors.tolist()) == sorted(dealt.vectors.tolist())
    assert not (own.vectors == dealt.vectors).all(axis=1).any()
    assert dealt.description == f"shuffled:{own.description}"
    assert own.digest != dealt.digest
