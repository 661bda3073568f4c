"""What a run ran on: tags of its record, and no part of its key."""

import os
import platform
import resource
import subprocess
import sys
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path

LIBRARIES = ("numpy", "scipy", "torch", "timm", "mlflow", "optuna")


def environment() -> dict[str, str]:
    """Return commit, versions, processor, device and threads."""
    return {**_unchanging(), "device": device_name()}


@cache
def _unchanging() -> dict[str, str]:
    commit, dirty = git_state()
    return {
        "commit": commit,
        "dirty": dirty,
        "zslbench": version("zslbench"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": str(os.cpu_count()),
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
        **{name: version(name) for name in LIBRARIES},
    }


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


def device_name() -> str:
    """Return the GPU's name where networks run on one, else `cpu`; torch is not loaded for it."""
    torch = sys.modules.get("torch")
    return str(torch.cuda.get_device_name()) if torch and torch.cuda.is_available() else "cpu"


def restart_peak_memory() -> None:
    """Forget the largest size so far, where the system can (Linux): runs share a process."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory_mib() -> float:
    """Return the largest resident size of this process since the last restart, in MiB."""
    with suppress(OSError):
        return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) / 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
