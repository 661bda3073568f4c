"""What tests have done in other processes, which find it here by name."""

import os
import signal
import time

import numpy as np

from zslbench.errors import DataError


def greet(name, *, tick):
    tick("greeting", 1, 1)
    return f"hello {name}"


def process(*, tick):
    names = "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "OMP_WAIT_POLICY"
    return os.getpid(), *map(os.environ.get, names)


def refuse(*, tick):
    raise DataError("att_splits.mat", "is broken", "Fix it.")


def stumble(*, tick):
    raise ArithmeticError("a mistake of ours")


def die(*, tick):
    os.kill(os.getpid(), signal.SIGKILL)


def sleep(path, *, tick):
    """Write the process's number to a file, and stay."""
    path.write_text(str(os.getpid()))
    while True:
        time.sleep(0.05)
        tick("sleeping", 1, 2)


def compute(*, tick):
    """Multiply matrices that fit a processor's own cache."""
    matrix = np.random.default_rng(0).normal(size=(128, 128))
    for _ in range(1000):
        matrix = np.tanh(matrix @ matrix)
