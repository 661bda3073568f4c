"""What a run ran on: tags of its record, and no part of its key."""

import os
import platform
import resource
import subprocess
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

LIBRARIES = ("numpy", "scipy", "torch", "timm", "mlflow", "optuna")


@cache
def environment() -> dict[str, str]:
    """Return commit, versions, processor and threads."""
    commit, dirty = git_state()
    return {
        "commit": commit,
        "dirty": dirty,
        "zslbench": version("zslbench"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": "cpu",
        "cores": str(os.cpu_count()),
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
        **{name: found for name in LIBRARIES if (found := installed(name))},
    }


def installed(name: str) -> str | None:
    """Return the version of an installed package, None where it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def git_state() -> tuple[str, str]:
    """Return the commit of the code in use and whether it is altered: `no`, `yes`, `unknown`."""
    here = Path(__file__).resolve().parent

    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(here), *words], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    try:
        return git("rev-parse", "HEAD"), "yes" if git("status", "--porcelain") else "no"
    except (OSError, subprocess.CalledProcessError):
        return "unknown", "unknown"


def peak_memory_mib() -> float:
    """Return the largest resident size of this process so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
