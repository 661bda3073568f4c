"""The networks that ship with the package, pretrained on plumage, and plain ViTs."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zslbench.backbones.source import IMAGENET, file_sha256
from zslbench.data.types import BackboneSource, Ending
from zslbench.errors import ZslbenchError
from zslbench.records import Backbone

if TYPE_CHECKING:  # a backbone is named and recorded without torch
    from zslbench.backbones.maps import MapBackbone
    from zslbench.backbones.vit import OpenViT

EMBEDDED = "plumage_vit"
PAIR = "plumage_clip"
EMBEDDED_ENDING: dict[Ending, str] = {"tokens": EMBEDDED, "map": "plumage_vmamba", "pair": PAIR}
ARCHITECTURE: dict[str, Any] = {
    "img_size": 56,
    "patch_size": 8,
    "embed_dim": 128,
    "depth": 6,
    "num_heads": 4,
}


def embedded_architecture(name: str = EMBEDDED) -> "OpenViT | MapBackbone":
    """Return an embedded network with fresh parameters: 7 x 7 tokens or places of 56 px images."""
    from zslbench.backbones.vmamba import MICRO, VMamba

    return plain_vit(ARCHITECTURE) if name == EMBEDDED else VMamba(**MICRO)


def shaped_like(state: Mapping[str, Any], path: Path) -> BackboneSource:
    """Return a plain ViT of the shapes in a state dict (timm's names), with ImageNet's statistics.

    Its parameters are fresh: who brings the state fills them. Heads have 64 channels, as ViT-B's.

    Raises:
        ZslbenchError: If the state is no plain ViT's.
    """
    try:
        width, _, patch, _ = state["patch_embed.proj.weight"].shape
        grid = round((state["pos_embed"].shape[1] - 1) ** 0.5)
    except (KeyError, ValueError, IndexError) as error:
        raise ZslbenchError(
            f"{path}: no ViT's patch embedding and positions are in it ({error!r}). Name a "
            "checkpoint that holds the whole network."
        ) from None
    blocks = {int(name.split(".")[1]) for name in state if name.startswith("blocks.")}
    size = grid * patch
    shape = {"img_size": size, "patch_size": patch, "embed_dim": width, "depth": len(blocks)}
    build = partial(plain_vit, shape | {"num_heads": max(1, width // 64)})
    record = Backbone(name=f"checkpoint:{path.name}", weights_digest=file_sha256(path))
    return BackboneSource(record, *IMAGENET, size, build, grid=grid)


def plain_vit(shape: Mapping[str, Any]) -> "OpenViT":
    """Return a ViT with fresh parameters and no head, from arguments of timm's."""
    from timm.models.vision_transformer import VisionTransformer

    from zslbench.backbones.vit import OpenViT

    return OpenViT(VisionTransformer(**shape, num_classes=0, global_pool="token"))
