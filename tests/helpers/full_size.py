"""Datasets of full size: real splits and class lists, features drawn at random."""

import numpy as np
import pandas as pd
from scipy.io import savemat

DIMENSIONS = 2048


def write_full_size(source, folder):
    """Link a folder of real splits, and write a `res101.mat` of its shape beside them."""
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
