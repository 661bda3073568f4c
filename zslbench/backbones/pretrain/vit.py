"""Makes an embedded backbone: `python -m zslbench.backbones.pretrain.vit OUT.safetensors [NAME]`.

NAME is `plumage_vit` (the default) or `plumage_vmamba`, whose schedule is shorter.

Trained on class labels alone, on plumage classes whose attribute combinations are reserved by hash,
so that no seed or size of the dataset can meet them. In bfloat16 where the processor multiplies it,
as when the shipped weights were made, else in float32: those differ a little, and say which.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from zslbench.arithmetic import multiplies_bf16
from zslbench.backbones.embedded import EMBEDDED, EMBEDDED_ENDING, embedded_architecture
from zslbench.backbones.pretrain.training import CLASSES, SEED, reserved, train, write
from zslbench.backbones.vit import OpenViT
from zslbench.data.types import Dataset
from zslbench.nn.images import augment
from zslbench.seeding import derive_seed, generator

RATE, PER_CLASS = 1e-3, 60
SCHEDULES = {"plumage_vit": (20, 128), "plumage_vmamba": (3, 32)}  # epochs, images a step


def pretrain(out: Path, name: str = EMBEDDED) -> None:
    """Train from scratch with cross-entropy, and write the weights as float16."""
    epochs, size = SCHEDULES[name]
    data = reserved(PER_CLASS)
    torch.manual_seed(derive_seed(SEED, "pretraining"))
    backbone = embedded_architecture(name)
    network = nn.ModuleDict({"backbone": backbone, "head": nn.Linear(backbone.width, CLASSES)})

    def losses(epoch: int) -> Iterator[Tensor]:
        for images, labels in _batches(data, epoch, size):
            with torch.autocast("cpu", torch.bfloat16, enabled=multiplies_bf16()):
                logits = network["head"](backbone.feature(images)).float()
            yield nn.functional.cross_entropy(logits, labels)

    train(list(network.parameters()), RATE, epochs, len(data.train_labels) // size, losses)
    arithmetic = "bfloat16" if multiplies_bf16() else "float32"
    inner = backbone.vit if isinstance(backbone, OpenViT) else backbone
    write(inner, out, f"vit {name}, in {arithmetic}")


def _batches(data: Dataset, epoch: int, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield one epoch's images, augmented and normalised, with their classes."""
    chance = generator(SEED, "pretraining augmentation", epoch)
    order = generator(SEED, "pretraining order", epoch).permutation(len(data.train_labels))
    for first in range(0, len(order) - size + 1, size):
        batch = order[first : first + size]
        pixels = torch.from_numpy(np.ascontiguousarray(data.inputs[data.splits.trainval[batch]]))
        images = augment(pixels.permute(0, 3, 1, 2), chance).float() / 127.5 - 1
        yield images, torch.from_numpy(data.train_labels[batch])


if __name__ == "__main__":
    words = [*sys.argv[1:], EMBEDDED][:2]
    if len(sys.argv) not in (2, 3) or words[1] not in EMBEDDED_ENDING.values():
        names = "|".join(EMBEDDED_ENDING.values())
        sys.exit(f"Usage: python -m zslbench.backbones.pretrain.vit OUT.safetensors [{names}]")
    pretrain(Path(words[0]), words[1])
