"""What both trainings share: plumage that no dataset has, one cycle of AdamW, a file of float16."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from zslbench.data.cache import default_cache_dir
from zslbench.data.plumage import PlumageConfig, load_plumage
from zslbench.data.types import Dataset

SEED, CLASSES, DECAY = 0, 600, 0.05


def reserved(per_class: int) -> Dataset:
    """Return images of classes with reserved attribute combinations."""
    config = PlumageConfig(
        classes=CLASSES, unseen=0, images_per_class=per_class, spurious=0, seed=SEED,
        pretraining=True,
    )  # fmt: skip
    return load_plumage(config, default_cache_dir())


def train(
    trained: list[nn.Parameter],
    rate: float,
    epochs: int,
    steps: int,
    losses: Callable[[int], Iterator[Tensor]],
) -> None:
    """Take a step for every loss that an epoch, 1, 2, ..., of so many steps yields."""
    optimiser = torch.optim.AdamW(trained, lr=rate, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, epochs * steps, pct_start=0.1)
    for epoch in range(1, epochs + 1):
        began, found = time.process_time(), []
        for loss in losses(epoch):
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(trained, 1.0)
            optimiser.step()
            schedule.step()
            found.append(float(loss.detach()))
        print(f"epoch {epoch} of {epochs}: loss {np.mean(found):.3f}, "
              f"{time.process_time() - began:.0f} s of processor time", flush=True)  # fmt: skip


def write(network: nn.Module, out: Path, made_by: str) -> None:
    """Write the weights as float16, and which command made them."""
    from safetensors.torch import save_file

    state = {key: value.detach().half().contiguous() for key, value in network.state_dict().items()}
    save_file(state, out, metadata={"made_by": f"python -m zslbench.backbones.pretrain.{made_by}"})
