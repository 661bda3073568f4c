"""Backbones by name, or an error that names the nearest."""

from functools import partial
from pathlib import Path

from zslbench.backbones.clip_pair import OPEN_CLIP, find_clip
from zslbench.backbones.embedded import ARCHITECTURE, EMBEDDED_ENDING, PAIR, build_embedded
from zslbench.backbones.image_text import ImageText
from zslbench.backbones.micro_pair import MicroPair
from zslbench.backbones.source import HALF, RANDOM, Source, file_sha256, shipped
from zslbench.backbones.timm_networks import find_timm
from zslbench.backbones.vmamba_weights import find_vmamba
from zslbench.errors import ZslbenchError, unknown
from zslbench.records import Backbone

PAIRS = (PAIR, OPEN_CLIP)


def find_backbone(name: str, weights: Path | None = None) -> Source:
    """Return a backbone by name.

    Args:
        name: `plumage_vit`, `plumage_vmamba`, a ViT or an EfficientViM of timm's, a VMamba such as
            `vmamba_small_224`, an image-text pair (`plumage_clip`, or `clip:MODEL.TAG` of
            open_clip's), or `random:NAME` for an untrained one.
        weights: A local file of weights: safetensors, or a state dict that loads without pickle.

    Raises:
        ZslbenchError: Where there is no such network, or its weights can be had neither way.
    """
    if name.removeprefix(RANDOM).startswith(PAIRS):
        return find_pair(name, weights)
    if weights and (name in EMBEDDED_ENDING.values() or name.startswith(RANDOM)):
        raise ZslbenchError(
            f"--weights {weights}: --backbone {name} takes none. Name a ViT of timm's with it."
        )
    for ending, embedded in EMBEDDED_ENDING.items():
        if name == embedded:
            path = shipped(name)
            record = Backbone(name=name, weights_digest=file_sha256(path), exposure="plumage")
            build = partial(build_embedded, name, path)
            return Source(record, HALF, HALF, ARCHITECTURE["img_size"], build, ending)
    if name.removeprefix(RANDOM).partition("_")[0] == "vmamba":
        return find_vmamba(name, weights)
    return find_timm(name, weights)


def find_pair(name: str, weights: Path | None = None) -> Source:
    """Return an image-text pair by name; its `build` returns an `ImageText`.

    Args:
        name: `plumage_clip`, `clip:MODEL.TAG` of open_clip's, or `random:` and one of them.
        weights: A local file of open_clip's weights.

    Raises:
        ZslbenchError: Where there is no such pair, or its weights can be had neither way.
    """
    untrained, bare = name.startswith(RANDOM), name.removeprefix(RANDOM)
    if bare.startswith(OPEN_CLIP):
        return find_clip(name, weights)
    if bare != PAIR:
        raise unknown("image-text pair", bare, [PAIR])
    if weights:
        raise ZslbenchError(
            f"--weights {weights}: --backbone {name} takes none. Name a pair of open_clip's with "
            f"it, such as {OPEN_CLIP}ViT-B-16.laion400m_e32."
        )
    path = None if untrained else shipped(PAIR)
    record = Backbone(
        name=name,
        weights_digest=file_sha256(path) if path else "",
        exposure="plumage" if path else "none",
    )
    return Source(record, HALF, HALF, MicroPair.size, partial(_micro, path), ending="pair")


def _micro(path: Path | None) -> ImageText:
    from safetensors.torch import load_file

    pair = MicroPair()
    if path:
        pair.load_state_dict({key: value.float() for key, value in load_file(path).items()})
    return pair
