"""The knobs of plumage."""

from dataclasses import dataclass, fields

from zslbench.data.plumage.attributes import COMBINATIONS
from zslbench.data.plumage.draws import Streams
from zslbench.errors import ZslbenchError

# Raised whenever a pixel, a class or a split of some config changes: part of the cache's key.
DRAWING_VERSION = 2
SIZES = (56, 112)
MOST_CLASSES = COMBINATIONS // 1000
FEWEST_IMAGES = 5


@dataclass(frozen=True)
class PlumageConfig:
    """What to draw.

    Attributes:
        classes: How many, seen and unseen.
        unseen: How many of them have no image in training; pretraining may have none.
        images_per_class: How many of each.
        size: Side of the images in pixels, 56 or 112; the pictures are the same.
        clutter: Percent of the frame outside the bird that unrelated objects cover; above 50 they
            lie in front of the bird too, and cover a quarter of the excess of it.
        spurious: Percent of a seen class's training images that show it at home, in a habitat and
            among colours of its own; all other images, and all to be tested on, are anywhere.
        seed: What everything derives from.
        pretraining: Whether classes are drawn from the reserved combinations, which no other
            config's classes have.

    Raises:
        ZslbenchError: On a value out of bounds.
    """

    classes: int = 80
    unseen: int = 20
    images_per_class: int = 30
    size: int = 56
    clutter: int = 50
    spurious: int = 50
    seed: int = 0
    pretraining: bool = False

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if type(value) is not type(field.default):
                kind = "true or false" if field.name == "pretraining" else "a whole number"
                _refuse(field.name, value, f"is not {kind}", f"Write {field.default}, say.")
        if self.size not in SIZES:
            _refuse("size", self.size, "is no size birds are drawn at", "Choose 56 or 112.")
        self._check("classes", 2, MOST_CLASSES, f"of {COMBINATIONS} combinations")
        self._check("unseen", int(not self.pretraining), self.classes - 1, "some must be seen")
        self._check("images_per_class", FEWEST_IMAGES, 10**6, "a fifth is for test_seen")
        for percent in ("clutter", "spurious"):
            self._check(percent, 0, 100, "in percent")

    @property
    def streams(self) -> Streams:
        """The streams everything is drawn from; pretraining has its own."""
        return Streams(self.seed, ("plumage pretraining" if self.pretraining else "plumage",))

    def _check(self, name: str, low: int, high: int, why: str) -> None:
        value = getattr(self, name)
        if not low <= value <= high:
            _refuse(name, value, "is out of bounds", f"Choose {low} to {high} ({why}).")


def _refuse(name: str, value: object, what: str, fix: str) -> None:
    raise ZslbenchError(f"plumage: {name}={value!r} {what}. {fix}")
