"""Backbones that end in a feature map and have no class token: what methods may ask of them."""

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn

from zslbench.errors import ZslbenchError


class MapBackbone(nn.Module, ABC):
    """A network from images to a feature map.

    Attributes:
        width: D, the channels of the map.
    """

    width: int

    @abstractmethod
    def forward(self, images: Tensor) -> Tensor:
        """Return the last map `[B, N, D]`, in raster order, of images `[B, 3, S, S]`."""

    @abstractmethod
    def pool(self, found: Tensor) -> Tensor:
        """Return the mean of the map, normed where the network has a norm there, `[B, D]`."""

    def feature(self, images: Tensor) -> Tensor:
        """Return what stands for the whole image, `[B, D]`."""
        return self.pool(self(images))

    @property
    def classifier_head(self) -> nn.Linear:
        """The layer from pooled features to the classes of the pretraining.

        Raises:
            ZslbenchError: Where it has none.
        """
        raise ZslbenchError(
            "This backbone has no classifier of ImageNet's classes on its pooled features: choose "
            "a VMamba such as vmamba_small_224, or leave the logits of the pretraining out."
        )


class OpenEfficientViM(MapBackbone):
    """timm's EfficientViM (Lee et al., CVPR 2025): the last map of its state-space mixers.

    Its own classifier reads the hidden states of all stages too, and is left out.

    Args:
        network: timm's.
    """

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network
        self.width: int = network.embed_dim[-1]
        for part in (*network.norm[:-1], *network.heads):  # of the hidden states: nothing to learn
            part.requires_grad_(False)
        network.weights.requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        """Return the last map `[B, N, D]` of images."""
        x = self.network.patch_embed(images)
        for stage in self.network.stages:
            _, x, _ = stage(x)
        out: Tensor = x.flatten(2).mT
        return out

    def pool(self, found: Tensor) -> Tensor:
        """Return the mean of the normed map, `[B, D]`."""
        norm = self.network.norm[-1]
        normed = nn.functional.layer_norm(
            found, norm.normalized_shape, norm.weight, norm.bias, norm.eps
        )
        return normed.mean(dim=1)


class OpenCNN(MapBackbone):
    """A convolutional network of timm's: the map that its classifier would pool.

    The classifier, and what may stand between pooling and it, are left out.

    Args:
        network: timm's, such as a ResNet (He et al., CVPR 2016) or a MobileNetV2.
    """

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network
        self.width: int = network.num_features

    def forward(self, images: Tensor) -> Tensor:
        """Return the last map `[B, N, D]` of images."""
        found: Tensor = self.network.forward_features(images)
        return found.flatten(2).mT

    def pool(self, found: Tensor) -> Tensor:
        """Return the mean of the map, `[B, D]`."""
        return found.mean(dim=1)
