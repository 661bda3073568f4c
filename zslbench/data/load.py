"""From a dataset's name to a `Dataset`: find the folder, read, check, seal the test labels."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zslbench.data.fetch.sources import HELD
from zslbench.data.formats import xlsa17
from zslbench.data.formats.class_lists import check_sides, read_class_splits
from zslbench.data.formats.items import (
    Items,
    check_folders,
    check_same_items,
    find_feature_files,
    find_features,
    find_index,
    locate_images,
    read_items,
)
from zslbench.data.formats.xlsa17 import SPLITS_FILE, AttSplits
from zslbench.data.parts import bird_truth
from zslbench.data.types import (
    NO_BACKBONE,
    ClassSplit,
    ClassTable,
    Dataset,
    Inputs,
    Int,
    OnProgress,
    assembled,
    no_progress,
)
from zslbench.errors import DataError, ZslbenchError, refuse_repeated, unknown
from zslbench.inputs import folded, recordable, whole
from zslbench.records import Backbone, Exposure, WordVectors

if TYPE_CHECKING:
    from zslbench.data.plumage import PlumageConfig

EMBEDDED = "plumage"
KNOBS = ("classes", "unseen", "images_per_class", "size", "clutter", "spurious", "seed")
EXPOSURES: dict[str, Exposure] = {"res101": "1k"}


@dataclass(frozen=True)
class DataRequest:
    """What to load.

    Attributes:
        name: The dataset's folder below `root`, in any case where no other differs in case alone;
            or `plumage`, with knobs or without.
        features: The feature file to hand to methods: its name, a `.mat` without its ending, or a
            path to it.
        image_size: Side in pixels of the decoded images to hand to methods instead; with a
            backbone, what it takes in place of its own.
        images: Folder of the images, where it is not the dataset's own.
        backbone: Name of the pretrained network for the images.
        map: Name of the network for methods that need a feature map, where it is not the backbone.
        map_size: Side of that network's images in pixels, where it is not its own.
        pair: As `map`, of the image-text pair for methods that read.
        weights: A local file with its weights.
        frozen_blocks: How many of its blocks, where it is a ViT, are never trained.
        mean: Of the input that those weights were trained on, where the file does not say.
        std: Likewise, its deviation.
        exposure: Likewise, what the pretraining saw.
        fine_tuned: Whether the network or the one that features are of was trained on labels of all
            seen classes, where no file says so.
        words: Source of attribute word vectors (see `asked_words`).
        descriptions: Source of class descriptions: `names`, `attributes`, or a JSON file.
        resplit: Whether to make class splits anew where the file's own leak test images.
        bare: Whether classes, splits and labels are enough, without what methods see.
    """

    name: str
    root: Path
    features: str | None = None
    image_size: int | None = None
    images: Path | None = None
    backbone: str | None = None
    map: str | None = None
    map_size: int | None = None
    pair: str | None = None
    weights: Path | None = None
    frozen_blocks: int | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    exposure: str | None = None
    fine_tuned: bool = False
    words: str | None = None
    descriptions: str | None = None
    resplit: bool = False
    bare: bool = False


def find_datasets(root: Path) -> dict[str, Path]:
    """Return name -> folder of the datasets directly below `root`.

    Raises:
        ZslbenchError: If `root` is no folder.
    """
    if not root.is_dir():
        raise ZslbenchError(
            f"{root}: there is no such folder. Name the folder that holds CUB/, AWA2/, SUN/ or "
            "your own dataset, or get one with zslbench data fetch."
        )
    folders = [path.parent for path in sorted(root.glob(f"[!.]*/{SPLITS_FILE}"))]
    return {recordable(folder.name): folder for folder in folders}


def find_dataset(name: str, root: Path) -> Path:
    """Return the folder of a dataset: of its very name, or else of its name in another case.

    Raises:
        ZslbenchError: If there is none, or several differ from the name in case alone.
    """
    datasets, name = find_datasets(root), recordable(name)
    alike = [name] if name in datasets else [n for n in datasets if folded(n) == folded(name)]
    if len(alike) > 1:
        which = " and ".join(map(repr, alike))
        raise ZslbenchError(f"{name!r} may mean {which} below {root}: write one of these names.")
    if not alike and is_embedded(name):
        raise ZslbenchError(f"{fault_of_name(name)} They have no folder: name another dataset.")
    if not alike:
        get = (
            " Its splits and features: zslbench data fetch xlsa17." if name.upper() in HELD else ""
        )
        raise ZslbenchError(f"{unknown('dataset', name, datasets, where=f' below {root}')}{get}")
    return datasets[alike[0]]


def fault_of_name(name: str) -> str | None:
    """Return why no option could name a dataset so, in a sentence; None where one can."""
    if is_embedded(name):
        return f"{name!r} means the birds that zslbench draws itself."
    if not re.fullmatch(r"[^\s.,:=/-]([^,:=/\x00-\x1f\x7f]{0,199}[^\s,:=/])?", name):
        return (
            f"{name!r} cannot be written in a list of datasets: a name has 1 to 200 characters, no "
            "comma, colon, = or /, no blank at an end, and no . or - at its beginning."
        )
    return None


def load_dataset(request: DataRequest, on_progress: OnProgress = no_progress) -> Dataset:
    """Read a dataset and check it.

    Args:
        request: What to load.
        on_progress: Called with (done, total) while images are decoded.

    Raises:
        DataError: Where the data cannot be used as they are.
    """
    if is_embedded(request.name):
        return _embedded(request, on_progress)
    folder = find_dataset(request.name, request.root)
    table = xlsa17.read_att_splits(folder)
    features = request.features
    if features is None and request.image_size is None and not request.bare:
        features = _only_features(folder)
    path = None if features is None else find_features(folder, features)
    items = read_items(folder, path, len(table.classes.names))
    seen, unseen = check_items(items, table)
    if features is not None and find_index(folder):
        check_same_items(items, read_items(folder, None, len(table.classes.names)))
    check_sides(folder, table.classes, seen, unseen)
    class_splits = _class_splits(folder, table, items, seen, resplit=request.resplit)
    texts = _texts(request, table.classes, "names")
    inputs, backbone, pixels = _inputs(folder, items, request, on_progress)
    splits = replace(table.splits, class_splits=class_splits)
    some, count, birds = inputs[:1], len(table.classes.names), None
    if some.ndim > 2:  # photos
        birds = bird_truth(folder, splits.test_unseen, some.shape[1], count, request.images)
    return assembled(
        recordable(folder.name), table.classes, splits, items.labels, pixels,
        inputs=inputs, backbone=backbone, birds=birds,
        files=items.files, **texts,
    )  # fmt: skip


def is_embedded(name: str) -> bool:
    """Return whether a name means the embedded dataset."""
    return name.casefold().partition(":")[0] == EMBEDDED


def _embedded(request: DataRequest, on_progress: OnProgress) -> Dataset:
    """Draw `plumage`, or `plumage:clutter=80,seed=3`; it has word vectors of its own."""
    from zslbench.data.cache import default_cache_dir
    from zslbench.data.plumage import load_plumage
    from zslbench.data.words import PLUMAGE

    _check_embedded(request)
    knobs, config = _parse_knobs(request.name.partition(":")[2]), embedded_config(request.name)
    dataset = load_plumage(config, default_cache_dir(), on_progress)
    asked = replace(request, words=request.words or PLUMAGE)
    settings = ",".join(f"{knob}={value}" for knob, value in knobs.items())
    name = f"{EMBEDDED}:{settings}" if settings else EMBEDDED
    return replace(dataset, name=name, **_texts(asked, dataset.classes, "attributes", "bird"))


def embedded_config(name: str) -> "PlumageConfig":
    """Return what a name such as `plumage:clutter=80` asks to be drawn.

    Raises:
        ZslbenchError: On a knob that there is not, or a value out of bounds.
    """
    from zslbench.data.plumage import PlumageConfig

    return replace(PlumageConfig(), **_parse_knobs(name.partition(":")[2]))


def _check_embedded(request: DataRequest) -> None:
    """Refuse what the embedded dataset does not have, and a folder that bears its name."""
    for option in ("features", "images"):
        if (value := getattr(request, option)) is not None:
            raise ZslbenchError(
                f"--{option} {value}: {EMBEDDED} is drawn, and has no {option} on disk. Leave "
                f"--{option} out, or run {EMBEDDED} apart from other datasets."
            )
    for name, folder in find_datasets(request.root).items() if request.root.is_dir() else ():
        if is_embedded(name):
            raise ZslbenchError(
                f"{folder} is a dataset, but {fault_of_name(name)} Rename the folder."
            )


def _parse_knobs(settings: str) -> dict[str, Any]:
    """Read `clutter=80,seed=3` as knobs of plumage."""
    knobs: dict[str, Any] = {}
    for pair in filter(None, settings.split(",")):
        key, _, value = pair.partition("=")
        if key not in KNOBS:
            raise unknown("knob of plumage", key, KNOBS)
        if (found := whole(value)) is None:
            raise ZslbenchError(f"{EMBEDDED}:{pair}: write it as knob=number, such as clutter=80.")
        refuse_repeated(f"{EMBEDDED}:{settings}", [*knobs, key])
        knobs[key] = found
    return knobs


def check_items(items: Items, table: AttSplits) -> tuple[Int, Int]:
    """Check labels against splits; return the seen and the unseen classes.

    Raises:
        DataError: On a count that differs, or a class on the wrong side.
    """
    splits, path, labels = table.splits, items.source, items.labels
    total = len(splits.trainval) + len(splits.test_seen) + len(splits.test_unseen)
    if len(labels) != total:
        message = f"holds {len(labels)} items, {SPLITS_FILE} beside it {total}"
        raise DataError(path, message, "Take both files from the same source.")
    seen, unseen = np.unique(labels[splits.trainval]), np.unique(labels[splits.test_unseen])
    names = table.classes.names
    both = np.intersect1d(seen, unseen)
    if len(both):
        message = f"class {names[both[0]]} has items in trainval_loc and in test_unseen_loc"
        raise DataError(path, message, "Take labels and splits from the same source.")
    strange = np.setdiff1d(labels[splits.test_seen], seen)
    if len(strange):
        message = f"class {names[strange[0]]} has items in test_seen_loc but none in trainval_loc"
        raise DataError(path, message, "Take labels and splits from the same source.")
    check_folders(items, names)
    return seen, unseen


def _only_features(folder: Path) -> str:
    found = list(find_feature_files(folder))
    if "res101" in found or len(found) == 1:
        return found[0]
    if not found:
        fix = "Put a file of the shape of res101.mat there, or choose a backbone (--backbone)."
        raise DataError(folder, "has no feature file", fix)
    listing = ", ".join(found)
    raise DataError(folder, f"has several feature files ({listing})", "Name one as the features.")


def _class_splits(
    folder: Path, table: AttSplits, items: Items, seen: Int, *, resplit: bool
) -> tuple[ClassSplit, ...]:
    """Return the official class splits; refuse a file whose own tuning split leaks."""
    listed = read_class_splits(folder, table.classes, seen)
    if table.leaks and not resplit:
        raise DataError(
            folder / SPLITS_FILE,
            f"{table.leaks} test images are inside train_loc and val_loc: "
            "tuning on this file would be tuning on test",
            "Use the 2019 file or later (PS v2.0), or pass --resplit to ignore train_loc and "
            "val_loc and resplit trainval by classes.",
        )
    if listed or table.tuning_locs is None or table.leaks:
        return listed
    train, validation = (np.unique(items.labels[loc]) for loc in table.tuning_locs)
    if len(np.intersect1d(train, validation)):
        return ()
    return (ClassSplit("train_loc and val_loc", train, validation),)


def _inputs(
    folder: Path, items: Items, request: DataRequest, tell: OnProgress
) -> tuple[Inputs, Backbone, str | None]:
    """Return what methods see, the backbone it comes from, and the digest of pixels if any."""
    if request.bare:
        return np.empty((len(items.labels), 0)), NO_BACKBONE, None
    if items.features is not None:
        name = items.source.name.removesuffix(".mat")
        exposure = EXPOSURES.get(name, "unknown") if items.source.parent == folder else "unknown"
        record = Backbone(
            name=f"features:{name}", weights_digest=items.features.digest, exposure=exposure,
            fine_tuned=request.fine_tuned or items.features.fine_tuned,
        )  # fmt: skip
        return items.features, record, None
    from zslbench.data.cache import decode, default_cache_dir

    if not items.files:
        raise DataError(items.source, "has no `image_files`", "Add an index.csv with file names.")
    paths = locate_images(items.files, request.images or folder)
    size = request.image_size or 224
    pixels = decode(paths, size, cache_dir=default_cache_dir(), on_progress=tell)
    return pixels, NO_BACKBONE, pixels.digest


def _texts(
    request: DataRequest, classes: ClassTable, default: str, subject: str | None = None
) -> dict[str, Any]:
    """Return word vectors, where asked for, and descriptions, as a `Dataset` holds them."""
    from zslbench.data.descriptions import load_descriptions
    from zslbench.data.words import asked_words

    found = load_descriptions(request.descriptions or default, classes, subject)
    told = WordVectors(digest=found.digest, description=found.description)
    texts = {"sentences": found.sentences, "descriptions": told}
    if request.words is None:
        return texts
    count = classes.attributes.shape[1]
    words = asked_words(request.words, classes.attribute_names, expected=count)
    description = words.description
    if words.missing and not is_embedded(request.name):
        description += f", words not in the table: {', '.join(words.missing)}"
    told = WordVectors(digest=words.digest, description=description)
    return {**texts, "word_vectors": words.vectors, "words": told}
