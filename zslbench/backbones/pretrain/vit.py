"""Makes an embedded backbone: `python -m zslbench.backbones.pretrain.vit OUT.safetensors [NAME]`.

NAME is `plumage_vit` (the default) or `plumage_vmamba`, whose schedule is shorter.

Trained on class labels alone, on plumage classes whose attribute combinations are reserved by hash,
so that no seed or size of the dataset can meet them. In bfloat16 where the processor multiplies it,
as when the shipped weights were made, else in float32: those differ a little, and say which.
"""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from zslbench.arithmetic import multiplies_bf16
from zslbench.backbones.embedded import EMBEDDED, EMBEDDED_ENDING, embedded_architecture
from zslbench.backbones.vit import OpenViT
from zslbench.data.cache import default_cache_dir
from zslbench.data.plumage import PlumageConfig, load_plumage
from zslbench.data.types import Dataset
from zslbench.nn.images import augment
from zslbench.seeding import derive_seed, generator

SEED, RATE, DECAY = 0, 1e-3, 0.05
CLASSES, PER_CLASS = 600, 60
SCHEDULES = {"plumage_vit": (20, 128), "plumage_vmamba": (3, 32)}  # epochs, images a step


def pretrain(out: Path, name: str = EMBEDDED) -> None:
    """Train from scratch with cross-entropy, and write the weights as float16."""
    epochs, size = SCHEDULES[name]
    config = PlumageConfig(
        classes=CLASSES, unseen=0, images_per_class=PER_CLASS, spurious=0, seed=SEED,
        pretraining=True,
    )  # fmt: skip
    data = load_plumage(config, default_cache_dir())
    torch.manual_seed(derive_seed(SEED, "pretraining"))
    backbone = embedded_architecture(name)
    network = nn.ModuleDict({"backbone": backbone, "head": nn.Linear(backbone.width, CLASSES)})
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY)
    steps = epochs * (len(data.train_labels) // size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, steps, pct_start=0.1)
    for epoch in range(1, epochs + 1):
        began, losses = time.perf_counter(), []
        for images, labels in _batches(data, epoch, size):
            with torch.autocast("cpu", torch.bfloat16, enabled=multiplies_bf16()):
                logits = network["head"](backbone.feature(images)).float()
            loss = nn.functional.cross_entropy(logits, labels)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            losses.append(float(loss.detach()))
        rate = len(losses) * size / (time.perf_counter() - began)
        print(f"epoch {epoch} of {epochs}: loss {np.mean(losses):.3f}, {rate:.0f} images/s",
              flush=True)  # fmt: skip
    _write(backbone.vit if isinstance(backbone, OpenViT) else backbone, name, out)


def _batches(data: Dataset, epoch: int, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield one epoch's images, augmented and normalised, with their classes."""
    chance = generator(SEED, "pretraining augmentation", epoch)
    order = generator(SEED, "pretraining order", epoch).permutation(len(data.train_labels))
    for first in range(0, len(order) - size + 1, size):
        batch = order[first : first + size]
        pixels = torch.from_numpy(np.ascontiguousarray(data.inputs[data.splits.trainval[batch]]))
        images = augment(pixels.permute(0, 3, 1, 2), chance).float() / 127.5 - 1
        yield images, torch.from_numpy(data.train_labels[batch])


def _write(network: nn.Module, name: str, out: Path) -> None:
    from safetensors.torch import save_file

    state = {k: v.detach().half().contiguous() for k, v in network.state_dict().items()}
    arithmetic = "bfloat16" if multiplies_bf16() else "float32"
    made_by = f"python -m zslbench.backbones.pretrain.vit {name}, in {arithmetic}"
    save_file(state, out, metadata={"made_by": made_by})


if __name__ == "__main__":
    words = [*sys.argv[1:], EMBEDDED][:2]
    if len(sys.argv) not in (2, 3) or words[1] not in EMBEDDED_ENDING.values():
        names = "|".join(EMBEDDED_ENDING.values())
        sys.exit(f"Usage: python -m zslbench.backbones.pretrain.vit OUT.safetensors [{names}]")
    pretrain(Path(words[0]), words[1])
