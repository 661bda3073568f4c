"""Fixtures that many tests share: the real data, and tiny datasets in xlsa17's shape."""

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from scipy.io import savemat

from zslbench.cli import main
from zslbench.registry import method_modules
from zslbench.tracking import Store

SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def real_data():
    """The folder of real data beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip("real data are absent: no ../shared/data beside the project")
    return SHARED


@pytest.fixture(scope="session", autouse=True)
def make_database(tmp_path_factory):
    """Return what makes MLflow's database (a second's work): once a session, then it is copied."""
    real = Store._make_database
    place = tmp_path_factory.getbasetemp()
    place = place.parent if "PYTEST_XDIST_WORKER" in os.environ else place

    def copied(store):
        template = Store(place / "empty-store")
        with FileLock(place / "empty-store.lock"):
            if not template.database.exists():
                template.results.mkdir(exist_ok=True)
                real(template)
        shutil.copy(template.database, store.database)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Store, "_make_database", copied)
        yield real


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


@pytest.fixture
def zslbench(monkeypatch, capsys):
    """Return a function that runs a command line: exit status, standard output, standard error."""

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["zslbench", *map(str, words)])
        try:
            main()
            status = 0
        except SystemExit as end:
            status = end.code or 0
        out, err = capsys.readouterr()
        return status, out, err

    return call


@pytest.fixture
def few_methods(monkeypatch):
    """Leave two quick methods: a leaderboard that names none runs all there are."""
    methods = method_modules()
    for name in methods.keys() - {"eszsl", "sae"}:
        monkeypatch.delitem(methods, name)


@pytest.fixture(scope="session")
def tiny_root(tmp_path_factory):
    """A data root with one tiny dataset, `tiny`; read only."""
    root = tmp_path_factory.mktemp("data")
    write_tiny(root / "tiny")
    return root


@pytest.fixture(scope="session")
def baselines():
    """The folder of this project's stored numbers."""
    return Path(__file__).parents[1] / "results" / "baselines"
