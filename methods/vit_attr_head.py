"""ViT + attribute head: the baseline of SVIP (Chen et al., ICCV 2025, Table 2, first row).

| point | paper | released code | here |
|---|---|---|---|
| head | one linear layer on the final class token | - | the same, on the normed token |
| backbone | not said: frozen or fine-tuned | - | fine-tuned; `backbone_lr=0` freezes it |
| loss | not said | - | cross-entropy over the seen classes |
| logits | cosine, sigma 5 | - | `logits`, `scale`; cosine with 20 |
| calibration | not said | - | chosen in the tuning worlds |
| schedule, augmentation | not said | - | the shared ones |

Where it sees an attribute (`view`) is what the head makes of each final patch: no loss trains that.
"""

from torch import Tensor, nn

from zslbench.backbones.vit import OpenViT
from zslbench.method import PublishedRule, TrainSet
from zslbench.method.trained import TrainedConfig, TrainedMethod
from zslbench.nn.attention import rolled_out


class Network(nn.Module):
    """A ViT and a linear layer from its class token to K attributes."""

    def __init__(self, backbone: OpenViT, attributes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(backbone.width, attributes)

    def forward(self, images: Tensor) -> Tensor:
        """Return predicted attributes `[B, K]`."""
        predicted: Tensor = self.head(self.backbone(images)[:, 0])
        return predicted


class ViTAttributeHead(TrainedMethod):
    """Attributes predicted from the class token, compared with class attributes."""

    class Config(TrainedConfig):
        """Config of the baseline."""

    network: Network
    published = PublishedRule(epoch="best", gamma=0.0, source="SVIP, Table 2; code of its epochs")

    def build(self, train: TrainSet) -> nn.Module:
        """Return the backbone with a new head."""
        return Network(self.source.build(), train.class_attributes.shape[1])

    def logits(self, images: Tensor, class_attributes: Tensor) -> Tensor:
        """Return scaled similarities of predicted and class attributes."""
        return self.compare(self.network(images), class_attributes)

    def look(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the class token's attention, rolled out, and what the head sees in each patch."""
        patches, final = rolled_out(self.network.backbone, images)
        return patches, self.network.head(final[:, 1:])
