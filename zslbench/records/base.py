"""What every record is, and the parts that several of them name."""

from typing import ClassVar, Literal

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
    """

    name: str
    weights_digest: str
    exposure: Exposure = "unknown"


class WordVectors(Record):
    """Word vectors of attribute names, or sentences of classes: digest, and where they are from."""

    digest: str
    description: str
