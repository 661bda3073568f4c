"""Where networks run, and in which arithmetic.

bf16 autocast is the default on a GPU. On a processor it is not: it pays where the processor
multiplies bf16 (AMX, AVX-512 BF16; `benchmarks/speed/test_methods.py`), and is slow elsewhere.
"""

import os

import numpy as np
import torch
from torch import Tensor

from zslbench.errors import unknown
from zslbench.metrics import Float

PRECISIONS = ("float32", "bfloat16")


def device() -> torch.device:
    """Return where training runs: the GPU if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _precision() -> str:
    default = "bfloat16" if device().type == "cuda" else "float32"
    wanted = os.environ.get("ZSLBENCH_PRECISION") or default
    if wanted not in PRECISIONS:
        raise unknown("precision", wanted, PRECISIONS, where=" (ZSLBENCH_PRECISION)")
    return wanted


PRECISION = _precision()


def multiplies_bf16() -> bool:
    """Return whether this processor has instructions for bf16."""
    can = torch.cpu.get_capabilities()
    return bool(can.get("amx_bf16") or can.get("avx512_bf16"))


def autocast() -> torch.autocast:
    """Return the context of forward passes, in `PRECISION`."""
    return torch.autocast(device().type, torch.bfloat16, enabled=PRECISION == "bfloat16")


def tensor(array: Float) -> Tensor:
    """Return an array as float32 on the device."""
    return torch.from_numpy(np.asarray(array, dtype=np.float32)).to(device())
