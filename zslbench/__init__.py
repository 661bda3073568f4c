"""zslbench: the honest benchmark for (generalised) zero-shot learning.

    import zslbench as zsl

    data = zsl.load_dataset("plumage")
    board = zsl.leaderboard(["eszsl", "sae"], [data], reference="eszsl")

Everything here is loaded when it is first used.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zslbench.api import compare, incremental, leaderboard, load_dataset, run
    from zslbench.api_settings import sensitivity, sweep
    from zslbench.errors import ZslbenchError
    from zslbench.method import (
        ClosedFormMethod,
        Epoch,
        Method,
        MethodConfig,
        PublishedRule,
        TrainSet,
        hyper,
        option,
        tuned,
        weight,
    )
    from zslbench.method.generative import GenerativeConfig, GenerativeMethod
    from zslbench.method.incremental import IncrementalMethod
    from zslbench.method.trained import TrainedConfig, TrainedMethod
    from zslbench.metrics.gzsl import gzsl_metrics

# OpenMP reads this when torch is loaded. Otherwise threads spin at barriers, and training beside a
# busy process is ten times slower. Processes started from here inherit it.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

__version__ = "0.1.0"
__all__ = [
    "ClosedFormMethod", "Epoch", "GenerativeConfig", "GenerativeMethod", "IncrementalMethod",
    "Method", "MethodConfig", "PublishedRule", "TrainSet", "TrainedConfig", "TrainedMethod",
    "ZslbenchError", "compare", "gzsl_metrics", "hyper", "incremental", "leaderboard",
    "load_dataset", "option", "run", "sensitivity", "sweep", "tuned", "weight",
]  # fmt: skip
_HOMES = {
    "zslbench.errors": ("ZslbenchError",),
    "zslbench.method.generative": ("GenerativeConfig", "GenerativeMethod"),
    "zslbench.method.incremental": ("IncrementalMethod",),
    "zslbench.method.trained": ("TrainedConfig", "TrainedMethod"),
    "zslbench.metrics.gzsl": ("gzsl_metrics",),
    "zslbench.api": ("compare", "incremental", "leaderboard", "load_dataset", "run"),
    "zslbench.api_settings": ("sensitivity", "sweep"),
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = next((home for home, names in _HOMES.items() if name in names), "zslbench.method")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
