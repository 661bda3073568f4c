"""What every record is, and the parts that several of them name."""

from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

RuleName = Literal["validation", "last", "published", "submitted"]
Exposure = Literal["1k", "21k", "web", "plumage", "none", "unknown"]


class Record(BaseModel):
    """An immutable record that refuses fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")

    kind: ClassVar[str]


class Backbone(Record):
    """The pretrained network under a method, or the feature file that stands for it.

    Attributes:
        name: A timm name, or `features:NAME` for features read from `NAME.mat`.
        weights_digest: SHA-256 of the weights or of the features.
        exposure: What the pretraining saw. The Proposed Splits keep unseen classes out of
            ImageNet-1k and promise nothing about more.
        image_size: Side of the images in pixels, where it is not the network's own.
        mean: Of the network's input, `(r, g, b)` in [0, 1], where it is not that of the name.
        std: Likewise, its deviation.
        fine_tuned: Whether the network was trained on labels of all seen classes. Nothing can be
            chosen with it: it knows the validation classes of every tuning world.
        frozen_blocks: How many blocks of a ViT are never trained, the first ones.
    """

    name: str
    weights_digest: str
    exposure: Exposure = "unknown"
    image_size: int | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    fine_tuned: bool = False
    frozen_blocks: int | None = None

    @property
    def adjusted(self) -> dict[str, Any]:
        """What of the input and the training is not the network's own, as JSON."""
        names = {"image_size", "mean", "std", "fine_tuned", "frozen_blocks"}
        return self.model_dump(mode="json", include=names, exclude_defaults=True)

    @property
    def identity(self) -> dict[str, Any]:
        """All that may change numbers, as JSON."""
        return {"name": self.name, "weights_digest": self.weights_digest, **self.adjusted}

    @property
    def title(self) -> str:
        """What tables call it."""
        size = f" at {self.image_size} px" if self.image_size else ""
        frozen = f", {self.frozen_blocks} blocks frozen" if self.frozen_blocks else ""
        return f"{self.name}{size}{frozen}"


class WordVectors(Record):
    """Word vectors of attribute names, or sentences of classes: digest, and where they are from."""

    digest: str
    description: str
