"""What a dataset is, whatever it was read from."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from zslbench.records import Backbone, WordVectors, digest

Int = NDArray[np.int64]
Float = NDArray[np.float64]
OnProgress = Callable[[int, int], None]
Ending = Literal["tokens", "map", "pair"]
ANY_PART = 255
NAMES_MEND = "Put their names, one a line, into attributes.txt beside att_splits.mat"
NO_BACKBONE = Backbone(name="none", weights_digest="", exposure="none")


def no_progress(done: int, total: int) -> None:
    """Report progress to nobody."""


class Inputs(Protocol):
    """What a method sees of the items: rows of features, or decoded pixels.

    Indexing with an integer array or a slice gives a batch: `[b, d]` features or `[b, h, w, 3]`
    uint8.
    """

    def __len__(self) -> int: ...
    def __getitem__(self, items: Any, /) -> NDArray[Any]: ...


@dataclass(frozen=True)
class ClassTable:
    """The classes and what is known of them.

    Attributes:
        names: C class names.
        attributes: `[C, K]`, rows L2-normalised.
        raw_attributes: `[C, K]` as published (percentages for CUB and AwA, shares for SUN).
        attribute_names: K names, or empty where the dataset does not name them.
    """

    names: tuple[str, ...]
    attributes: Float
    raw_attributes: Float
    attribute_names: tuple[str, ...] = ()

    @property
    def attribute_groups(self) -> Int | None:
        """`[K]` the family of each attribute, from names like CUB's `has_bill_shape::hooked`."""
        if not self.attribute_names or not all("::" in name for name in self.attribute_names):
            return None
        families = [name.partition("::")[0] for name in self.attribute_names]
        return np.unique(families, return_inverse=True)[1].astype(np.int64)


@dataclass(frozen=True)
class ClassSplit:
    """Seen classes divided into training and validation classes, as class indices."""

    name: str
    train: Int
    validation: Int


@dataclass(frozen=True)
class Splits:
    """The Proposed Splits: item indices (0-based), and the official class splits inside trainval.

    Attributes:
        class_splits: Official ones; empty where the dataset has none.
    """

    trainval: Int
    test_seen: Int
    test_unseen: Int
    class_splits: tuple[ClassSplit, ...] = ()


@dataclass(frozen=True)
class BackboneSource:
    """A pretrained network under a method, which can be built again and again.

    Attributes:
        record: Its name, digest of weights, exposure.
        mean: Of the network's input, `(r, g, b)` in [0, 1].
        deviation: Likewise.
        size: Side of its images in pixels.
        build: Returns a new network with the weights in it.
        grid: Patches along each side of an image, or places of its map, where that is known.
        ending: What the network ends in: an `OpenViT` in tokens, a class token among them; a
            `MapBackbone` in a feature map; an `ImageText` in features of images and of texts.
        kept: Whether it is given what its frozen part makes of images, computed before.
    """

    record: Backbone
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    size: int
    build: Callable[[], Any]
    ending: Ending = "tokens"
    grid: int | None = None
    kept: bool = False


@dataclass(frozen=True)
class PartTruth:
    """Which pixel shows which part, and which part bears which attribute.

    Attributes:
        part_maps: `[n, S, S]` uint8, the part that each pixel shows, 0 where there is no object.
        names: What each value of a part map stands for.
        sampled: `[n, G]` uint8, which value of each group of attributes an image shows.
        attribute_part: `[K]`, the part that bears each attribute, or `ANY_PART`.
        attribute_group: `[K]`, the group of each attribute.
        attribute_value: `[K]`, which value of its group it is.
    """

    part_maps: NDArray[np.uint8]
    names: Mapping[int, str]
    sampled: NDArray[np.uint8]
    attribute_part: Int
    attribute_group: Int
    attribute_value: Int

    def shows(self, attribute: int) -> NDArray[np.bool_]:
        """Return `[n]`: which images show an attribute."""
        values = self.sampled[:, self.attribute_group[attribute]]
        return np.asarray(values == self.attribute_value[attribute])

    def mask(self, attribute: int, items: Int) -> NDArray[np.bool_]:
        """Return `[b, S, S]`: which pixels of some images belong to the part that bears it."""
        part, maps = self.attribute_part[attribute], self.part_maps[items]
        return np.asarray(maps != 0 if part == ANY_PART else maps == part)


@dataclass(frozen=True)
class BirdTruth:
    """Where birds and their parts are in n photos, in pixels of the decoded images.

    Attributes:
        names: Of the P key points.
        points: `[n, P, 2]` x and y of each; nan where it is hidden or outside the image.
        boxes: `[n, 4]` left, top, right and lower edge of the whole bird, also of what lies
            outside the image.
        size: Side of the decoded images.
    """

    names: tuple[str, ...]
    points: Float
    boxes: Float
    size: int

    @property
    def sides(self) -> Float:
        """`[n, 2]` width and height of the birds."""
        return self.boxes[:, 2:] - self.boxes[:, :2]


class SealedLabels:
    """Labels that are given out only by `open`, which announces itself and is counted.

    Attributes:
        classes: Which classes occur; not where.
    """

    def __init__(self, labels: Int) -> None:
        self.__labels = labels
        self.classes = np.unique(labels)
        self.digest = content_digest(labels)
        self.openings = 0

    def open(self, announce: Callable[[], None]) -> Int:
        """Call `announce` (which must have recorded the opening when it returns), then unseal."""
        announce()
        self.openings += 1
        return self.__labels.copy()

    def __repr__(self) -> str:
        return f"<sealed labels, opened {self.openings} times>"


@dataclass(frozen=True)
class Dataset:
    """A dataset ready for worlds to be cut from it.

    Attributes:
        train_labels: `[len(splits.trainval)]` class of each trainval item.
        test_labels: Classes of `splits.test_seen` then `splits.test_unseen`, sealed.
        inputs: What methods see, in item order.
        word_vectors: `[K, E]` vectors of the attribute names, if asked for.
        words: Digest and description of the word vectors.
        sentences: `[C, S]`, or `[C, V, S]` of V documents, what describes each class, filled up
            with empty ones.
        descriptions: Digest and description of the sentences.
        source: Builds the backbone, where methods get images.
        parts: Where the parts are in each image, if that is known. Methods never get it.
        birds: The same of photos, those in `splits.test_unseen`.
        files: The image file of each item, if they are named. Methods never get them.
        digest: SHA-256 of class table, splits, labels, and pixels where there are any.
    """

    name: str
    classes: ClassTable
    splits: Splits
    seen: Int
    unseen: Int
    train_labels: Int
    test_labels: SealedLabels
    inputs: Inputs
    backbone: Backbone
    digest: str
    word_vectors: Float | None = None
    words: WordVectors | None = None
    sentences: NDArray[np.str_] | None = None
    descriptions: WordVectors | None = None
    source: BackboneSource | None = None
    parts: PartTruth | None = None
    birds: BirdTruth | None = None
    files: Sequence[str] = ()

    @property
    def test_digest(self) -> str:
        """What the ledger counts by: however else the data are cut, the same test labels."""
        tests = self.splits.test_seen, self.splits.test_unseen
        return content_digest(list(self.classes.names), *tests, self.test_labels.digest)


def assembled(
    name: str, classes: ClassTable, splits: Splits, labels: Int, pixels: object, **others: Any
) -> Dataset:
    """Return a dataset of labelled items: who is seen, what is sealed and the digest follow.

    Args:
        name: Its name.
        classes: Its classes.
        splits: Its splits.
        labels: `[n]`, the class of every item.
        pixels: What stands in the digest for the images, if there are any.
        others: Its further attributes.
    """
    trainval, *tests = splits.trainval, splits.test_seen, splits.test_unseen
    tuning = [part for split in splits.class_splits for part in (split.train, split.validation)]
    known = list(classes.names), classes.raw_attributes, labels
    return Dataset(
        name,
        classes,
        splits,
        seen=np.unique(labels[trainval]),
        unseen=np.unique(labels[splits.test_unseen]),
        train_labels=labels[trainval],
        test_labels=SealedLabels(labels[np.concatenate(tests)]),
        digest=content_digest(*known, trainval, *tests, *tuning, pixels),
        **others,
    )


def content_digest(*parts: object) -> str:
    """Return the SHA-256 of arrays (dtype, shape, bytes) and plain values, in order."""
    return digest([_plain(part) for part in parts])


def _plain(part: object) -> object:
    if isinstance(part, np.ndarray):
        data = np.ascontiguousarray(part)
        return [data.dtype.str, list(data.shape), hashlib.sha256(data.data).hexdigest()]
    return part


class Subset:
    """Some items of other inputs, without copying them, and without a way to the others."""

    def __init__(self, inputs: Inputs, items: Int) -> None:
        self.__read: Callable[[Any], NDArray[Any]] = lambda wanted: inputs[items[wanted]]
        self.__length = len(items)

    def __len__(self) -> int:
        return self.__length

    def __getitem__(self, items: Any) -> NDArray[Any]:
        return self.__read(items)
