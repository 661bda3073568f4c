"""What DAZLE, MSDN and TransZero share: words look for attributes in a frozen map, and training
knows unseen classes by their attributes, in the cross-entropy and in a self-calibration.
"""  # noqa: D205

from typing import Any

from zslbench.method import hyper, option, weight
from zslbench.method.trained import Comparison, TrainedConfig, TrainedMethod
from zslbench.nn.attributes import Over

EXTRACTED: dict[str, Any] = {"augment": False, "batch_size": 50}  # released: maps from files


class CalibratedConfig(TrainedConfig):
    """What a method with self-calibration may be set to."""

    backbone_lr: float = hyper(
        0.0, "eta_b", "learning rate of the backbone; 0 freezes it", 0.0, 1.0, log=True
    )
    logits: Comparison = option("dot", "f a", "how predicted and class attributes are compared")
    scale: float = hyper(1.0, "sigma", "scale of the logits", 0.1, 1e3, log=True)
    cross_entropy: Over = option("all", "L_ce", "softmax over all classes, or over seen ones")
    calibration: float = weight(0.1, "lambda_cal", "weight of the self-calibration")


class CalibratedMethod(TrainedMethod):
    """A method whose losses may have unseen classes in them."""

    needs = frozenset({"images", "word_vectors", "unseen_attributes"})
    ending = "map"

    @classmethod
    def transductive(cls, config: Any) -> bool:
        """Return whether any loss has unseen classes in it."""
        return bool(config.cross_entropy == "all" or config.calibration > 0)
