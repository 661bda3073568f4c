"""Makes the embedded backbone: `python -m zslbench.backbones.pretrain OUT.safetensors`.

Trained on class labels alone, on plumage classes whose attribute combinations are reserved by hash,
so that no seed or size of the dataset can meet them.
"""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from zslbench.backbones.create import embedded_architecture
from zslbench.data.cache import default_cache_dir
from zslbench.data.plumage import PlumageConfig, load_plumage
from zslbench.data.types import Dataset
from zslbench.seeding import derive_seed, generator
from zslbench.training import augment

SEED, BATCH, RATE, DECAY = 0, 128, 1e-3, 0.05
CLASSES, PER_CLASS, EPOCHS = 600, 60, 20


def pretrain(out: Path) -> None:
    """Train from scratch with cross-entropy, and write the weights as float16."""
    config = PlumageConfig(
        classes=CLASSES, unseen=0, images_per_class=PER_CLASS, spurious=0, seed=SEED,
        pretraining=True,
    )  # fmt: skip
    data = load_plumage(config, default_cache_dir())
    torch.manual_seed(derive_seed(SEED, "pretraining"))
    backbone = embedded_architecture()
    network = nn.ModuleDict({"backbone": backbone, "head": nn.Linear(backbone.width, CLASSES)})
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY)
    steps = EPOCHS * (len(data.train_labels) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, steps, pct_start=0.1)
    for epoch in range(1, EPOCHS + 1):
        began, losses = time.perf_counter(), []
        for images, labels in _batches(data, epoch):
            with torch.autocast("cpu", torch.bfloat16):
                logits = network["head"](backbone(images)[:, 0]).float()
            loss = nn.functional.cross_entropy(logits, labels)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            losses.append(float(loss.detach()))
        rate = len(losses) * BATCH / (time.perf_counter() - began)
        print(f"epoch {epoch} of {EPOCHS}: loss {np.mean(losses):.3f}, {rate:.0f} images/s",
              flush=True)  # fmt: skip
    _write(backbone.vit, out)


def _batches(data: Dataset, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield one epoch's images, augmented and normalised, with their classes."""
    chance = generator(SEED, "pretraining augmentation", epoch)
    order = generator(SEED, "pretraining order", epoch).permutation(len(data.train_labels))
    for first in range(0, len(order) - BATCH + 1, BATCH):
        batch = order[first : first + BATCH]
        pixels = torch.from_numpy(np.ascontiguousarray(data.inputs[data.splits.trainval[batch]]))
        images = augment(pixels.permute(0, 3, 1, 2), chance).float() / 127.5 - 1
        yield images, torch.from_numpy(data.train_labels[batch])


def _write(vit: nn.Module, out: Path) -> None:
    from safetensors.torch import save_file

    state = {k: v.detach().half().contiguous() for k, v in vit.state_dict().items()}
    save_file(state, out, metadata={"made_by": "python -m zslbench.backbones.pretrain"})


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("Usage: python -m zslbench.backbones.pretrain OUT.safetensors")
    pretrain(Path(sys.argv[1]))
