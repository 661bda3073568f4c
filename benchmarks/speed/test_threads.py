"""Training with all processors beside a process that wants one of them too.

Threads that spin at barriers take turns with the neighbour, and all wait for whoever is not on.
A process that loads torch before zslbench spins, as torch does by itself; the other way round its
threads sleep at barriers. Both are timed in turns, so that other work on the machine meets both.
"""

import os
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

import pytest

from zslbench.data.cache import processors

ROUNDS, STEPS = 5, 2
OURS = ("OMP_", "GOMP_", "MKL_", "OPENBLAS_")
BEFORE, AFTER = "torch", "zslbench"
METHODS = {"vit_attr_head": "plumage_vit", "zeromamba": "plumage_vmamba"}


@contextmanager
def trainer(first, name):
    """A process that imports `first` first, and answers with the seconds of its steps."""
    code = f"import {first}, test_threads; test_threads.answer({name!r})"
    environment = {k: v for k, v in os.environ.items() if not k.startswith(OURS)}
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=Path(__file__).parent, env=environment, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip

        def ask():
            process.stdin.write("\n")
            process.stdin.flush()
            return float(process.stdout.readline())

        ask()
        yield ask
        process.stdin.close()


def answer(name):
    from test_methods import prepared, seconds

    model, batch, _ = prepared(name, METHODS[name])
    model.network.train()
    for _ in sys.stdin:
        print(seconds(lambda: [model.step(*batch) for _ in range(STEPS)]), flush=True)


@contextmanager
def neighbour():
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        yield
        process.kill()


@pytest.mark.skipif(processors() < 2, reason="one thread waits for nobody")
@pytest.mark.parametrize("name", METHODS)
def test_threads_that_wait_passively_bear_a_busy_neighbour(name):
    took = {}
    with ExitStack() as stack:
        ask = {first: stack.enter_context(trainer(first, name)) for first in (BEFORE, AFTER)}
        for _ in range(ROUNDS):
            for first, seconds_of in ask.items():
                took.setdefault((first, "alone"), []).append(seconds_of())
                with neighbour():
                    took.setdefault((first, "beside"), []).append(seconds_of())
    steps = {key: median(found) / STEPS for key, found in took.items()}
    for first, words in ((BEFORE, "spinning"), (AFTER, "passive")):
        alone, beside = steps[first, "alone"], steps[first, "beside"]
        print(f"\n{name}, {words}: {1000 * alone:.0f} ms a step alone, {1000 * beside:.0f} ms "
              f"beside a busy process, x {beside / alone:.1f}", end="")  # fmt: skip
    assert steps[AFTER, "beside"] <= steps[BEFORE, "beside"] / 2
    assert steps[AFTER, "alone"] <= 1.2 * steps[BEFORE, "alone"]
