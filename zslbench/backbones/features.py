"""Features, maps or patches of any dataset's images with a frozen backbone, computed once."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.data.cache import reporting
from zslbench.data.types import (
    BackboneSource,
    Dataset,
    Inputs,
    OnProgress,
    content_digest,
    no_progress,
)
from zslbench.seeding import derive_seed

BATCH = 128
FEATURES_VERSION = 2
KEPT_VERSION = 1


def with_features(
    dataset: Dataset, source: BackboneSource, cache: Path, on_progress: OnProgress = no_progress
) -> Dataset:
    """Return the dataset with the backbone's features `[n, D]` in place of its images.

    Raises:
        DataError: If the cache cannot be written.
    """
    record = source.record
    key = content_digest(FEATURES_VERSION, dataset.digest, *record.identity.values())
    features = _computed_once(
        cache / f"features-{key}.npy",
        lambda path: np.save(path, extract(dataset, source, on_progress)),
    )
    backbone = record.model_copy(update={"name": f"features:{record.name}"})
    return replace(dataset, inputs=features, backbone=backbone, source=None)


def with_kept(
    dataset: Dataset, source: BackboneSource, cache: Path, on_progress: OnProgress = no_progress
) -> Dataset:
    """Return the dataset with what is never trained computed: `[n, N, D]` in place of its images.

    That is the map of a network that is frozen whole, or the patches behind the frozen blocks of a
    ViT, in float32. The backbone that its source then builds continues from there.

    Raises:
        DataError: If the cache cannot be written.
    """
    key = content_digest(KEPT_VERSION, dataset.digest, *source.record.identity.values())
    kept = _computed_once(
        cache / f"kept-{key}.npy",
        lambda path: _write_kept(dataset.inputs, source, path, on_progress),
    )
    build = source.build if source.record.frozen_blocks else lambda: passing(source.build())
    return replace(dataset, inputs=kept, source=replace(source, build=build, kept=True))


def _computed_once(path: Path, write: Callable[[Path], None]) -> NDArray[np.float32]:
    """Return the array of a file, mapped; where there is none, one process writes it."""
    if not path.is_file():  # one that is there may lie in a folder that cannot be written
        from filelock import FileLock

        with reporting(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(path.with_suffix(".lock")):  # the others wait
                if not path.is_file():
                    part = path.with_suffix(".part.npy")
                    write(part)
                    part.replace(path)
    found: NDArray[np.float32] = np.load(path, mmap_mode="r", allow_pickle=False)
    return found


def _write_kept(
    images: Inputs, source: BackboneSource, path: Path, on_progress: OnProgress
) -> None:
    """Write it batch by batch: it may be larger than the memory."""
    network = frozen(source)
    compute = network.patches if source.record.frozen_blocks else network.tokens
    shape = compute(images[np.arange(1)]).shape[1:]
    written = np.lib.format.open_memmap(path, "w+", np.float32, (len(images), *shape))
    for items, found in _batches(images, compute, on_progress):
        written[items] = found
    written.flush()


def passing(backbone: Any) -> Any:
    """Return a map backbone that is given its maps; its parameters, and how it pools, stay."""
    backbone.forward = lambda maps: maps
    return backbone


def extract(
    dataset: Dataset, source: BackboneSource, on_progress: OnProgress
) -> NDArray[np.float32]:
    """Return the class token, or the mean of the map, `[n, D]` of every image, in item order."""
    found = _batches(dataset.inputs, Frozen(source), on_progress)
    return np.concatenate([features for _, features in found])


def _batches(
    images: Inputs, compute: Callable[[Inputs], NDArray[np.float32]], on_progress: OnProgress
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Yield some items, and what is computed of their images, until all are done."""
    n = len(images)
    for first in range(0, n, BATCH):
        items = np.arange(first, min(first + BATCH, n))
        yield items, compute(images[items])
        on_progress(int(items[-1]) + 1, n)


class Frozen:
    """A backbone as pretrained; called with images of any number, it returns their features.

    Args:
        source: Builds it. A random start is the same one wherever it is built.
    """

    def __init__(self, source: BackboneSource) -> None:
        import torch

        from zslbench.arithmetic import device

        self.source = source
        with torch.random.fork_rng():
            torch.manual_seed(derive_seed(0, "features", source.record.name))
            self.network = source.build().to(device()).eval()

    def __call__(self, images: Inputs) -> NDArray[np.float32]:
        """Return the class token, or the mean of the map, `[n, D]` of images `[n, h, w, 3]`."""
        return self._of(self.network.feature, images)

    def tokens(self, images: Inputs) -> NDArray[np.float32]:
        """Return pooled and patch tokens `[n, 1 + N, D]`, or a map, of images `[n, h, w, 3]`."""
        return self._of(self.network, images)

    def patches(self, images: Inputs) -> NDArray[np.float32]:
        """Return embedded patches `[n, N, D]` of images `[n, h, w, 3]`."""
        return self._of(self.network.embed, images)

    def _of(self, tower: Callable[[Any], Any], images: Inputs) -> NDArray[np.float32]:
        import torch

        from zslbench.nn.images import normalise

        with torch.inference_mode():
            parts = [
                tower(normalise(images[first : first + BATCH], self.source)).float().cpu()
                for first in range(0, len(images), BATCH)
            ]
            return torch.cat(parts).numpy()


def frozen(source: BackboneSource) -> Frozen:
    """Return a backbone as pretrained, built once for all who ask for it in turn."""
    kept = _built(source)
    kept.network.eval()  # what was trained around it may have been cut off
    return kept


@lru_cache(maxsize=1)
def _built(source: BackboneSource) -> Frozen:
    kept = Frozen(source)
    kept.network.requires_grad_(requires_grad=False)
    return kept


def write_mat(
    path: Path, features: NDArray[np.float32], folder: Path, classes: int, *, fine_tuned: bool
) -> None:
    """Write features in the shape of `res101.mat`, with the labels and files of the dataset."""
    from scipy.io import savemat

    from zslbench.data.formats.items import read_items

    items = read_items(folder, None, classes)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    content = {
        "features": features.T,
        "labels": items.labels[:, None] + 1,
        "image_files": np.array(items.files, dtype=object)[:, None],
        "fine_tuned": int(fine_tuned),
    }
    savemat(part, content, appendmat=False)
    part.replace(path)
