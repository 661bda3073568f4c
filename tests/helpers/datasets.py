"""Datasets in the shape of xlsa17's files: a tiny one, real splits in full size, and archives."""

import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
from scipy.io import loadmat, savemat

SHARED = Path(__file__).parents[3] / "shared" / "data"
DIMENSIONS = 2048
FOREIGN = "/BS/Deep_Fragments/work/MSc"
IMAGES = {
    "CUB": "CUB_200_2011/images",
    "AWA2": "Animals_with_Attributes2/JPEGImages",
    "SUN": "images",
}
PARTS = ["back", "left eye"]


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


def write_splits(path, folder):
    """Write an archive of the layout of xlsa17.zip."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("xlsa17/README.txt", "not wanted")
        archive.writestr("__MACOSX/xlsa17/data/CUB/._att_splits.mat", "a Mac's")
        for seed, name in enumerate(("CUB", "AWA1", "AWA2", "SUN", "APY")):
            made = write_tiny(folder / name, seed)
            content = {k: v for k, v in loadmat(made / "res101.mat").items() if k[0] != "_"}
            for cell in content["image_files"]:
                cell[0] = cell[0][0].replace("photos", f"{FOREIGN}/{IMAGES.get(name, name)}")
            savemat(made / "res101.mat", content)
            for file in sorted(made.iterdir()):
                archive.write(file, f"xlsa17/data/{name}/{file.name}")


def image_names(count=144, per_class=12):
    return [f"class_{i // per_class}/{i}.jpg" for i in range(count)]


def cub_files():
    """Return name -> content of what CUB_200_2011.tgz holds."""
    names = image_names()
    lines = {
        "images.txt": [f"{i} {name}" for i, name in enumerate(names, start=1)],
        "bounding_boxes.txt": [f"{i} 60.0 27.0 325.0 304.0" for i in range(1, len(names) + 1)],
        "parts/parts.txt": [f"{i} {part}" for i, part in enumerate(PARTS, start=1)],
        "parts/part_locs.txt": [
            f"{i} {part} {i}.0 7.5 {i % 2 or part - 1}"
            for i in range(1, len(names) + 1)
            for part in (1, 2)
        ],
    }
    files = {f"CUB_200_2011/{name}": "\n".join(text) for name, text in lines.items()}
    files["attributes.txt"] = "\n".join(f"{i} has_part::{i}" for i in range(1, 9))
    files["CUB_200_2011/README"] = "not wanted"
    return files | {f"CUB_200_2011/images/{name}": f"photo {name}" for name in names}


def write_tar(path, files):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content.encode())
            archive.addfile(info, io.BytesIO(content.encode()))


def write_zip(path, files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def write_published(folder):
    """Write all archives as they are published, small."""
    write_splits(folder / "xlsa17.zip", folder / "made")
    write_tar(folder / "CUB_200_2011.tgz", cub_files())
    names = image_names()
    animals = {f"{IMAGES['AWA2']}/{name}": name for name in names}
    predicates = "\n".join(f"{i}\tattribute {i}" for i in range(1, 9))
    animals["Animals_with_Attributes2/predicates.txt"] = predicates
    write_zip(folder / "AwA2-data.zip", animals)
    write_tar(folder / "SUNAttributeDB_Images.tar.gz", {f"images/{name}": name for name in names})
    return folder
