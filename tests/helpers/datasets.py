"""Datasets in the shape of xlsa17's files: a tiny one, and real splits in full size."""

from pathlib import Path

import numpy as np
from scipy.io import savemat

SHARED = Path(__file__).parents[3] / "shared" / "data"
DIMENSIONS = 2048


def write_tiny(folder, seed=0, classes=12, unseen=3, per_class=12):
    """Write a dataset whose features are a noisy linear image of the class attributes."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    raw = rng.uniform(0, 100, (8, classes))
    labels = np.repeat(np.arange(classes), per_class)
    mixing = rng.normal(size=(8, 10))
    features = (raw[:, labels].T - 50) @ mixing + 40 * rng.normal(size=(len(labels), 10))
    held = labels >= classes - unseen
    test_seen = ~held & (np.arange(len(labels)) % 4 == 0)
    locs = {
        "trainval_loc": ~held & ~test_seen,
        "test_seen_loc": test_seen,
        "test_unseen_loc": held,
    }
    names = np.array([[f"class_{c}"] for c in range(classes)], dtype=object)
    content = {
        "att": raw / np.linalg.norm(raw, axis=0),
        "original_att": raw,
        "allclasses_names": names,
        **{name: np.flatnonzero(mask)[:, None] + 1 for name, mask in locs.items()},
    }
    savemat(folder / "att_splits.mat", content)
    files = [[f"photos/class_{c}/{i}.jpg"] for i, c in enumerate(labels)]
    items = {
        "features": features.T,
        "labels": labels[:, None] + 1,
        "image_files": np.array(files, dtype=object),
    }
    savemat(folder / "res101.mat", items)
    return folder


def write_full_size(source, folder):
    """Link a folder of real splits, and write a `res101.mat` of its shape beside them."""
    import pandas as pd

    folder.mkdir(parents=True)
    for path in source.iterdir():
        (folder / path.name).symlink_to(path)
    index = pd.read_csv(source / "index.csv.gz")
    features = np.random.default_rng(0).random((DIMENSIONS, len(index)), dtype=np.float32)
    content = {
        "features": features,
        "labels": index["label_1based"].to_numpy()[:, None],
        "image_files": index["image_file"].to_numpy(dtype=object)[:, None],
    }
    savemat(folder / "res101.mat", content)
    return folder
