"""The second epoch: reading decoded pixels back, against decoding the JPEG files again."""

import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from zslbench.data.cache import decode, decode_image

PHOTOS = Path(__file__).parents[3] / "shared" / "data" / "cub20" / "CUB_200_2011" / "images"
COUNT, SIZE, BATCH = 300, 224, 32


def draw(folder):
    """Save photos-to-be, 500 x 375: gradients for what compresses, noise for what does not."""
    rng = np.random.default_rng(0)
    x, y = np.meshgrid(np.linspace(0, 1, 500), np.linspace(0, 1, 375))
    for number in range(COUNT):
        slopes = rng.uniform(-150, 150, (2, 3))
        clean = 128 + x[..., None] * slopes[0] + y[..., None] * slopes[1]
        noisy = clean + rng.normal(0, 12, clean.shape)
        image = Image.fromarray(noisy.clip(0, 255).astype(np.uint8))
        image.save(folder / f"{number:03}.jpg", quality=90)
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    if PHOTOS.is_dir():
        return sorted(PHOTOS.glob("*/*.jpg"))[:COUNT]
    return draw(tmp_path_factory.mktemp("photos"))


def test_the_second_epoch_is_five_times_faster_than_decoding(benchmark, photos, tmp_path):
    pixels = decode(photos, SIZE, cache_dir=tmp_path)

    def epoch():
        order = np.random.default_rng(0).permutation(len(pixels))
        return sum(
            len(pixels[order[start : start + BATCH]]) for start in range(0, len(order), BATCH)
        )

    start = time.perf_counter()
    for path in photos:
        decode_image(path, SIZE, "crop")
    decoding = time.perf_counter() - start
    assert benchmark(epoch) == len(photos)
    ratio = decoding / benchmark.stats.stats.median
    print(f"\nfrom the cache {ratio:.0f} times faster than decoding on one core ({decoding:.2f} s)")
    assert ratio >= 5
