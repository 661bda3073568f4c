"""Word vectors of attribute names: from a word table, ready made, or (named so) at random."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from zslbench.data.types import Float, content_digest
from zslbench.data.wordtable import read_word_vectors
from zslbench.errors import DataError
from zslbench.seeding import generator

Pool = Literal["mean", "sum"]
RANDOM_WIDTH = 300
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
            vector is the mean of the other rows.
    """

    vectors: Float
    digest: str
    description: str
    missing: tuple[str, ...] = ()
    empty: tuple[int, ...] = ()


def load_words(
    source: str,
    names: Sequence[str],
    expected: int,
    pool: Pool = "mean",
    normalise: bool = True,
) -> Words:
    """Return the word vectors of K attribute names.

    The papers that say GloVe used word2vec, summed over the words of a name, raw: `pool="sum"`,
    `normalise=False` with a word2vec table in text form does the same.

    Args:
        source: A word table in text form (GloVe: `word v1 v2 ...`, word2vec: the same below a line
            `N D`), a `.npy` table `[K, E]` with a row for each attribute, or `random` or
            `random:SEED` for standard normal vectors of 300 dimensions.
        names: The K attribute names, or none; only a word table needs them.
        expected: K.
        pool: How the words of a name make one vector; ready and random rows are not pooled.
        normalise: Whether rows get unit length.

    Raises:
        DataError: Where the source cannot be read, does not fit K, or knows no word of any name.
    """
    missing: tuple[str, ...] = ()
    kind, _, seed = source.partition(":")
    if kind == "random":
        label = f"random:{_seed(source, seed)}"
        rows = generator(_seed(source, seed), "word vectors").standard_normal(
            (expected, RANDOM_WIDTH)
        )
    elif source.endswith(".npy"):
        kind, label = "ready", Path(source).name
        rows = _read_ready(Path(source).expanduser(), expected)
    else:
        kind, label = "table", f"{Path(source).name}, {pool}"
        _check_names(source, names, expected)
        rows, missing = _pool_words(Path(source).expanduser(), names, pool)
    rows, empty = _fill_empty(rows, source)
    if normalise:
        rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    description = f"{label}, {'L2' if normalise else 'raw'}"
    if empty:
        description += f", {len(empty)} of {expected} rows empty: the mean of the others"
    digest = content_digest(rows, kind, pool if kind == "table" else None, normalise)
    return Words(rows, digest, description, missing, empty)


def clean_name(name: str) -> list[str]:
    """Return the words of an attribute name, by the rules of the extraction scripts of the field.

    `_`, `-`, `::`, `+` and `/` are blanks, what follows a `(` and a leading "has" are dropped, and
    a few compounds are taken apart. Those scripts also joined SUN's words across slashes
    ("electric/indoor" to "electricindoor"), which left names without a vector: not done here.
    """
    text = re.sub(r"[_\-:+/\s]+", " ", name.split("(", maxsplit=1)[0]).strip().removeprefix("has ")
    return _REPLACED.sub(lambda match: REPLACEMENTS[match[0]], text).split()


def _seed(source: str, text: str) -> int:
    if source != "random" and not re.fullmatch(r"\d{1,18}", text):
        raise DataError(source, f"{text!r} is no seed", "Write `random` or, say, `random:1`.")
    return int(text or 0)


def _read_ready(path: Path, expected: int) -> Float:
    """Read a `.npy` table `[K, E]`; a pickle inside is refused, not loaded."""
    mend = f"Save a numeric array [{expected}, E], a row for each attribute, with numpy.save."
    try:
        table = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise DataError(path, "there is no such file", "Check the path of --words.") from None
    except (OSError, ValueError, EOFError, MemoryError) as error:
        reason = f"{error}"[:120].rstrip(". ")
        raise DataError(path, f"is not a readable .npy table ({reason})", mend) from error
    if not isinstance(table, np.ndarray) or table.dtype.kind not in "fiu" or table.ndim != 2:
        shape = getattr(table, "shape", "of several arrays")
        kind = getattr(table, "dtype", "an archive")
        raise DataError(path, f"is {kind} {shape}, not a table of numbers", mend)
    if len(table) != expected or table.shape[1] == 0:
        message = f"has shape {table.shape} for a dataset of {expected} attributes"
        raise DataError(path, message, "Take the table that was made for this dataset.")
    if not np.isfinite(table).all():
        row, column = np.argwhere(~np.isfinite(table))[0]
        message = f"holds {table[row, column]} at row {row}, column {column}"
        raise DataError(path, message, "Replace it by a number; a row of zeros means no vector.")
    return table.astype(np.float64)


def _check_names(source: str, names: Sequence[str], expected: int) -> None:
    if len(names) != expected:
        raise DataError(
            source,
            f"is a word table, and the dataset names {len(names)} of its {expected} attributes",
            "Put their names, one a line, into attributes.txt beside att_splits.mat, "
            "or give a .npy table with a row for each attribute.",
        )


def _pool_words(path: Path, names: Sequence[str], pool: Pool) -> tuple[Float, tuple[str, ...]]:
    """Return a row for each name (zeros where no word is known) and the words not found."""
    cleaned = [clean_name(name) for name in names]
    words = dict.fromkeys(word for name in cleaned for word in name)
    found = read_word_vectors(path, {*words, *map(str.lower, words)})
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


def _fill_empty(rows: Float, source: str) -> tuple[Float, tuple[int, ...]]:
    """Give rows of zeros the mean of the others, and say which those were."""
    empty = ~rows.any(axis=1)
    if not empty.any():
        return rows, ()
    mean = rows[~empty].mean(axis=0) if not empty.all() else rows[0]
    if not mean.any():
        message = "its rows, or their mean, are all zero"
        raise DataError(source, message, "Take a table with vectors for these attributes.")
    return np.where(empty[:, None], mean, rows), tuple(np.flatnonzero(empty).tolist())
