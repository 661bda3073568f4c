"""Image-text pairs by name: the micro pair for plumage, or any of open_clip's that opens up."""

from functools import partial
from pathlib import Path

from zslbench.backbones.create import HALF, OPEN_CLIP, PAIR, RANDOM, Source, file_sha256, shipped
from zslbench.backbones.image_text import ImageText
from zslbench.backbones.micro_pair import MicroPair
from zslbench.errors import ZslbenchError, unknown
from zslbench.records import Backbone


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
        from zslbench.backbones.clip_pair import find_clip

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
