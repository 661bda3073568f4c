"""What a method is: a config, a fit that yields epochs, and scores."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from zslbench.data.types import BackboneSource, Ending, Inputs
from zslbench.method.settings import MethodConfig, Settings
from zslbench.metrics import Average, Space
from zslbench.metrics.localisation import View

Float = NDArray[np.float64]
Need = Literal["images", "features", "word_vectors", "descriptions", "unseen_attributes"]


@dataclass(frozen=True)
class PublishedRule:
    """What a method's paper or code did to pick epoch and gamma, on test images.

    Attributes:
        epoch: `best` on test, or the `last`; see `AnyMethod.passes` for what an epoch is where a
            final classifier has epochs of its own.
        gamma: `best` on test, or a number as published (0 where it did not calibrate). `best` is
            the exact optimum of the curve; code that searches a grid finds a lower H: with SVIP's
            steps of 0.01 by up to 0.25 points.
        space: Where gamma acted.
        average: Per-class means, or per-image means where the published code has them.
        source: Where that is said or seen.
    """

    epoch: Literal["best", "last"] = "last"
    gamma: Literal["best"] | float = 0.0
    space: Space = "logit"
    average: Average = "class"
    source: str = ""


@dataclass(frozen=True)
class PublishedCurve:
    """What a paper's sensitivity figure says of a setting, all of it read on test images.

    Attributes:
        optimum: The value at which the paper has its best results.
        values: A grid over the range it tried, with the values that can be read off; empty where
            its range is not known.
    """

    optimum: float
    values: tuple[float, ...] = ()


@dataclass(frozen=True)
class TrainSet:
    """All that a method is handed to learn from. Nothing here names an item, a file or a class.

    Attributes:
        inputs: n items.
        labels: `[n]` in 0..Cs-1.
        class_attributes: `[Cs, K]` of the seen classes, in the form that the config asks for; their
            sentences `[Cs, S]` where it asks for these.
        word_vectors: `[K, E]`, if the method needs them.
        attribute_groups: `[K]` which group each attribute is of, where that is known.
        unseen_attributes: `[Cu, K]`, only if the method declares that it trains on them.
        backbone: Builds the pretrained network, where the inputs are images.
    """

    inputs: Inputs
    labels: NDArray[np.int64]
    class_attributes: Float
    word_vectors: Float | None = None
    attribute_groups: NDArray[np.int64] | None = None
    unseen_attributes: Float | None = None
    backbone: BackboneSource | None = None

    @classmethod
    def empty(cls, class_attributes: Float, backbone: BackboneSource | None = None) -> Self:
        """Return one without items, to set up a network for."""
        nothing = np.empty((0, 0)), np.empty(0, dtype=np.int64)
        return cls(*nothing, class_attributes, backbone=backbone)


@dataclass(frozen=True)
class Epoch:
    """What a fit yields at the end of an epoch (1-based): by then the method can score."""

    number: int
    losses: Mapping[str, float] = field(default_factory=dict)


class AnyMethod(ABC):
    """What methods of both kinds have: a config, a seed, and what they have learnt.

    Attributes:
        Config: Its config class.
        deterministic: Whether the seed has no part in it, whatever its config.
        version: Raised by whoever changes its numbers.
        precision: The arithmetic of its fit.
        learnt: The names of the arrays that hold all it has learnt; who has more than arrays
            writes `state` and `load_state`.
    """

    Config: ClassVar[type[Settings]]
    deterministic: ClassVar[bool] = False
    version: ClassVar[int] = 1
    precision: ClassVar[str] = "float32"
    learnt: ClassVar[tuple[str, ...]] = ()

    def __init__(self, config: Any, seed: int) -> None:
        self.config = config
        self.seed = seed

    @classmethod
    def misfit(cls, config: Any, grid: int) -> str:
        """Return why it cannot work on a backbone's `grid` x `grid` patches; empty: it can.

        Asked before any image is decoded; whoever is refused is told the sizes that would do.
        """
        return ""

    @classmethod
    def epochs(cls, config: Any) -> int:
        """Return how many epochs a fit with this config yields: its setting `epochs`, or one."""
        return int(getattr(config, "epochs", 1))

    @classmethod
    def passes(cls, config: Any) -> int:
        """Return how many epochs in a row are those of one final classifier.

        A generative method trains one anew, over several epochs, each time it scores. Papers pick
        the best of these on test, so each counts as an epoch for all rules.
        """
        return 1

    @classmethod
    def is_deterministic(cls, config: Any) -> bool:
        """Return whether the seed has no part in a fit with this config."""
        return cls.deterministic

    def state(self) -> dict[str, NDArray[Any]]:
        """Return all that has been learnt, as named arrays.

        Raises:
            ValueError: If that is nothing yet.
        """
        if not all(hasattr(self, name) for name in self.learnt):
            raise ValueError("nothing has been learnt")
        return {name: getattr(self, name) for name in self.learnt}

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take back what `state` gave, into a method just made."""
        for name in self.learnt:
            setattr(self, name, state[name])


class Method(AnyMethod):
    """A trainable thing that turns items into scores over classes.

    Attributes:
        needs: What it must be handed beyond labels and seen class attributes.
        ending: What a backbone under it must end in, where it gets images: tokens, a map, a pair.
        published: What its paper or code did to pick epoch and gamma.
        swept: The settings that a sweep searches unless told otherwise; empty: all declared by
            `hyper`, but for `epochs` and `batch_size`.
        published_curves: The settings whose sensitivity its paper shows.
    """

    Config: ClassVar[type[MethodConfig]]
    needs: ClassVar[frozenset[Need]]
    ending: ClassVar[Ending] = "tokens"
    published: ClassVar[PublishedRule] = PublishedRule()
    swept: ClassVar[tuple[str, ...]] = ()
    published_curves: ClassVar[Mapping[str, PublishedCurve]] = {}

    @classmethod
    def prepare(cls, train: TrainSet, config: Any) -> Any:
        """Do the work that all candidate configs share; its result is what `fit` gets."""
        return train

    @classmethod
    def transductive(cls, config: Any) -> bool:
        """Return whether training uses attributes of unseen classes."""
        return "unseen_attributes" in cls.needs

    @classmethod
    def source_of(cls, config: Any) -> BackboneSource | None:
        """Return the backbone that the config itself names; None: the one asked for beside it."""
        return None

    @abstractmethod
    def fit(self, prepared: Any, after: Mapping[str, Any] | None = None) -> Iterator[Epoch]:
        """Learn, yielding at the end of every epoch; go on after a checkpoint if one is given."""

    def checkpoint(self) -> Mapping[str, Any] | None:
        """Return what `fit` needs to go on from here; None where starting again is as good."""
        return None

    @abstractmethod
    def scores(self, batch: NDArray[Any], class_attributes: Float) -> NDArray[np.floating]:
        """Return `[b, C]` scores (logits) of a batch over the classes whose rows are given."""

    def view(self, batch: NDArray[Any]) -> View | None:
        """Return where it looks in a batch of images; None where it has no such notion."""
        return None

    def setup(self, train: TrainSet) -> None:
        """Build what `load_state` fills, where that takes more than the config."""
