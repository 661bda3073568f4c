"""Backbones by name: the embedded one, or any ViT of timm's with weights, or an error."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from hashlib import file_digest
from importlib.resources import files
from pathlib import Path
from typing import Any

from zslbench.backbones.vit import OpenViT
from zslbench.errors import ZslbenchError, unknown
from zslbench.records import Backbone, Exposure

EMBEDDED = "plumage_vit"
RANDOM = "random:"
ARCHITECTURE = {"img_size": 56, "patch_size": 8, "embed_dim": 128, "depth": 6, "num_heads": 4}
HALF = (0.5, 0.5, 0.5)


@dataclass(frozen=True)
class Source:
    """A backbone that can be built again and again.

    Attributes:
        record: Name, digest of weights, exposure.
        mean: Of its input, `(r, g, b)` in [0, 1].
        deviation: Likewise.
        size: Side of its images in pixels.
        build: Returns a new `OpenViT` with the weights in it.
    """

    record: Backbone
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    size: int
    build: Callable[[], OpenViT]


def find_backbone(name: str, weights: Path | None = None) -> Source:
    """Return a backbone by name.

    Args:
        name: `plumage_vit`, a ViT of timm's, or `random:NAME` for an untrained one.
        weights: A local file of weights: safetensors, or a state dict that loads without pickle.

    Raises:
        ZslbenchError: Where there is no such ViT, or its weights can be had neither way.
    """
    if name == EMBEDDED:
        path = Path(str(files("zslbench.backbones") / f"{EMBEDDED}.safetensors"))
        record = Backbone(name=EMBEDDED, weights_digest=_digest(path), exposure="plumage")
        return Source(record, HALF, HALF, ARCHITECTURE["img_size"], partial(_embedded, path))
    return _timm(name, weights)


def embedded_architecture() -> OpenViT:
    """Return the embedded ViT with fresh parameters: 7 x 7 tokens of 56 px images."""
    from timm.models.vision_transformer import VisionTransformer

    kwargs: dict[str, Any] = {**ARCHITECTURE, "num_classes": 0, "global_pool": "token"}
    return OpenViT(VisionTransformer(**kwargs))


def _embedded(path: Path) -> OpenViT:
    from safetensors.torch import load_file

    backbone = embedded_architecture()
    backbone.vit.load_state_dict({k: v.float() for k, v in load_file(path).items()})
    return backbone


def _timm(name: str, weights: Path | None) -> Source:
    import timm

    bare = name.removeprefix(RANDOM)
    known = timm.list_models("*vit*")
    if bare.split(".")[0] not in known:
        raise unknown("ViT of timm's", bare, [model for model in known if "_patch" in model][:60])
    untrained = name.startswith(RANDOM)
    cfg: Any = timm.get_pretrained_cfg(bare)
    digest = "" if untrained else _digest(weights) if weights else f"timm:{bare}"
    record = Backbone(name=name, weights_digest=digest, exposure=_exposure(bare, untrained))
    build = partial(_build_timm, bare, weights, untrained)
    return Source(record, tuple(cfg.mean), tuple(cfg.std), cfg.input_size[-1], build)


def _build_timm(name: str, weights: Path | None, untrained: bool) -> OpenViT:
    import timm

    try:
        overlay = {"file": str(weights)} if weights else None
        vit = timm.create_model(
            name, pretrained=not untrained, num_classes=0, pretrained_cfg_overlay=overlay
        )
    except Exception as error:  # hubs fail in many ways, and files too
        raise ZslbenchError(
            f"--backbone {name}: its weights could not be had ({type(error).__name__}: "
            f"{str(error)[:150]}). Name a local file with --weights, or ask for a random start "
            f"with --backbone {RANDOM}{name}."
        ) from error
    return OpenViT(vit)


def _exposure(name: str, untrained: bool) -> Exposure:
    if untrained:
        return "none"
    tag = name.partition(".")[2]
    if "in21k" in tag or "in22k" in tag or "in12k" in tag:
        return "21k"
    return (
        "1k" if tag.endswith("in1k") else "web" if "laion" in tag or "openai" in tag else "unknown"
    )


def _digest(path: Path) -> str:
    if not path.is_file():
        raise ZslbenchError(f"--weights {path}: there is no such file.")
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
