"""Text files that users bring: every kind of file is read in one way, whatever wrote it."""

import bz2
import gzip
import io
import json
import lzma
import zipfile
from unicodedata import normalize

import numpy as np
import pytest

from zslbench.data.descriptions import load_descriptions
from zslbench.data.formats.class_lists import check_sides, read_class_splits
from zslbench.data.formats.folder import build_dataset
from zslbench.data.formats.items import locate_images, read_items
from zslbench.data.formats.xlsa17 import _attribute_names
from zslbench.data.parts import part_points
from zslbench.data.texts import find_text, read_csv, read_json, read_table, read_text
from zslbench.data.types import ClassTable
from zslbench.data.words import load_words
from zslbench.errors import DataError
from zslbench.studies.leaderboard.plan.suite import read_suite

BIRDS = ("Häher", "Auk", "Crow", "Señal")
TABLE = ClassTable(BIRDS, np.eye(4), np.eye(4), ())
SEEN = np.arange(4)
SUITE = 'title = "Häher"\ndatasets = ["plumage"]\n[[rows]]\nmethod = "eszsl"\n'
INDEX = "index_1based,label_1based,image_file\n1,1,Häher/1.jpg\n2,2,Auk/2.jpg\n"
PARTS = "image_file,part,x,y\nHäher/1.jpg,Flügel,1,2\nAuk/2.jpg,eye,1,\n"


def class_splits(path):
    (path.parent / "valclasses1.txt").write_text("Crow\n")
    (split,) = read_class_splits(path.parent, TABLE, SEEN)
    return split.train.tolist()


def sides(path):
    return check_sides(path.parent, TABLE, SEEN[2:], SEEN[:2])


def names(path):
    return _attribute_names(path.parent)


def descriptions(path):
    return load_descriptions(str(path), TABLE).sentences.tolist()


def vectors(path):
    return load_words(str(path), ["Häher", "blue bill"], 2, normalise=False).vectors.tolist()


READERS = {
    "attribute names": ("attributes.txt", "1 Häher\n\n2 b c\n", names),
    "predicates": ("predicates.txt", "1\tHäher\n2\tb\n", names),
    "training classes": ("trainclasses1.txt", "Häher\nAuk\n", class_splits),
    "test classes": ("testclasses.txt", "Häher\nAuk\n", sides),
    "index": ("index.csv", INDEX, lambda p: read_items(p.parent, None, 4).files),
    "parts": ("parts.csv", PARTS, lambda p: read_table(p, ["part"], ["x"], "")[0]),
    "classes with attributes": ("birds.csv", "class,w\nHäher,1\n", lambda p: read_csv(p, "")),
    "descriptions": (
        "told.json",
        json.dumps({bird: [f"{bird}, a bird"] for bird in BIRDS}, ensure_ascii=False, indent=1),
        descriptions,
    ),
    "suite": ("mine.toml", SUITE, lambda p: read_suite(str(p)).title),
    "word table": ("glove.txt", "häher 1 2\nblue 2 3\nbill 4 5\n", vectors),
    "word table with a header": ("w2v.txt", "2 2\nhäher 1 2\nblue 2 3\n", vectors),
}  # fmt: skip
FORMS = {
    "byte-order mark": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "CRLF": lambda text: text.replace("\n", "\r\n").encode(),
    "normal form NFD": lambda text: normalize("NFD", text).encode(),
    "gzip": lambda text: gzip.compress(text.encode()),
    "gzip and a mark": lambda text: gzip.compress(b"\xef\xbb\xbf" + text.encode()),
    "UTF-16": lambda text: text.encode("utf-16"),
    "CR": lambda text: text.replace("\n", "\r").encode(),
}
STREAMED = ("UTF-16", "CR")  # forms in which a word table, read line by line, is refused
WRITTEN = {
    f"{kind}, {form}": (*READERS[kind], FORMS[form])
    for kind in READERS
    for form in FORMS
    if not (READERS[kind][2] is vectors and form in STREAMED)
}
LISTS = ("attribute names", "training classes", "test classes", "index")  # found by their names
readers = pytest.mark.parametrize(("name", "text", "read"), READERS.values(), ids=READERS)


def zipped(text):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("inside.txt", text)
    return packed.getvalue()


@pytest.mark.parametrize(("name", "text", "read", "form"), WRITTEN.values(), ids=WRITTEN)
def test_every_text_file_says_the_same_in_every_form(tmp_path, name, text, read, form):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    plain = read(path)
    path.write_bytes(form(text))
    assert read(path) == plain


@readers
@pytest.mark.parametrize(
    ("pack", "kind"),
    [(zipped, "zip"), (lambda t: bz2.compress(t.encode()), "bzip2"),
     (lambda t: lzma.compress(t.encode()), "xz")],
    ids=["zip", "bzip2", "xz"],
)  # fmt: skip
def test_no_text_file_is_read_out_of_another_archive(tmp_path, name, text, read, pack, kind):
    (tmp_path / name).write_bytes(pack(text))
    with pytest.raises(DataError, match=rf"{name}: is a {kind} file\. Unpack it first"):
        read(tmp_path / name)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("Auk\nHäher\n".encode("latin-1"), "line 2 is no UTF-8 text (byte 0xe4)"),
        ("Auk\r\rHäher".encode("latin-1"), "line 3 is no UTF-8 text (byte 0xe4)"),
        (b"\xff\xfeA\0\n\0\0", "line 2 is no UTF-16 text"),
        ("Auk\nCrow".encode("utf-16-le"), "line 1 is no text: it holds a null character"),
        (gzip.compress(b"Auk", mtime=0)[:-6], "cannot be read"),
    ],
)
def test_what_is_no_text_is_refused_with_its_line(tmp_path, content, said):
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(DataError) as refused:
        read_text(tmp_path / "a.txt")
    assert said in refused.value.what


def test_a_mark_amid_joined_files_is_no_part_of_the_text(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfAuk\n\xef\xbb\xbfCrow\n")
    assert read_text(tmp_path / "a.txt") == "Auk\nCrow\n"


@pytest.mark.parametrize(("name", "text", "read"), [READERS[kind] for kind in LISTS], ids=LISTS)
def test_a_list_of_a_dataset_is_found_packed_and_refused_beside_its_twin(
    tmp_path, name, text, read
):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    plain = read(path)
    path.with_name(f"{name}.gz").write_bytes(gzip.compress(text.encode()))
    with pytest.raises(DataError, match=rf"{name}: lies beside {name}\.gz"):
        read(path)
    path.unlink()
    assert read(path) == plain
    path.with_name(f"{name}.gz").rename(path.with_name(f"{name}.zip"))
    assert find_text(tmp_path, name) == path.with_name(f"{name}.zip")


TWICE = {
    "attribute": ("attributes.txt", "1 red\n\n2 blue\n3 red\n", "'red' .*lines 1 and 4"),
    "attribute, by normal form": ("attributes.txt", "a\u0308\nä\n", "'ä' .*lines 1 and 2"),
    "training class": ("trainclasses1.txt", "Auk\nHäher\nAuk\n", "'Auk' .*lines 1 and 3"),
    "test class": ("testclasses.txt", "Häher\nAuk\nAuk\n", "'Auk' .*lines 2 and 3"),
    "image": ("index.csv", INDEX.replace("Auk/2", "Häher/1"), "'Häher/1.jpg' .*items 1 and 2"),
    "item": ("index.csv", INDEX.replace("2,2", "1,2"), "is not 1..n"),
    "column": ("index.csv", INDEX.replace("label_1based", "image_file"), "places 2 and 3"),
    "key": ("told.json", '{"Auk": ["a"], "Crow": ["b"], "Auk": ["c"]}', "'Auk' .*places 1 and 3"),
    "key of one class": (
        "told.json",
        '{"Auk": ["a"], "auk": ["b"]}',
        "describes Auk twice, as 'Auk' and as 'auk'",
    ),
    "key of a suite": ("mine.toml", 'title = "a"\ntitle = "b"\n', "is not TOML.*line 2"),
    "word": ("glove.txt", "blue 1 2\nbill 3 4\nblue 5 6\n", "lines 1 and 3 give 'blue'"),
}
READ = {name: read for name, _, read in READERS.values()}


@pytest.mark.parametrize(("name", "text", "said"), TWICE.values(), ids=TWICE)
def test_what_a_file_says_twice_is_refused_with_both_places(tmp_path, name, text, said):
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=said):
        READ[name](tmp_path / name)


def test_a_word_that_has_one_vector_twice_is_no_question(tmp_path):
    (tmp_path / "t.txt").write_text("blue 1 2\nbill 3 4\nblue 1 2\n")
    assert load_words(str(tmp_path / "t.txt"), ["blue"], 1, normalise=False).vectors.tolist() == [
        [1, 2]
    ]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (("0 red", "1 blue"), "line 1 is numbered 0, and 1 is expected"),
        (("1 red", "3 blue"), "line 2 is numbered 3, and 2 is expected"),
    ],
)
def test_numbers_of_attribute_names_never_become_part_of_the_names(tmp_path, lines, said):
    (tmp_path / "attributes.txt").write_text("\n".join(lines))
    with pytest.raises(DataError, match=said):
        _attribute_names(tmp_path)


def test_json_names_the_key_of_an_inner_object_too(tmp_path):
    (tmp_path / "a.json").write_text('{"a": {"b": 1, "c": 2, "b": 3}}')
    with pytest.raises(DataError, match=r"key 'b' stands there twice, in places 1 and 3"):
        read_json(tmp_path / "a.json", "Fix it.")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("Häher/1.jpg,eye,1,2\nHäher/1.jpg,eye,3,4\n", "'eye of Häher/1.jpg' .*rows 1 and 2"),
        ("hahers/1.jpg,eye,1,2\n", "names hahers/1.jpg, and none of the dataset's images"),
        ("Häher/1.jpg,eye,1\n", "line 2 has 3 cells, the first 4"),
    ],
)
def test_parts_that_cannot_be_right_are_refused(tmp_path, rows, said):
    (tmp_path / "index.csv").write_text(INDEX)
    (tmp_path / "parts.csv").write_text(f"image_file,part,x,y\n{rows}")
    (tmp_path / "Häher").mkdir()
    (tmp_path / "Häher" / "1.jpg").touch()
    with pytest.raises(DataError, match=said):
        part_points(tmp_path, np.array([0]), 20, 4)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_images_are_found_whatever_normal_form_the_disk_has(tmp_path, form):
    """A folder copied from macOS, a list written elsewhere; accents in the file's name as well."""
    path = tmp_path / "photos" / normalize(form, "Häher") / normalize(form, "é.jpg")
    path.parent.mkdir(parents=True)
    path.touch()
    listed = [normalize(other, "/BS/Häher/é.jpg") for other in ("NFC", "NFD")]
    assert [locate_images([name], tmp_path / "photos") for name in listed] == [[path], [path]]


def test_two_items_of_one_image_are_refused(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.jpg").touch()
    with pytest.raises(DataError, match=r"a/1\.jpg' stands there twice, in items 1 and 2.*aPY"):
        locate_images(["/x/a/1.jpg", "/y/a/1.jpg"], tmp_path)


def test_a_dataset_is_built_of_folders_that_macos_names(tmp_path):
    names = ["Häher", *"ABCDE"]
    for name in names:
        (tmp_path / "birds" / normalize("NFD", name)).mkdir(parents=True)
        for i in range(3):
            (tmp_path / "birds" / normalize("NFD", name) / f"{i}.png").touch()
    table = "class,wing\n" + "".join(f"{name},{i + 1}\n" for i, name in enumerate(names))
    (tmp_path / "birds.csv").write_bytes(table.replace("\n", "\r\n").encode("utf-8-sig"))
    unseen = [normalize("NFD", "Häher"), "A"]
    made = build_dataset(tmp_path / "birds", tmp_path / "birds.csv", tmp_path / "o", unseen=unseen)
    assert made.unseen == ("A", "Häher")
    files = read_items(tmp_path / "o", None, 6).files
    assert len(locate_images(files, tmp_path / "o")) == 18
