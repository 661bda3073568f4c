"""Backbones by name, or an error that names the nearest."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

from zslbench.backbones.embedded import ARCHITECTURE, EMBEDDED_ENDING, PAIR, embedded_architecture
from zslbench.backbones.source import OPEN_CLIP, RANDOM, channels, exposure_of, info_of, recorded
from zslbench.data.types import BackboneSource, Ending
from zslbench.errors import ZslbenchError, unknown

HALF = (0.5, 0.5, 0.5)


def find_backbone(
    name: str,
    weights: Path | None = None,
    image_size: int | None = None,
    *,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    exposure: str | None = None,
    frozen_blocks: int | None = None,
) -> BackboneSource:
    """Return a backbone by name.

    Args:
        name: `plumage_vit`, `plumage_vmamba`, a ViT, a convolutional network or an EfficientViM of
            timm's, a VMamba such as `vmamba_small_224`, an image-text pair (`plumage_clip`, or
            `clip:MODEL.TAG` of open_clip's), or `random:NAME` for an untrained one.
        weights: A local file of weights: safetensors, or a state dict that loads without pickle.
        image_size: Side of the images in pixels, where it is not the network's own.
        mean: Of the input that the weights of the file were trained on, `(r, g, b)` in [0, 1]; by
            default what the file's metadata say, else the architecture's.
        std: Likewise, its deviation.
        exposure: Likewise, what the pretraining saw.
        frozen_blocks: How many blocks of a ViT are never trained, the first ones.

    Raises:
        ZslbenchError: Where there is no such network, its weights are available neither way or are
            another network's, or it cannot take images of that size.
    """
    source = _find(name, weights, image_size)
    if frozen_blocks is not None:
        source = _prefixed(source, frozen_blocks)
    if weights is None:
        for option, given in {"mean": mean, "std": std, "exposure": exposure}.items():
            if given is not None:
                raise ZslbenchError(
                    f"--{option}: it describes a file of weights. Name that with --weights."
                )
        return source
    info = info_of(weights)
    return replace(
        info,
        mean=info.mean if mean is None else channels("--mean", mean),
        std=info.std if std is None else channels("--std", std),
        exposure=info.exposure if exposure is None else exposure_of(exposure),
    ).of(source)


def _find(name: str, weights: Path | None, image_size: int | None) -> BackboneSource:
    """Return a backbone with the input and the exposure of its name."""
    bare = name.removeprefix(RANDOM)
    if bare.startswith(OPEN_CLIP):
        from zslbench.backbones.clip_pair import find_clip

        return find_clip(name, weights, image_size)
    if bare.startswith(PAIR) and bare != PAIR:
        raise unknown("image-text pair", bare, [PAIR])
    if weights and (name in EMBEDDED_ENDING.values() or name.startswith(RANDOM)):
        pair = f"a pair of open_clip's with it, such as {OPEN_CLIP}ViT-B-16.laion400m_e32"
        takes = pair if bare == PAIR else "a network of timm's with it"
        raise ZslbenchError(f"--weights {weights}: --backbone {name} takes none. Name {takes}.")
    for ending, embedded in EMBEDDED_ENDING.items():
        if name == embedded or bare == embedded == PAIR:
            return _embedded(name, embedded, ending, image_size)
    if bare.partition("_")[0] == "vmamba":
        from zslbench.backbones.vmamba_weights import find_vmamba

        return find_vmamba(name, weights, image_size)
    from zslbench.backbones.timm_networks import find_timm

    return find_timm(name, weights, image_size)


def _prefixed(source: BackboneSource, frozen: int) -> BackboneSource:
    """Return a ViT with its first blocks frozen.

    Raises:
        ZslbenchError: If it is no ViT, or has no blocks beyond these.
    """
    name, ends = source.record.name, source.ending
    if ends != "tokens":
        raise ZslbenchError(
            f"--frozen-blocks {frozen}: {name} is no plain ViT. Leave it out; --set backbone_lr=0 "
            "freezes all of a network."
        )
    from zslbench.backbones.vit import PrefixedViT

    depth = len(source.build().vit.blocks)
    if not 0 < frozen < depth:
        raise ZslbenchError(
            f"--frozen-blocks {frozen}: {name} has {depth} blocks. Freeze 1 to {depth - 1}; --set "
            "backbone_lr=0 freezes all."
        )

    def build() -> Any:
        return PrefixedViT(source.build(), frozen)

    record = source.record.model_copy(update={"frozen_blocks": frozen})
    return replace(source, record=record, build=build)


def _embedded(name: str, embedded: str, ending: Ending, image_size: int | None) -> BackboneSource:
    """Return a network that comes with the package, untrained where its name is another."""
    size, patch = ARCHITECTURE["img_size"], ARCHITECTURE["patch_size"]
    if image_size not in (None, size):
        raise ZslbenchError(
            f"--image-size {image_size}: --backbone {name} takes images of {size} px alone. Name "
            "another backbone for other sizes."
        )
    path = Path(str(files("zslbench.backbones") / f"{embedded}.safetensors"))
    record = recorded(name, path, "", "plumage")
    build = partial(_build, embedded, path if name == embedded else None)
    return BackboneSource(record, HALF, HALF, size, build, ending, size // patch)


def _build(embedded: str, path: Path | None) -> Any:
    from safetensors.torch import load_file

    from zslbench.backbones.micro_pair import MicroPair
    from zslbench.backbones.vit import OpenViT

    network = MicroPair() if embedded == PAIR else embedded_architecture(embedded)
    if path:
        inner = network.vit if isinstance(network, OpenViT) else network
        inner.load_state_dict({key: value.float() for key, value in load_file(path).items()})
    return network
