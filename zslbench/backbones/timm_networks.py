"""Networks of timm's by name, at any size that their patches tile: ViTs, and what ends in a map."""

import re
from collections.abc import Mapping
from functools import partial
from math import isqrt
from pathlib import Path
from typing import Any

import numpy as np

from zslbench.backbones.maps import MapBackbone, OpenCNN, OpenEfficientViM
from zslbench.backbones.source import (
    RANDOM,
    check_tiles,
    differences,
    info_of,
    not_had,
    not_of,
    recorded,
)
from zslbench.backbones.vit import OpenViT
from zslbench.backbones.vmamba_weights import VMAMBAS
from zslbench.data.types import BackboneSource, Ending
from zslbench.errors import ZslbenchError, reading, unknown
from zslbench.records import Exposure

USUAL = re.compile(
    r"(deit|vit)_\w+_patch\d+_\d+|efficientvim_m\d|resnet\d+|mobilenetv2_\d+|efficientnet_b\d"
)
VITS = ("vision_transformer", "deit")  # timm's modules of plain ViTs
WEB = ("laion", "openai", "webli", "metaclip", "datacomp", "dfn", "lvd", "pali", "yfcc", "bamboo")
EMBEDDINGS = ("patch_embed.proj.weight", "visual.conv1.weight")  # timm's name, and CLIP's
LIKE = 0.5  # share of parameters that a network must have in common with a file to be named
COUNTER = ".num_batches_tracked"
ARRAYS = ".npz"  # weights in JAX's layout, which timm converts
BESIDE = ("posembed", "pre_logits/", "head/")  # arrays there that are resized, or left out
TENSORS = "Save tensors alone: torch.save(model.state_dict(), FILE), or safetensors."


def find_timm(name: str, weights: Path | None, image_size: int | None = None) -> BackboneSource:
    """Return a ViT of timm's, or a network that ends in a map.

    Raises:
        ZslbenchError: If timm has no such network or no such weights of it, if it is of another
            kind, if the weights of the file are another network's, or patches do not tile images
            of that size.
    """
    import timm

    bare = name.removeprefix(RANDOM)
    architecture, _, tag = bare.partition(".")
    if not timm.is_model(architecture):
        usual = filter(USUAL.fullmatch, timm.list_models())
        raise unknown("network of timm's", architecture, [*usual, *VMAMBAS])
    try:
        cfg: Any = timm.get_pretrained_cfg(bare)
    except RuntimeError:
        tags = [full.partition(".")[2] for full in timm.list_pretrained(f"{architecture}.*")]
        raise unknown(f"weights of timm's {architecture} called", tag, tags) from None
    exposure = _exposure(tag if weights else cfg.tag)
    size = image_size or cfg.input_size[-1]
    other = None if size == cfg.input_size[-1] else size
    record = recorded(name, weights, f"timm:{architecture}.{cfg.tag}", exposure, other)
    build = partial(_build_timm, bare, weights, name.startswith(RANDOM), other)
    ending, grid = _ending(bare, weights, size)
    return BackboneSource(record, tuple(cfg.mean), tuple(cfg.std), size, build, ending, grid)


def _ending(name: str, weights: Path | None, size: int) -> tuple[Ending, int]:
    """Return a network's ending and grid on images of some size, after a look at its skeleton.

    Raises:
        ZslbenchError: If it is not opened up, its patches do not tile such images, or the weights
            of the file are another network's.
    """
    import timm

    if weights:
        architecture, told = name.partition(".")[0], info_of(weights).architecture
        if told != architecture and timm.is_model(told):
            raise not_of(architecture, weights, f"its metadata name {told}", told)
    network = _skeleton(name, weights)
    opened = _opened(name, network)
    if weights:
        (_check_arrays if weights.suffix == ARRAYS else _fitted)(name, network, weights)
    if isinstance(opened, OpenViT):
        return "tokens", check_tiles(name, size, network.patch_embed.patch_size[0])
    return "map", _map_side(name, network, opened, size)


def _map_side(name: str, network: Any, opened: MapBackbone, size: int) -> int:
    """Return the places along each side of a map.

    Raises:
        ZslbenchError: If the network ends in none, or places do not tile such images.
    """
    import torch

    try:
        place = network.feature_info[-1]["reduction"]
        _, places, width = opened(torch.empty(1, 3, size, size, device="meta")).shape
    except Exception:  # of another kind: it fails in many ways
        place, places, width = 1, 0, 0
    if isqrt(places) ** 2 != places or width != opened.width:
        raise ZslbenchError(
            f"--backbone {name}: it is no plain ViT and ends in no square map. Choose a ViT or a "
            "convolutional network, such as resnet101."
        )
    side = isqrt(places)
    if size != network.default_cfg["input_size"][-1]:  # its own is taken as it is
        side = check_tiles(name, size, place)
    if side != isqrt(places):
        raise ZslbenchError(
            f"--backbone {name}: at {size} px its map has {isqrt(places)} x {isqrt(places)} places "
            f"and not one for {place} px. Leave out --image-size."
        )
    return side


def _is_vit(name: str) -> bool:
    import timm

    module = timm.model_entrypoint(name.partition(".")[0]).__module__
    return module.rpartition(".")[2] in VITS


def _skeleton(name: str, weights: Path | None = None, **settings: Any) -> Any:
    """Return a network whose parameters have names and shapes, and no values."""
    import torch

    with torch.device("meta"):
        return _created(name, weights, None, weight_init="skip", **settings)


def _created(name: str, weights: Path | None, size: int | None, **settings: Any) -> Any:
    """Return a network of timm's without its head, as it would be made for a file of weights."""
    import timm

    if not _is_vit(name):
        settings.pop("weight_init", None)
    cfg: Any = timm.get_pretrained_cfg(name)
    if size and cfg.fixed_input_size:  # others take any size as it is
        settings["img_size"] = size
    if weights and (pad_type := info_of(weights).pad_type):
        settings["pad_type"] = pad_type
    try:
        return timm.create_model(name, num_classes=0, **settings)
    except Exception as error:  # hubs fail in many ways
        raise ZslbenchError(not_had(name, error, f"{RANDOM}{name}")) from error


def _build_timm(
    name: str, weights: Path | None, untrained: bool, size: int | None
) -> OpenViT | MapBackbone:
    hub = not untrained and weights is None
    network = _created(name, weights, size, pretrained=hub)
    if weights and weights.suffix == ARRAYS:
        with reading(weights, "cannot be read as weights", TENSORS, Exception):
            network.load_pretrained(str(weights))
    elif weights:
        network.load_state_dict(_fitted(name, network, weights))
    return _opened(name, network)


def _opened(name: str, network: Any) -> OpenViT | MapBackbone:
    if not _is_vit(name):
        return OpenEfficientViM(network) if name.startswith("efficientvim") else OpenCNN(network)
    try:
        return OpenViT(network)
    except ValueError as error:
        raise ZslbenchError(f"--backbone {name}: {error}. Choose another ViT.") from None


def _fitted(name: str, network: Any, weights: Path) -> dict[str, Any]:
    """Return the parameters in a file as a network takes them: positions resized as timm does.

    Raises:
        ZslbenchError: If the file cannot be read, or lacks any, or has more than these and a head.
    """
    import timm
    from timm.models import load_state_dict
    from timm.models.vision_transformer import checkpoint_filter_fn

    with reading(weights, "cannot be read as weights", TENSORS, Exception):
        state = load_state_dict(str(weights))
    found = dict(state)
    if hasattr(network, "pos_embed"):
        try:
            found = checkpoint_filter_fn(state, network)
        except Exception:  # of another layout: what differs is said below
            found = dict(state)
    cfg: Any = timm.get_pretrained_cfg(name)
    heads = [cfg.classifier] if isinstance(cfg.classifier, str) else cfg.classifier
    beside = tuple(f"{head}." for head in heads)
    found = {key: value for key, value in found.items() if not key.startswith(beside)}
    # Files older than PyTorch 0.4.1, torchvision's ResNets among them, have no such counters.
    counters = {k: v for k, v in network.state_dict().items() if k.endswith(COUNTER)}
    found = counters | found
    wrong = _other_patches(network, state) or differences(network.state_dict(), found)
    if wrong:
        raise not_of(name.partition(".")[0], weights, wrong, _likeliest(state))
    return found


def _check_arrays(name: str, network: Any, weights: Path) -> None:
    """Refuse arrays in JAX's layout that are of another size: timm passes over what it lacks.

    Raises:
        ZslbenchError: If the file cannot be read, or its arrays are another network's.
    """
    with (
        reading(weights, "cannot be read as weights", TENSORS, Exception),
        np.load(weights, allow_pickle=False) as arrays,
    ):
        theirs = sum(arrays[key].size for key in arrays if not any(map(key.count, BESIDE)))
    ours = sum(p.numel() for key, p in network.named_parameters() if key != "pos_embed")
    if theirs != ours:
        wrong = f"it holds {theirs} numbers beside positions and head, and that has {ours}"
        raise not_of(name.partition(".")[0], weights, wrong, "")


def _other_patches(network: Any, state: Mapping[str, Any]) -> str:
    """Return how the patches of a file differ, which timm would resize without a word."""
    here = getattr(getattr(network, "patch_embed", None), "patch_size", (0,))[0]
    there = _patch(state)
    return f"its patches are of {there} px, not of {here}" if there and here != there else ""


def _patch(state: Mapping[str, Any]) -> int:
    """Return the side of a ViT's patches in pixels; 0 where a file is not a ViT's."""
    named = (v for name, v in state.items() if name.endswith(EMBEDDINGS) and v.ndim == 4)
    return next((int(value.shape[-1]) for value in named), 0)


def _likeliest(state: Mapping[str, Any]) -> str:
    """Return the ViT whose parameters are most like a file's, by names and shapes."""
    import timm

    theirs = {(name, tuple(value.shape)) for name, value in state.items()}

    def likeness(name: str, **settings: Any) -> tuple[float, int]:
        named = _skeleton(name, **settings).state_dict().items()
        ours = {(key, tuple(value.shape)) for key, value in named}
        return len(ours & theirs) / len(ours | theirs), -len(name)

    side = f"patch{_patch(state)}_"
    vits = (n for module in VITS for n in timm.list_models(module=module) if side in n)
    # Whole networks take seconds: their first blocks tell which few to look at.
    near = sorted(vits, key=lambda name: likeness(name, depth=1))[-8:]
    ranked = {name: likeness(name) for name in near}
    best = max(ranked, key=ranked.__getitem__, default="")
    return best if best and ranked[best][0] > LIKE else ""


def _exposure(tag: str) -> Exposure:
    """Return what weights have seen, as far as timm's tag tells: the widest data of any stage."""
    if any(word in tag for word in WEB):
        return "web"
    if any(word in tag for word in ("in21k", "in22k", "in12k")):
        return "21k"
    return "1k" if tag.endswith("in1k") and "ft_" not in tag else "unknown"
