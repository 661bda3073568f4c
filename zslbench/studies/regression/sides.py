"""The two sides of a comparison: each a package of its own, installed beside the other.

A side is asked in a process of its own, whose first answer is where its code lies; nothing that it
says counts unless that is where it was installed.
"""

import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any
from uuid import uuid4

from zslbench.environment import environment
from zslbench.errors import ZslbenchError
from zslbench.records import digest

WORKER = "zslbench.studies.regression.worker"
FORMER_WORKER = "zslbench.studies.worker"  # of commits before studies had packages


class SideError(ZslbenchError):
    """A side that cannot be installed, or breaks while it is asked: no fault of the request."""


@contextmanager
def blamed(kind: type[ZslbenchError]) -> Iterator[None]:
    """Raise what the user can fix as another kind: as a fault of the request, or of a side."""
    try:
        yield
    except ZslbenchError as error:
        raise kind(str(error)) from None


@dataclass(frozen=True)
class Side:
    """One version of the code, installed.

    Attributes:
        name: What the user called it, or `this working tree`.
        commit: Full hash; of a working tree the commit it stands on.
        dirty: Whether the working tree differs from that commit.
        folder: Where it is installed.
    """

    name: str
    commit: str
    dirty: bool
    folder: Path

    @property
    def code(self) -> str:
        """The digest of all files of the package: what measurements are kept under."""
        found = sha256()
        for path in sorted(self.folder.rglob("*")):
            inside = path.relative_to(self.folder)
            generated = "__pycache__" in path.parts or inside.parts[0].endswith(".dist-info")
            if path.is_file() and inside.parts[0].startswith("zslbench") and not generated:
                found.update(f"{inside}\0".encode())
                found.update(path.read_bytes())
        return found.hexdigest()


def environment_digest(device: str) -> str:
    """Return the digest of what numbers may depend on besides the code.

    Args:
        device: Where a side computed, as it says itself: this process may not know.
    """
    apart = ("commit", "dirty", "zslbench", "mlflow", "optuna")
    found = environment() | {"device": device}
    return digest({name: value for name, value in found.items() if name not in apart})


def git(project: Path, *words: str, env: Mapping[str, str] | None = None) -> str:
    """Return what git says.

    Raises:
        ZslbenchError: With git's own words, where it refuses.
    """
    done = subprocess.run(
        ["git", "-C", str(project), *words], env=env, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ZslbenchError(f"git {' '.join(words)} in {project}: {done.stderr.strip()}")
    return done.stdout.strip()


def find_project(start: Path) -> Path:
    """Return the root of the checkout of this project that a folder is in."""
    root = Path(git(start, "rev-parse", "--show-toplevel"))
    if not (root / "zslbench" / "__init__.py").is_file():
        raise ZslbenchError(f"{root} is no checkout of zslbench: go to one, or name it: --project.")
    return root


def code_of(project: Path, packages: Path) -> Path | None:
    """Return where a checkout's code can be asked: None if it is the code in use, else installed.

    Raises:
        SideError: If it cannot be installed.
    """
    in_use = Path(__file__).resolve().parents[2]
    if in_use == (project / "zslbench").resolve():
        return None
    return install(project, None, packages).folder


def install(project: Path, ref: str | None, packages: Path) -> Side:
    """Install a commit, or the working tree, into a folder of its own below `packages`.

    A folder is named by the git tree that was installed, and is used again.

    Raises:
        ZslbenchError: If there is no such commit.
        SideError: If it cannot be installed.
    """
    name = "HEAD" if ref is None else ref
    commit = git(project, "rev-parse", "--verify", f"{name}^{{commit}}")
    dirty = ref is None and bool(git(project, "status", "--porcelain"))
    tree = _snapshot(project) if dirty else git(project, "rev-parse", f"{commit}^{{tree}}")
    folder = packages.resolve() / tree[:16]
    if not folder.exists():
        _install(project, tree, folder)
    return Side(ref or "this working tree", commit, dirty, folder)


def _snapshot(project: Path) -> str:
    """Return the git tree of the working tree as it is, files not yet tracked included."""
    index = Path(git(project, "rev-parse", "--absolute-git-dir")) / f"zslbench-{uuid4().hex}"
    with_index = {**os.environ, "GIT_INDEX_FILE": str(index)}
    try:
        git(project, "add", "--all", env=with_index)
        return git(project, "write-tree", env=with_index)
    finally:
        index.unlink(missing_ok=True)


def _install(project: Path, tree: str, folder: Path) -> None:
    draft = folder.with_name(f".{folder.name}-{uuid4().hex}")
    source, target = draft / "source", draft / "target"
    source.mkdir(parents=True)
    try:
        archive = draft / "source.tar"
        git(project, "archive", "--format=tar", f"--output={archive}", tree)
        with tarfile.open(archive) as tar:
            tar.extractall(source, filter="data")
        words = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps",
                 "--disable-pip-version-check", "--target", str(target), str(source)]  # fmt: skip
        if find_spec("setuptools"):
            words.insert(4, "--no-build-isolation")
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SideError(f"{tree[:12]} cannot be installed: {done.stderr.strip()[-600:]}")
        try:
            target.rename(folder)
        except OSError:
            if not folder.exists():  # else another process was first
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def ask(folder: Path | None, request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Ask the package installed in a folder; yield its answers as they come.

    Args:
        folder: None asks the code in use.
        request: What `zslbench.studies.regression.worker` reads.

    Raises:
        ZslbenchError: What the side says the user can fix.
        SideError: If it breaks, or is not where it should be.
    """
    surroundings = dict(os.environ)
    if folder is not None:
        surroundings["PYTHONPATH"] = str(folder)
    if request.get("exact"):
        surroundings |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        surroundings |= {"CUDA_VISIBLE_DEVICES": "", "ZSLBENCH_PRECISION": "float32"}
    former = folder is not None and (folder / "zslbench" / "studies" / "worker.py").is_file()
    worker = FORMER_WORKER if former else WORKER
    with TemporaryFile("w+") as noise, subprocess.Popen(
        [sys.executable, "-P", "-W", "ignore", "-m", worker], env=surroundings, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=noise,
    ) as process:  # fmt: skip
        assert process.stdin and process.stdout
        try:
            with suppress(BrokenPipeError), process.stdin:  # it has died: why is said below
                process.stdin.write(json.dumps(request))
            for line in process.stdout:
                answer = json.loads(line)
                if "refused" in answer:
                    raise ZslbenchError(answer["refused"])
                if "files" in answer:
                    _check_place(folder, answer["files"])
                else:
                    yield answer
            status = process.wait()
        finally:
            process.kill()
        noise.seek(0)
        said = noise.read().strip()
    if status:
        last = said.splitlines()[-1] if said else f"exit status {status}"
        raise SideError(f"the code in {folder or 'use'} breaks when it is measured: {last}")


def _check_place(folder: Path | None, files: list[str]) -> None:
    """Refuse answers of another package than the one that was asked."""
    for path in files:
        if folder is not None and not Path(path).is_relative_to(folder):
            raise SideError(f"asked {folder}, and {path} answered: PYTHONPATH is not heeded here.")
