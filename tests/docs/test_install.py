"""What the README's first line installs, in an environment that has nothing else."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

import zslbench

ROOT = Path(__file__).parents[2]
UV = Path(sys.executable).with_name("uv")
OWN = f"{sys.version_info.major}.{sys.version_info.minor}"
VERSIONS = ["3.11", "3.12", "3.13"]
SMALL = "plumage:classes=12,unseen=4,images_per_class=6"


def do(*words, cwd):
    """Run a command away from the checkout; return what it printed."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    env |= {"OMP_NUM_THREADS": "1", "ZSLBENCH_CACHE": str(cwd / "cache")}
    done = subprocess.run(
        list(map(str, words)), capture_output=True, text=True, cwd=cwd, env=env, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of the tracked files, as a clean checkout makes it."""
    if not UV.exists():
        pytest.skip("uv is absent: pip install uv")
    folder = tmp_path_factory.mktemp("wheel")
    files = do("git", "ls-files", "-z", cwd=ROOT).split("\0")
    for name in filter(None, files):
        if (ROOT / name).exists():
            (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / "source" / name, follow_symlinks=False)
    do(UV, "build", "--wheel", "--no-build-isolation", "--python", sys.executable, "-o", folder,
       folder / "source", cwd=folder)  # fmt: skip
    (made,) = folder.glob("*.whl")
    return made


@pytest.mark.slow
def test_the_wheel_has_the_version_and_the_data(wheel):
    assert wheel.name == f"zslbench-{zslbench.__version__}-py3-none-any.whl"
    assert f"## {zslbench.__version__}" in (ROOT / "CHANGELOG.md").read_text()
    assert f"version: {zslbench.__version__}" in (ROOT / "CITATION.cff").read_text()
    names = set(ZipFile(wheel).namelist())
    for name in ("py.typed", "data/fetch/sources.toml", "backbones/plumage_vit.safetensors",
                 "methods/svip.py", "suites/svip_table1.toml", "report/page/page.css"):  # fmt: skip
        assert f"zslbench/{name}" in names
    assert not [name for name in names if name.startswith(("tests", "docs", "build"))]


@pytest.mark.parametrize(
    "version",
    [pytest.param(v, marks=pytest.mark.slow if v == OWN else pytest.mark.long) for v in VERSIONS],
)
def test_a_bare_environment_runs_a_method(wheel, tmp_path, version):
    """Installed as the README says, from no checkout: a listing, and a number on plumage."""
    found = subprocess.run([UV, "python", "find", version], capture_output=True, check=False)
    if found.returncode:
        pytest.skip(f"Python {version} is absent")
    do(UV, "venv", "--python", version, tmp_path / "env", cwd=tmp_path)
    do(UV, "pip", "install", "--python", tmp_path / "env", "-c", ROOT / "constraints.txt",
       f"zslbench @ {wheel.as_uri()}", cwd=tmp_path)  # fmt: skip
    command = tmp_path / "env" / "bin" / "zslbench"
    assert "eszsl" in do(command, "methods", cwd=tmp_path)
    out = do(command, "run", "eszsl", "--dataset", SMALL, "--worlds", "1", cwd=tmp_path)
    assert "eszsl" in out and "AUSUC" in out
