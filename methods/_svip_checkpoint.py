"""Checkpoints as the released code of SVIP saves them (github.com/uqzhichen/SVIP, main.py)."""

import argparse
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from zslbench.backbones.source import load_state, read_state

HEADS = {
    "token_cls.": "patch_classifier.",
    "v2p.": "word_to_width.",
    "p2t.": "attributes_to_slots.",
    "head_1.": "to_attributes.",
}
UNUSED = ("head.",)  # the plain ViT's head: saved, but no forward pass asks for it


def released_state(path: Path) -> dict[str, Tensor]:
    """Return the state dict in a checkpoint: under `network`, or the file's own content."""
    state = read_state(path, [argparse.Namespace])
    return dict(state["network"]) if "network" in state else state


def load_released(network: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    """Load a released state dict into a network built for the dataset's attributes and words.

    Raises:
        ZslbenchError: If it is of other attributes or word vectors, or lacks a part.
    """
    found = {_ours(name): value for name, value in state.items() if not name.startswith(UNUSED)}
    words = network.get_buffer("words")
    fix = (
        "Name the --dataset and the --words that it was trained with: these have "
        f"{len(words)} attributes and word vectors of {words.shape[1]} dimensions."
    )
    load_state(network, {**found, "words": words}, path, fix)


def _ours(name: str) -> str:
    """Return our name of a parameter in the released layout."""
    for theirs, ours in HEADS.items():
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    return f"backbone.vit.{name}"
