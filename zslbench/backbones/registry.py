"""Backbones by name, or an error that names the nearest."""

from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

from zslbench.backbones.embedded import ARCHITECTURE, EMBEDDED_ENDING, PAIR, embedded_architecture
from zslbench.backbones.source import OPEN_CLIP, RANDOM, recorded
from zslbench.data.types import BackboneSource, Ending
from zslbench.errors import ZslbenchError, unknown

HALF = (0.5, 0.5, 0.5)


def find_backbone(name: str, weights: Path | None = None) -> BackboneSource:
    """Return a backbone by name.

    Args:
        name: `plumage_vit`, `plumage_vmamba`, a ViT or an EfficientViM of timm's, a VMamba such as
            `vmamba_small_224`, an image-text pair (`plumage_clip`, or `clip:MODEL.TAG` of
            open_clip's), or `random:NAME` for an untrained one.
        weights: A local file of weights: safetensors, or a state dict that loads without pickle.

    Raises:
        ZslbenchError: Where there is no such network, or its weights are available neither way.
    """
    bare = name.removeprefix(RANDOM)
    if bare.startswith(OPEN_CLIP):
        from zslbench.backbones.clip_pair import find_clip

        return find_clip(name, weights)
    if bare.startswith(PAIR) and bare != PAIR:
        raise unknown("image-text pair", bare, [PAIR])
    if weights and (name in EMBEDDED_ENDING.values() or name.startswith(RANDOM)):
        pair = f"a pair of open_clip's with it, such as {OPEN_CLIP}ViT-B-16.laion400m_e32"
        takes = pair if bare == PAIR else "a ViT of timm's with it"
        raise ZslbenchError(f"--weights {weights}: --backbone {name} takes none. Name {takes}.")
    for ending, embedded in EMBEDDED_ENDING.items():
        if name == embedded or bare == embedded == PAIR:
            return _embedded(name, embedded, ending)
    if bare.partition("_")[0] == "vmamba":
        from zslbench.backbones.vmamba_weights import find_vmamba

        return find_vmamba(name, weights)
    from zslbench.backbones.timm_networks import find_timm

    return find_timm(name, weights)


def _embedded(name: str, embedded: str, ending: Ending) -> BackboneSource:
    """Return a network that comes with the package, untrained where its name is another."""
    path = Path(str(files("zslbench.backbones") / f"{embedded}.safetensors"))
    record = recorded(name, path, "", "plumage")
    build = partial(_build, embedded, path if name == embedded else None)
    return BackboneSource(record, HALF, HALF, ARCHITECTURE["img_size"], build, ending)


def _build(embedded: str, path: Path | None) -> Any:
    from safetensors.torch import load_file

    from zslbench.backbones.micro_pair import MicroPair
    from zslbench.backbones.vit import OpenViT

    network = MicroPair() if embedded == PAIR else embedded_architecture(embedded)
    if path:
        inner = network.vit if isinstance(network, OpenViT) else network
        inner.load_state_dict({key: value.float() for key, value in load_file(path).items()})
    return network
