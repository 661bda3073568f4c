"""Each benchmark in units of a reference computation, timed before and after it in the same run.

Saved by machine fingerprint (`make bench-save`), compared by those ratios (`make bench-compare`):
a slower machine, or one that others use too, slows the reference as well.
"""

import statistics
import time

import numpy as np
import pytest

REPEATS = 5


def reference():
    """Do what the project's own work is made of: products, a sort, and plain Python."""
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(400, 400))
    np.sort(matrix @ matrix, axis=1)
    return sum(number * number for number in range(100_000))


def reference_seconds():
    """Return the fastest of some: other work on the machine only ever slows one down."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        reference()
        times.append(time.perf_counter() - start)
    return min(times)


@pytest.fixture(autouse=True)
def beside_the_reference(request):
    """Note what the reference took around a benchmark."""
    if "benchmark" not in request.fixturenames:
        yield
        return
    benchmark = request.getfixturevalue("benchmark")
    before = reference_seconds()
    yield
    benchmark.extra_info["reference seconds"] = statistics.mean((before, reference_seconds()))
