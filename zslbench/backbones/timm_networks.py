"""ViTs and EfficientViMs of timm's, by name."""

import re
from functools import partial
from pathlib import Path
from typing import Any

from zslbench.backbones.maps import MapBackbone, OpenEfficientViM
from zslbench.backbones.source import RANDOM, not_had, recorded
from zslbench.backbones.vit import OpenViT
from zslbench.backbones.vmamba_weights import VMAMBAS
from zslbench.data.types import BackboneSource, Ending
from zslbench.errors import ZslbenchError, unknown
from zslbench.records import Exposure

USUAL = re.compile(r"(deit|vit)_\w+_patch\d+_\d+|efficientvim_m\d")
WEB = ("laion", "openai", "webli", "metaclip", "datacomp", "dfn", "lvd", "pali", "yfcc", "bamboo")


def find_timm(name: str, weights: Path | None) -> BackboneSource:
    """Return a ViT or an EfficientViM of timm's.

    Raises:
        ZslbenchError: If timm has no such network, or no such weights of it.
    """
    import timm

    bare = name.removeprefix(RANDOM)
    architecture, _, tag = bare.partition(".")
    modules = ("vision_transformer", "deit", "efficientvim")
    known = [name for module in modules for name in timm.list_models(module=module)]
    if architecture not in known:
        raise unknown("ViT of timm's", architecture, [*filter(USUAL.fullmatch, known), *VMAMBAS])
    try:
        cfg: Any = timm.get_pretrained_cfg(bare)
    except RuntimeError:
        tags = [full.partition(".")[2] for full in timm.list_pretrained(f"{architecture}.*")]
        raise unknown(f"weights of timm's {architecture} called", tag, tags) from None
    exposure = _exposure(tag if weights else cfg.tag)
    record = recorded(name, weights, f"timm:{architecture}.{cfg.tag}", exposure)
    build = partial(_build_timm, bare, weights, name.startswith(RANDOM))
    mean, std, size = tuple(cfg.mean), tuple(cfg.std), cfg.input_size[-1]
    ending: Ending = "map" if architecture.startswith("efficientvim") else "tokens"
    return BackboneSource(record, mean, std, size, build, ending)


def _build_timm(name: str, weights: Path | None, untrained: bool) -> OpenViT | MapBackbone:
    import timm

    try:
        vit = timm.create_model(name, pretrained=not untrained and weights is None, num_classes=0)
        if weights:
            _load_all(vit, weights)
    except Exception as error:  # hubs fail in many ways, and files too
        raise ZslbenchError(not_had(name, error, f"{RANDOM}{name}")) from error
    if name.startswith("efficientvim"):
        return OpenEfficientViM(vit)
    try:
        return OpenViT(vit)
    except ValueError as error:
        raise ZslbenchError(f"--backbone {name}: {error}. Choose another ViT.") from None


def _load_all(vit: Any, weights: Path) -> None:
    """Load a file that has every parameter; timm itself leaves at random what a file lacks."""
    from timm.models import load_checkpoint
    from timm.models.vision_transformer import checkpoint_filter_fn

    renamed = checkpoint_filter_fn if hasattr(vit, "pos_embed") else None
    loaded = load_checkpoint(vit, str(weights), strict=False, filter_fn=renamed)
    if loaded is not None and loaded.missing_keys:
        lacking = loaded.missing_keys
        raise ValueError(f"{weights.name} lacks {len(lacking)} parameters, {lacking[0]!r} first")


def _exposure(tag: str) -> Exposure:
    """Return what weights have seen, as far as timm's tag tells: the widest data of any stage."""
    if any(word in tag for word in WEB):
        return "web"
    if any(word in tag for word in ("in21k", "in22k", "in12k")):
        return "21k"
    return "1k" if tag.endswith("in1k") and "ft_" not in tag else "unknown"
