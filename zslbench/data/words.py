"""Word vectors of attribute names: from a word table, ready made, or (named so) a control."""

import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Literal
from unicodedata import normalize

import numpy as np

from zslbench.data.texts import SAVE, UTF16, unpacked
from zslbench.data.types import NAMES_MEND, Float, content_digest
from zslbench.errors import DataError, reading
from zslbench.inputs import expanded, recordable
from zslbench.seeding import generator

Pool = Literal["mean", "sum"]
RANDOM_WIDTH = 300
SUMMED, SHUFFLED, PLUMAGE = "sum:", "shuffled:", "plumage"
CHECK = "Check the path of --words."
REPLACEMENTS = {
    "spatulate": "broad",
    "upperparts": "upper parts",
    "grey": "gray",
    "newworld": "new world",
    "oldworld": "old world",
    "nestspot": "nest spot",
    "toughskin": "tough skin",
    "longleg": "long leg",
    "chewteeth": "chew teeth",
    "meatteeth": "meat teeth",
    "strainteeth": "strain teeth",
    "quadrapedal": "quadrupedal",
    "far away": "faraway",
}
_TABLE_MEND = (
    "Give a word table as text, `word v1 v2 ...` on each line (pickles and binary word2vec files "
    "must be converted), or download it again if it was cut short."
)
_REPLACED = re.compile(rf"\b({'|'.join(REPLACEMENTS)})\b")


@dataclass(frozen=True)
class Words:
    """The vectors of a dataset's attribute names, and what there is to say about them.

    Attributes:
        vectors: `[K, E]`, one row an attribute.
        digest: SHA-256 of the vectors, the kind of source, pooling and normalisation.
        description: Source, pooling, normalisation, and the number of empty rows if any.
        missing: Words of attribute names that the word table does not hold.
        empty: Attributes without any known word (or with a row of zeros in a ready table): their
            vector is the mean of the other rows, or, where words are summed, zeros.
    """

    vectors: Float
    digest: str
    description: str
    missing: tuple[str, ...] = ()
    empty: tuple[int, ...] = ()


def asked_words(source: str, names: Sequence[str], expected: int) -> Words:
    """Return the word vectors that `--words` asks for: unit means, or, after `sum:`, raw sums.

    The papers that say GloVe used word2vec, summed over the words of a name and not normalised:
    `sum:FILE` with a word2vec table in text form, or with the ready table of a released project,
    does the same.

    Args:
        source: As `load_words` takes it, with or without `sum:` before it. `shuffled:` before
            either deals the rows out so that no attribute has its own: a control that keeps the
            vectors and loses their meaning.
        names: The K attribute names.
        expected: K.
    """
    if source.startswith(SHUFFLED):
        return _shuffled(asked_words(source.removeprefix(SHUFFLED), names, expected))
    if not source.startswith(SUMMED):
        return load_words(source, names, expected)
    bare = source.removeprefix(SUMMED)
    return load_words(bare, names, expected, pool="sum", normalise=False)


def load_words(
    source: str, names: Sequence[str], expected: int, pool: Pool = "mean", normalise: bool = True
) -> Words:
    """Return the word vectors of K attribute names.

    Args:
        source: A word table in text form (GloVe: `word v1 v2 ...`, word2vec: the same below a line
            `N D`), a `.npy` table `[K, E]` with a row for each attribute, `plumage` for the
            vectors that come with that dataset, or `random` or `random:SEED` for standard normal
            vectors of 300 dimensions.
        names: The K attribute names, or none; only a word table needs them.
        expected: K.
        pool: How the words of a name make one vector; ready and random rows are not pooled. Where
            they are summed, an attribute without any known word has a sum of nothing, zeros.
        normalise: Whether rows get unit length.

    Raises:
        DataError: Where the source cannot be read, does not fit K, or knows no word of any name.
    """
    path = expanded(source)
    missing: tuple[str, ...] = ()
    if source.partition(":")[0] == "random":
        if not re.fullmatch(r"random(:[0-9]{1,18})?", source):
            raise DataError(source, "names no seed", "Write `random` or, say, `random:1`.")
        seed = int(source.partition(":")[2] or 0)
        kind, label = "random", f"random:{seed}"
        rows = generator(seed, "word vectors").standard_normal((expected, RANDOM_WIDTH))
    elif source == PLUMAGE:
        kind, label = PLUMAGE, PLUMAGE
        rows = _of_plumage(names)
    elif path.suffix == ".npy":
        kind, label = "ready", recordable(path.name)
        rows = _read_ready(path, expected)
    else:
        kind, label = pool, f"{recordable(path.name)}, {pool}"
        if len(names) != expected:
            raise DataError(
                source,
                f"is a word table, and the dataset names {len(names)} of its {expected} attributes",
                NAMES_MEND + ", or give a .npy table with a row for each attribute.",
            )
        rows, missing = _pool_words(path, names, pool)
    empty = tuple(np.flatnonzero(np.all(rows == 0, axis=1)).tolist())
    if empty and pool == "mean":
        rows = _filled(rows, empty, source)
    if normalise:
        rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    description = f"{label}, {'L2' if normalise else 'raw'}"
    if empty:
        filled = "the mean of the others" if pool == "mean" else "zeros"
        description += f", {len(empty)} of {expected} rows empty: {filled}"
    return Words(rows, content_digest(rows, kind, normalise), description, missing, empty)


def _shuffled(words: Words) -> Words:
    """Give every attribute the vector of the next one in a random round of all."""
    order = generator(0, "shuffled word vectors").permutation(len(words.vectors))
    rows = words.vectors.copy()
    rows[order] = words.vectors[np.roll(order, 1)]
    empty = tuple(sorted(order[np.isin(np.roll(order, 1), words.empty)].tolist()))
    description = SHUFFLED + words.description
    return replace(
        words, vectors=rows, digest=content_digest(words.digest, rows), description=description,
        empty=empty,
    )  # fmt: skip


def _of_plumage(names: Sequence[str]) -> Float:
    from zslbench.data.plumage.attributes import ATTRIBUTE_NAMES
    from zslbench.data.plumage.words import plumage_words

    if tuple(names) != ATTRIBUTE_NAMES:
        message = "is the word vectors of plumage's attributes, and these are others"
        raise DataError(PLUMAGE, message, "Give a word table or a .npy table.")
    return plumage_words()


def clean_name(name: str) -> list[str]:
    """Return the words of an attribute name, by the rules of the extraction scripts of the field.

    `_`, `-`, `::`, `+` and `/` are blanks, what follows a `(` and a leading "has" are dropped, and
    a few compounds are taken apart. Those scripts also joined SUN's words across slashes
    ("electric/indoor" to "electricindoor"), which left names without a vector: not done here.
    """
    text = re.sub(r"[_\-:+/\s]+", " ", name.split("(", maxsplit=1)[0]).strip().removeprefix("has ")
    return _REPLACED.sub(lambda match: REPLACEMENTS[match[0]], text).split()


def _read_ready(path: Path, expected: int) -> Float:
    """Read a `.npy` table `[K, E]`; a pickle inside is refused, not loaded."""
    fix = f"Save a numeric array [{expected}, E], a row for each attribute, with numpy.save."
    failing = "is not a readable .npy table"
    with reading(path, failing, fix, EOFError, MemoryError, missing=CHECK):
        table = np.load(path, allow_pickle=False)
    if not isinstance(table, np.ndarray) or table.dtype.kind not in "fiu" or table.ndim != 2:
        shape = getattr(table, "shape", "of several arrays")
        kind = getattr(table, "dtype", "an archive")
        raise DataError(path, f"is {kind} {shape}, not a table of numbers", fix)
    if len(table) != expected or table.shape[1] == 0:
        message = f"has shape {table.shape} for a dataset of {expected} attributes"
        raise DataError(path, message, "Take the table that was made for this dataset.")
    if not np.isfinite(table).all():
        row, column = np.argwhere(~np.isfinite(table))[0]
        message = f"holds {table[row, column]} at row {row}, column {column}"
        raise DataError(path, message, "Replace it by a number; a row of zeros means no vector.")
    return table.astype(np.float64)


def _pool_words(path: Path, names: Sequence[str], pool: Pool) -> tuple[Float, tuple[str, ...]]:
    """Return a row for each name (zeros where no word is known) and the words not found."""
    cleaned = [clean_name(name) for name in names]
    words = dict.fromkeys(word for name in cleaned for word in name)
    found = _read_table(path, {*words, *map(str.lower, words)})
    known = {word: found.get(word, found.get(word.lower())) for word in words}
    missing = tuple(word for word, vector in known.items() if vector is None)
    if len(missing) == len(words):
        message = f"knows none of the words of the attribute names ({', '.join(missing[:5])} ...)"
        raise DataError(path, message, "Take a table of the language the names are in.")
    rows = np.zeros((len(names), len(next(iter(found.values())))))
    for row, name in zip(rows, cleaned, strict=True):
        vectors = [vector for word in name if (vector := known[word]) is not None]
        if vectors:
            row[:] = np.mean(vectors, axis=0) if pool == "mean" else np.sum(vectors, axis=0)
    return rows, missing


def _filled(rows: Float, empty: tuple[int, ...], source: str) -> Float:
    """Give empty rows the mean of the others."""
    others = np.delete(rows, empty, axis=0)
    mean = others.mean(axis=0) if len(others) else rows[0]
    if not mean.any():
        message = "its rows, or their mean, are all zero"
        raise DataError(source, message, "Take a table with vectors for these attributes.")
    filled = rows.copy()
    filled[list(empty)] = mean
    return filled


def _read_table(path: Path, wanted: set[str]) -> dict[str, Float]:
    """Read the vectors of the wanted words, line by line.

    Raises:
        DataError: On a line with too few or too many values, or a wanted word whose values are not
            finite numbers, or which has two vectors. The numbers of other words are not parsed.
    """
    faults = EOFError, zlib.error
    cannot = reading(path, "cannot be read", "Give a word table.", *faults, missing=CHECK)
    spelt = {normalize(form, word).encode(): word for word in wanted for form in ("NFC", "NFD")}
    with cannot, unpacked(path) as file:
        return _scan(file, path, spelt)


def _scan(file: BinaryIO, path: Path, wanted: Mapping[bytes, str]) -> dict[str, Float]:
    """Read the vectors of the words that are wanted, in any of the spellings of each."""
    found: dict[str, Float] = {}
    places: dict[str, int] = {}
    first = file.readline()
    if first.startswith(UTF16) or b"\r" in first.rstrip():
        raise DataError(path, "is in UTF-16, or its lines end in CR alone", SAVE)
    header = first.split()
    width = int(header[1]) if len(header) == 2 and all(map(bytes.isdigit, header)) else None
    lines = chain([first], file) if width is None else file
    for number, line in enumerate(lines, start=1 if width is None else 2):
        word, _, values = line.rstrip().partition(b" ")
        count = values.count(b" ") + bool(values)
        width = count if width is None else width
        if not word:
            continue
        if count != width or width == 0:
            if count > width > 0 and _has_blank(values):
                continue
            message = f"line {number} has {count} values where {width or 'some'} are expected"
            raise DataError(path, message, _TABLE_MEND)
        if (name := wanted.get(word)) is not None:
            vector = _parse(values, path, number)
            if not np.array_equal(found.setdefault(name, vector), vector):
                message = f"lines {places[name]} and {number} give {name!r} different vectors"
                raise DataError(path, message, "Remove one of the two.")
            places.setdefault(name, number)
    return found


def _has_blank(values: bytes) -> bool:
    """Tell whether a line with too many values begins a word with a blank (glove.840B has some)."""
    try:
        float(values.partition(b" ")[0])
    except ValueError:
        return True
    return False


def _parse(values: bytes, path: Path, number: int) -> Float:
    try:
        vector = np.array(values.split(b" "), dtype=np.float64)
    except ValueError as error:
        raise DataError(path, f"line {number}: {error}"[:200], _TABLE_MEND) from error
    if not np.isfinite(vector).all():
        raise DataError(path, f"line {number} holds a value that is not finite", _TABLE_MEND)
    return vector
