"""Everything that can be checked of a dataset before a run, and what it holds in numbers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zslbench.data.exposure import class_vectors_saw, imagenet_classes
from zslbench.data.formats import xlsa17
from zslbench.data.formats.class_lists import check_sides, read_class_splits
from zslbench.data.formats.features import NoFeaturesError
from zslbench.data.formats.items import (
    Items,
    check_same_items,
    find_feature_files,
    find_index,
    locate_images,
    read_items,
)
from zslbench.data.formats.xlsa17 import AttSplits
from zslbench.data.load import check_items, find_dataset
from zslbench.data.types import Int
from zslbench.errors import DataError


@dataclass
class Verified:
    """A dataset in numbers, what is wrong with it, and what is worth knowing."""

    name: str
    facts: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def check(self, part: Any) -> Any:
        """Run a part of the verification; a `DataError` becomes a problem, and None returns.

        A file that holds no features is but noted: it may be a table of something else.
        """
        try:
            return part()
        except NoFeaturesError as error:
            self.notes.append(str(error))
            return None
        except DataError as error:
            self.problems.append(str(error))
            return None


def verify(name: str, root: Path, images: Path | None = None) -> Verified:
    """Check counts, shapes, finiteness, disjoint splits, and that every file is there.

    Raises:
        ZslbenchError: Only where there is no such dataset; all else is in `problems`.
    """
    folder = find_dataset(name, root)
    found = Verified(folder.name)
    table: AttSplits | None = found.check(lambda: xlsa17.read_att_splits(folder))
    if table is None:
        return found
    splits, classes = table.splits, table.classes
    found.facts = {
        "classes": len(classes.names),
        "attributes": classes.attributes.shape[1],
        "attribute_names": bool(classes.attribute_names),
        "trainval": len(splits.trainval),
        "test_seen": len(splits.test_seen),
        "test_unseen": len(splits.test_unseen),
    }
    if table.leaks:
        found.problems.append(
            f"{folder / 'att_splits.mat'}: {table.leaks} test images are inside train_loc and "
            "val_loc. Use the 2019 file or later, or pass --resplit."
        )
    if saw := class_vectors_saw(folder.name):
        found.notes.append(f"{saw}, the unseen ones of tuning worlds among them")
    if not classes.attribute_names:
        found.notes.append("no attributes.txt or predicates.txt: attributes have no names")
    _verify_items(found, folder, table, images)
    return found


def _verify_items(found: Verified, folder: Path, table: AttSplits, images: Path | None) -> None:
    named = find_feature_files(folder)
    found.facts["features"] = list(named)
    index = find_index(folder)
    if not named and not index:
        found.notes.append("no feature file and no index.csv: nothing to run on yet")
        return
    count = len(table.classes.names)
    sides: tuple[Int, Int] | None = None
    files: list[str] = []
    first: Items | None = None
    for source in [*named.values(), None] if index else named.values():
        items: Items | None = found.check(lambda s=source: read_items(folder, s, count))
        if items is not None:
            sides = found.check(lambda i=items: check_items(i, table)) or sides
            files = items.files or files
            first = first or items
            if items.features is not None and items.features.fine_tuned:
                found.notes.append(f"{items.source}: of a network that was fine-tuned on all seen "
                                   "classes: nothing can be tuned with it")  # fmt: skip
            found.check(lambda i=items, f=first: check_same_items(i, f))
    if sides is not None:
        found.facts |= {"seen": len(sides[0]), "unseen": len(sides[1])}
        found.check(lambda: check_sides(folder, table.classes, *sides))
        splits = found.check(lambda: read_class_splits(folder, table.classes, sides[0]))
        found.facts["class_splits"] = [[len(s.train), len(s.validation)] for s in splits or ()]
        _note_imagenet(found, table.classes.names, sides)
    if files:
        _verify_images(found, files, folder, images)


def _note_imagenet(found: Verified, names: Sequence[str], sides: tuple[Int, Int]) -> None:
    """Note which classes a network that was pretrained on ImageNet knows."""
    seen, unseen = (imagenet_classes([names[c] for c in side]) for side in sides)
    if seen:
        found.notes.append(
            f"ImageNet-1k has {len(seen)} seen classes by name, so a network pretrained on it "
            f"may know them where they are validation classes: {', '.join(seen)}"
        )
    if unseen:
        found.notes.append(
            f"ImageNet-1k has {len(unseen)} unseen classes by name: they are not "
            f"zero-shot for a network pretrained on it: {', '.join(unseen)}"
        )


def _verify_images(found: Verified, files: list[str], folder: Path, images: Path | None) -> None:
    """Check that images are all there, where any are or a folder was named for them."""
    try:
        found.facts["images"] = len(locate_images(files, images or folder))
    except DataError as error:
        found.facts["images"] = 0
        if images is None and f"{len(files)} of {len(files)}" in error.what:
            found.notes.append("no images below the dataset's folder; name theirs with --images")
        else:
            found.problems.append(str(error))
