"""Class descriptions: sentences made from names or attributes, or read from a JSON file."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.data.texts import read_json
from zslbench.data.types import NAMES_MEND, ClassTable, Float, content_digest
from zslbench.errors import DataError
from zslbench.inputs import expanded, recordable

Sentences = NDArray[np.str_]
NAMES, ATTRIBUTES = "names", "attributes"
PHRASES, MAJORITY = 6, 0.5
_MEND = (
    'Write an object of lists: {"Painted Bunting": ["a small finch with a blue head", ...]}, or of '
    'several documents a class: {"Painted Bunting": [["a small finch", ...], ["it sings", ...]]}.'
)


@dataclass(frozen=True)
class Descriptions:
    """The sentences that describe the classes of a dataset.

    Attributes:
        sentences: `[C, S]`, or `[C, V, S]` where a file has several documents of a class; filled up
            with empty ones where a class or a document has fewer than others.
        digest: SHA-256 of the sentences.
        description: Where they come from.
    """

    sentences: Sentences
    digest: str
    description: str


def load_descriptions(source: str, table: ClassTable, subject: str | None = None) -> Descriptions:
    """Return the descriptions of all classes of a table.

    Args:
        source: `names`, `attributes`, or a JSON file `{class: [sentences]}` or
            `{class: [[sentences of a document], ...]}`, which may be mixed: a class with sentences
            beside others with documents has one.
        table: The classes.
        subject: What stands for every class's name in sentences made from attributes.

    Raises:
        DataError: Where the source cannot be read, lacks a class, or the attributes have no names.
    """
    names = [plain_name(name) for name in table.names]
    found: Sequence[Sequence[Any]]
    if source == NAMES:
        found, label = [[name] for name in names], NAMES
    elif source == ATTRIBUTES:
        subjects = [subject or name for name in names]
        found, label = _from_attributes(subjects, table), ATTRIBUTES
    else:
        path = expanded(source)
        found, label = _from_file(path, table.names), recordable(path.name)
    sentences = _filled(found)
    return Descriptions(sentences, content_digest(sentences), label)


def _filled(found: Sequence[Sequence[Any]]) -> Sentences:
    """Return sentences as an array, or documents: see `Descriptions`."""
    documents = [told if isinstance(told[0], list) else [told] for told in found]
    views = max(map(len, documents))
    most = max(len(each) for told in documents for each in told)
    rows = [
        [[*each, *[""] * (most - len(each))] for each in [*told, *[[]] * (views - len(told))]]
        for told in documents
    ]
    divided = any(isinstance(told[0], list) for told in found)
    return np.array(rows) if divided else np.array(rows)[:, 0]


def plain_name(name: str) -> str:
    """Return a class's name in words: without a leading number, `_` and `+` as blanks."""
    words = re.sub(r"^\d+\.", "", name)
    return re.sub(r"[_+\s]+", " ", words).strip()


def describe_attributes(subject: str, shares: Float, names: Sequence[str]) -> list[str]:
    """Return sentences such as "bird with red crown color, striped wing pattern".

    Of attributes in families (`has_bill_shape::hooked`) the strongest of each family is told where
    it holds for the majority; of others all that do, or the strongest. A sentence tells six at
    most, so that a text tower of 77 tokens reads it whole.

    Args:
        subject: What is described.
        shares: `[K]` how strongly each attribute holds, in [0, 1].
        names: K.
    """
    families: dict[str, int] = {}
    for index in np.argsort(-shares, kind="stable").tolist():
        families.setdefault(names[index].rpartition("::")[0] or names[index], index)
    told = sorted(i for i in families.values() if shares[i] >= MAJORITY) or [int(shares.argmax())]
    phrases = [_phrase(names[index]) for index in told]
    parts = np.array_split(np.array(phrases), -(-len(phrases) // PHRASES))
    return [f"{subject} with {', '.join(part)}" for part in parts]


def _phrase(name: str) -> str:
    """Return `has_wing_pattern::striped` as "striped wing pattern"."""
    family, _, value = name.split("(", maxsplit=1)[0].rpartition("::")
    words = re.sub(r"[_\-+\s]+", " ", f"{value} {family.removeprefix('has_')}")
    return words.strip()


def _from_attributes(subjects: Sequence[str], table: ClassTable) -> list[list[str]]:
    if not table.attribute_names:
        raise DataError(
            f"descriptions {ATTRIBUTES!r}",
            "the dataset does not name its attributes",
            NAMES_MEND + ", or give a JSON file of sentences with --descriptions.",
        )
    shares = np.clip(table.raw_attributes / table.raw_attributes.max(), 0.0, 1.0)
    return [
        describe_attributes(subject, row, table.attribute_names)
        for subject, row in zip(subjects, shares, strict=True)
    ]


def _from_file(path: Path, classes: Sequence[str]) -> list[list[Any]]:
    content = _read(path)
    keys = _keys(path, list(content), classes)
    missing = [name for name in classes if name not in keys]
    if missing:
        listing = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
        told_of = len(classes) - len(missing)
        message = f"describes {told_of} of {len(classes)} classes, not {listing}"
        raise DataError(path, message, "Add a list of sentences for each of them.")
    return [_checked(path, name, content[keys[name]]) for name in classes]


def _keys(path: Path, told: Sequence[str], classes: Sequence[str]) -> dict[str, str]:
    """Return class -> the key that means it: by its full name, or else by its plain name alone."""
    plain: dict[str, list[str]] = {}
    for name in classes:
        plain.setdefault(plain_name(name).casefold(), []).append(name)
    found: dict[str, str] = {}
    for key in told:
        meant = [key] if key in classes else plain.get(plain_name(key).casefold(), [])
        if len(meant) > 1:
            message = f"{key!r} may be {meant[0]} or {meant[1]}"
            raise DataError(path, message, "Name such classes in full.")
        for name in meant:
            if found.setdefault(name, key) != key:
                message = f"describes {name} twice, as {found[name]!r} and as {key!r}"
                raise DataError(path, message, "Remove one of the two.")
    return found


def _read(path: Path) -> dict[str, Any]:
    missing = f"Check the path of --descriptions, or say {NAMES} or {ATTRIBUTES}."
    content = read_json(path, _MEND, missing)
    if not isinstance(content, dict):
        raise DataError(path, f"holds a {type(content).__name__}, not an object", _MEND)
    return content


def _checked(path: Path, name: str, value: Any) -> list[Any]:
    """Return a class's sentences, or its documents, with blanks for line breaks."""
    if not isinstance(value, list) or not value:
        raise DataError(path, f"class {name}: {str(value)[:60]!r} is no list of sentences", _MEND)
    if isinstance(value[0], list):
        return [_sentences(path, name, document) for document in value]
    return _sentences(path, name, value)


def _sentences(path: Path, name: str, value: Any) -> list[str]:
    if not isinstance(value, list) or not value:
        raise DataError(path, f"class {name}: {str(value)[:60]!r} is no document", _MEND)
    for sentence in value:
        if not isinstance(sentence, str) or not sentence.strip("\0 \t\r\n"):
            raise DataError(path, f"class {name}: {sentence!r} is no sentence", _MEND)
    return [" ".join(sentence.replace("\0", " ").split()) for sentence in value]
