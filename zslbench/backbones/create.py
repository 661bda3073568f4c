"""Backbones by name: the embedded ones, ViTs and EfficientViMs of timm's, VMambas; or an error."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import file_digest
from importlib.resources import files
from pathlib import Path
from typing import Any

from zslbench.backbones.maps import MapBackbone, OpenEfficientViM
from zslbench.backbones.vit import OpenViT
from zslbench.backbones.vmamba import MICRO, SIZES, VMamba
from zslbench.data.types import Ending
from zslbench.errors import ZslbenchError, unknown
from zslbench.records import Backbone, Exposure

EMBEDDED = "plumage_vit"
EMBEDDED_ENDING: dict[Ending, str] = {"tokens": EMBEDDED, "map": "plumage_vmamba"}
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
RELEASED = {
    "vmamba_tiny": "vssm1_tiny_0230s_ckpt_epoch_264.pth",
    "vmamba_small": "vssm_small_0229_ckpt_epoch_222.pth",
    "vmamba_base": "vssm_base_0229_ckpt_epoch_237.pth",
}
VMAMBAS = {f"{name}_{size}": (name, size) for name in SIZES for size in (224, 448)}
USUAL = re.compile(r"(deit|vit)_\w+_patch\d+_\d+|efficientvim_m\d")
WEB = ("laion", "openai", "webli", "metaclip", "datacomp", "dfn", "lvd", "pali", "yfcc", "bamboo")


@dataclass(frozen=True)
class Source:
    """A backbone that can be built again and again.

    Attributes:
        record: Name, digest of weights, exposure.
        mean: Of its input, `(r, g, b)` in [0, 1].
        deviation: Likewise.
        size: Side of its images in pixels.
        build: Returns a new network with the weights in it.
        ending: What the network ends in: an `OpenViT` in tokens, a `MapBackbone` in a map.
    """

    record: Backbone
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    size: int
    build: Callable[[], OpenViT | MapBackbone]
    ending: Ending = "tokens"


def find_backbone(name: str, weights: Path | None = None) -> Source:
    """Return a backbone by name.

    Args:
        name: `plumage_vit`, `plumage_vmamba`, a ViT or an EfficientViM of timm's, a VMamba such as
            `vmamba_small_224`, or `random:NAME` for an untrained one.
        weights: A local file of weights: safetensors, or a state dict that loads without pickle.

    Raises:
        ZslbenchError: Where there is no such network, or its weights can be had neither way.
    """
    if weights and (name in EMBEDDED_ENDING.values() or name.startswith(RANDOM)):
        raise ZslbenchError(
            f"--weights {weights}: --backbone {name} takes none. Name a ViT of timm's with it."
        )
    for ending, embedded in EMBEDDED_ENDING.items():
        if name == embedded:
            path = Path(str(files("zslbench.backbones") / f"{name}.safetensors"))
            record = Backbone(name=name, weights_digest=_digest(path), exposure="plumage")
            build = partial(_embedded, name, path)
            return Source(record, HALF, HALF, ARCHITECTURE["img_size"], build, ending)
    if name.removeprefix(RANDOM).partition("_")[0] == "vmamba":
        return _vmamba(name, weights)
    return _timm(name, weights)


def embedded_architecture(name: str = EMBEDDED) -> OpenViT | MapBackbone:
    """Return an embedded network with fresh parameters: 7 x 7 tokens or places of 56 px images."""
    return _plain_vit(ARCHITECTURE) if name == EMBEDDED else VMamba(**MICRO)


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


def _embedded(name: str, path: Path) -> OpenViT | MapBackbone:
    from safetensors.torch import load_file

    backbone = embedded_architecture(name)
    inner = backbone.vit if isinstance(backbone, OpenViT) else backbone
    inner.load_state_dict({k: v.float() for k, v in load_file(path).items()})
    return backbone


def _vmamba(name: str, weights: Path | None) -> Source:
    """Return a VMamba, with the weights of a file in the layout of its public release."""
    architecture, _, tag = name.removeprefix(RANDOM).partition(".")
    if architecture not in VMAMBAS:
        raise unknown("VMamba", architecture, VMAMBAS)
    if tag not in ("", "in1k"):
        raise unknown(f"weights of {architecture} called", tag, ["in1k"])
    kind, size = VMAMBAS[architecture]
    untrained = name.startswith(RANDOM)
    if weights is None and not untrained:
        raise ZslbenchError(
            f"--backbone {name}: its weights are in no hub. Download {RELEASED[kind]} from the "
            "releases of MzeroMiko/VMamba on GitHub and name it with --weights, or ask for a "
            f"random start with --backbone {RANDOM}{name}."
        )
    digest = _digest(weights) if weights else ""
    exposure: Exposure = "none" if untrained else "1k" if tag else "unknown"
    record = Backbone(name=name, weights_digest=digest, exposure=exposure)
    return Source(record, *IMAGENET, size, partial(_build_vmamba, kind, weights), "map")


def _build_vmamba(kind: str, weights: Path | None) -> VMamba:
    network = VMamba(**SIZES[kind])
    if weights:
        try:
            network.take(_released(weights))
        except ValueError as error:
            raise ZslbenchError(
                f"{weights}: it does not fit {kind}: {error}. Name the public release's "
                f"{RELEASED[kind]}, or the --backbone that this one belongs to."
            ) from None
    return network


def _released(path: Path) -> dict[str, Any]:
    """Return the parameters in a checkpoint of the public release, or in a bare state dict."""
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    state = read_state(path)
    return dict(state.get("model", state))


def _timm(name: str, weights: Path | None) -> Source:
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
    untrained = name.startswith(RANDOM)
    digest = "" if untrained else _digest(weights) if weights else f"timm:{architecture}.{cfg.tag}"
    exposure = "none" if untrained else _exposure(tag if weights else cfg.tag)
    record = Backbone(name=name, weights_digest=digest, exposure=exposure)
    build = partial(_build_timm, bare, weights, untrained)
    ending: Ending = "map" if architecture.startswith("efficientvim") else "tokens"
    return Source(record, tuple(cfg.mean), tuple(cfg.std), cfg.input_size[-1], build, ending)


def _build_timm(name: str, weights: Path | None, untrained: bool) -> OpenViT | MapBackbone:
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

    plain = hasattr(vit, "pos_embed")
    renamed = checkpoint_filter_fn if plain else None
    loaded = load_checkpoint(vit, str(weights), strict=False, filter_fn=renamed)
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


def load_state(network: Any, state: Mapping[str, Any], path: Path, mend: str) -> None:
    """Load every parameter of a network.

    Args:
        network: A module.
        state: Its state dict, read from `path`.
        path: For the error.
        mend: What to do where they do not fit.

    Raises:
        ZslbenchError: If a parameter is missing, unknown, or of another shape.
    """
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        differs = " ".join(str(error).split())[:300]
        raise ZslbenchError(f"{path}: its parameters do not fit ({differs}). {mend}") from None


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
