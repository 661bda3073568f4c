"""Fixtures that many tests share: the real data, and tiny datasets in xlsa17's shape."""

import os
import shutil
import sys
from pathlib import Path

import pytest
from datasets import SHARED, write_tiny
from filelock import FileLock

from zslbench.cli import main
from zslbench.method import files, registry
from zslbench.method.registry import method_modules
from zslbench.store import Store
from zslbench.store.mirror import Mirror


@pytest.fixture(scope="session")
def real_data():
    """The folder of real data beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip("real data are absent: no ../shared/data beside the project")
    return SHARED


@pytest.fixture(scope="session", autouse=True)
def make_database(tmp_path_factory):
    """Return what makes MLflow's database (a second's work): once a session, then it is copied."""
    real = Mirror._make_database
    place = tmp_path_factory.getbasetemp()
    place = place.parent if "PYTEST_XDIST_WORKER" in os.environ else place

    def copied(mirror):
        template = Store(place / "empty-store").mirror
        with FileLock(place / "empty-store.lock"):
            if not template.database.exists():
                template.results.mkdir(exist_ok=True)
                real(template)
        shutil.copy(template.database, mirror.database)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Mirror, "_make_database", copied)
        yield real


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


@pytest.fixture
def no_method_files(monkeypatch):
    """Files that a test registers are methods no longer when it ends."""
    monkeypatch.setenv(files.VARIABLE, "")
    yield
    registry.method_modules.cache_clear()


@pytest.fixture(scope="session")
def baselines():
    """The folder of this project's stored numbers."""
    return Path(__file__).parents[1] / "results" / "baselines"
