"""Backbones by name: the embedded one, or any ViT of timm's with weights, or an error."""

import re
from collections.abc import Callable, Mapping, Sequence
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
ARCHITECTURE: dict[str, Any] = {
    "img_size": 56,
    "patch_size": 8,
    "embed_dim": 128,
    "depth": 6,
    "num_heads": 4,
}
HALF = (0.5, 0.5, 0.5)
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
USUAL = re.compile(r"(deit|vit)_\w+_patch\d+_\d+")
WEB = ("laion", "openai", "webli", "metaclip", "datacomp", "dfn", "lvd", "pali", "yfcc", "bamboo")


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
    if weights and (name == EMBEDDED or name.startswith(RANDOM)):
        raise ZslbenchError(
            f"--weights {weights}: --backbone {name} takes none. Name a ViT of timm's with it."
        )
    if name == EMBEDDED:
        path = Path(str(files("zslbench.backbones") / f"{EMBEDDED}.safetensors"))
        record = Backbone(name=EMBEDDED, weights_digest=_digest(path), exposure="plumage")
        return Source(record, HALF, HALF, ARCHITECTURE["img_size"], partial(_embedded, path))
    return _timm(name, weights)


def embedded_architecture() -> OpenViT:
    """Return the embedded ViT with fresh parameters: 7 x 7 tokens of 56 px images."""
    return _plain_vit(ARCHITECTURE)


def shaped_like(state: Mapping[str, Any], path: Path) -> Source:
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
    shape: dict[str, Any] = {"img_size": size, "patch_size": patch, "embed_dim": width,
                             "depth": len(blocks), "num_heads": max(1, width // 64)}  # fmt: skip
    record = Backbone(name=f"checkpoint:{path.name}", weights_digest=_digest(path))
    return Source(record, *IMAGENET, size, partial(_plain_vit, shape))


def _plain_vit(shape: Mapping[str, Any]) -> OpenViT:
    from timm.models.vision_transformer import VisionTransformer

    return OpenViT(VisionTransformer(**shape, num_classes=0, global_pool="token"))


def _embedded(path: Path) -> OpenViT:
    from safetensors.torch import load_file

    backbone = embedded_architecture()
    backbone.vit.load_state_dict({k: v.float() for k, v in load_file(path).items()})
    return backbone


def _timm(name: str, weights: Path | None) -> Source:
    import timm

    bare = name.removeprefix(RANDOM)
    architecture, _, tag = bare.partition(".")
    known = [*timm.list_models(module="vision_transformer"), *timm.list_models(module="deit")]
    if architecture not in known:
        raise unknown("ViT of timm's", architecture, filter(USUAL.fullmatch, known))
    try:
        cfg: Any = timm.get_pretrained_cfg(bare)
    except RuntimeError:
        tags = [full.partition(".")[2] for full in timm.list_pretrained(f"{architecture}.*")]
        raise unknown(f"weights of timm's {architecture} called", tag, tags) from None
    untrained = name.startswith(RANDOM)
    digest = "" if untrained else _digest(weights) if weights else f"timm:{architecture}.{cfg.tag}"
    exposure = "none" if untrained else _exposure(tag if weights else cfg.tag)
    record = Backbone(name=name, weights_digest=digest, exposure=exposure)
    build = partial(_build_timm, bare, weights, untrained)
    return Source(record, tuple(cfg.mean), tuple(cfg.std), cfg.input_size[-1], build)


def _build_timm(name: str, weights: Path | None, untrained: bool) -> OpenViT:
    import timm

    try:
        vit = timm.create_model(name, pretrained=not untrained and weights is None, num_classes=0)
        if weights:
            _load_all(vit, weights)
    except Exception as error:  # hubs fail in many ways, and files too
        raise ZslbenchError(
            f"--backbone {name}: its weights could not be had ({type(error).__name__}: "
            f"{str(error)[:150]}). Name a local file with --weights, or ask for a random start "
            f"with --backbone {RANDOM}{name}."
        ) from error
    try:
        return OpenViT(vit)
    except ValueError as error:
        raise ZslbenchError(f"--backbone {name}: {error}. Choose another ViT.") from None


def _load_all(vit: Any, weights: Path) -> None:
    """Load a file that has every parameter; timm itself leaves at random what a file lacks."""
    from timm.models import load_checkpoint
    from timm.models.vision_transformer import checkpoint_filter_fn

    loaded = load_checkpoint(vit, str(weights), strict=False, filter_fn=checkpoint_filter_fn)
    if loaded is not None and loaded.missing_keys:
        lacking = loaded.missing_keys
        raise ValueError(f"{weights.name} lacks {len(lacking)} parameters, {lacking[0]!r} first")


def read_state(path: Path, allowed: Sequence[type] = ()) -> dict[str, Any]:
    """Read a state dict by torch without executing anything in it.

    Args:
        path: A file of `torch.save`.
        allowed: Types that may be in it beside tensors and plain containers.

    Raises:
        ZslbenchError: If there is none, or it cannot be read that way.
    """
    import torch

    if not path.is_file():
        raise ZslbenchError(f"{path}: there is no such file. Name a file of weights.")
    try:
        with torch.serialization.safe_globals(list(allowed)):
            state = torch.load(path, map_location="cpu", weights_only=True)
        return dict(state)
    except Exception as error:  # a damaged file fails in many ways
        raise ZslbenchError(
            f"{path}: no state dict can be read from it without executing code "
            f"({type(error).__name__}: {str(error)[:150]}). Save tensors alone: "
            "torch.save(model.state_dict(), FILE)."
        ) from error


def _exposure(tag: str) -> Exposure:
    """Return what weights have seen, as far as timm's tag tells: the widest data of any stage."""
    if any(word in tag for word in WEB):
        return "web"
    if any(word in tag for word in ("in21k", "in22k", "in12k")):
        return "21k"
    return "1k" if tag.endswith("in1k") and "ft_" not in tag else "unknown"


def _digest(path: Path) -> str:
    if not path.is_file():
        raise ZslbenchError(f"--weights {path}: there is no such file.")
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
