"""100,000 items of 2,048 half-precision numbers (400 MB): a whole run in 2 GiB of memory."""

import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from datasets import DIMENSIONS, write_tiny

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits anonymous memory"),
]

ITEMS, CLASSES, LIMIT = 100_000, 100, 2 * 2**30
ZSLBENCH = Path(sys.executable).with_name("zslbench")
SETTINGS = {
    "ale": ("epochs=1", "lr=1"),
    "cada_vae": (
        "epochs=1", "image_encoder=64", "image_decoder=64", "batch_size=256", "classifier_epochs=1",
    ),
    "eszsl": ("reg_x=1", "reg_s=1"),
}  # fmt: skip


def limited(*command):
    """Run a command whose anonymous memory, used or only asked for, may not pass the limit."""
    limits = LIMIT, LIMIT
    return subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, limits),
    )  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A folder of one dataset, made up."""
    root = tmp_path_factory.mktemp("large")
    folder = write_tiny(root / "big", classes=CLASSES, unseen=20, per_class=ITEMS // CLASSES)
    path, shape, rng = folder / "wide.npy", (ITEMS, DIMENSIONS), np.random.default_rng(0)
    rows = np.lib.format.open_memmap(path, "w+", np.float16, shape)
    for first in range(0, ITEMS, 5000):
        rows[first : first + 5000] = rng.random((5000, DIMENSIONS), dtype=np.float32)
    rows.flush()
    yield root
    path.unlink()


def test_the_limit_holds():
    """The training features alone, in float64, are more than half of it; twice these are not."""
    size = 64_000 * DIMENSIONS
    done = limited(sys.executable, "-c", f"import numpy; numpy.ones({2 * size}); print('had')")
    assert done.returncode != 0 and "MemoryError" in done.stderr


@pytest.mark.parametrize(("method", "settings"), SETTINGS.items(), ids=SETTINGS)
def test_a_run_on_many_items_stays_within_2_gib(root, tmp_path, method, settings):
    done = limited(
        ZSLBENCH, "run", method, "--dataset", "big", "--data-root", root, "--features", "wide.npy",
        "--worlds", "1", "--seeds", "0", "--results", tmp_path,
        *(word for setting in settings for word in ("--set", setting)),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert method in done.stdout
