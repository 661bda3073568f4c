"""The scan beside a plain Python loop, and its growth with length.

In CPU time of one thread, timed in turns, so that other work on the machine meets both.
"""

import time

import pytest
import torch
from plain import plain_selective_scan

from zslbench.nn.scan import selective_scan

SIDE, CHANNELS = 56, 96


def seconds(work):
    began = time.process_time()
    work()
    return time.process_time() - began


def ratio(one, other, rounds):
    """Return one's time over the other's, timed in turns, the fastest of each.

    Other work on the machine takes caches away and so only ever slows one down.
    """
    seconds(one), seconds(other)
    times = [(seconds(one), seconds(other)) for _ in range(rounds)]
    return min(t for t, _ in times) / min(t for _, t in times)


def work(function, length):
    """Forward and backward of one map of `length` places and 96 channels, in one way."""
    wide, narrow = (1, length, 1, CHANNELS), (1, length, 1, 1)
    shapes = wide, wide, (1, CHANNELS), narrow, narrow
    parts = [torch.randn(shape).requires_grad_() for shape in shapes]
    return lambda: function(*parts).sum().backward()


def test_scan_is_twenty_times_faster_than_the_loop(benchmark):
    ours, plain = (
        work(function, SIDE * SIDE) for function in (selective_scan, plain_selective_scan)
    )
    found = ratio(plain, ours, 5)
    benchmark.pedantic(ours, rounds=3)
    print(f"\nscan of {SIDE} x {SIDE} x {CHANNELS}: {found:.0f} times faster than a loop")
    assert found >= 20


@pytest.mark.parametrize("length", [SIDE * SIDE // 4, SIDE * SIDE])
def test_four_times_the_length_takes_four_times_the_time(benchmark, length):
    """Up to 112 x 112, the first map of 448 pixels; beyond, arrays fall out of the caches."""
    short, long = work(selective_scan, length), work(selective_scan, 4 * length)
    found = ratio(long, short, 9)
    benchmark.pedantic(short, rounds=3)
    print(f"\nscan of {4 * length} places: {found:.1f} times that of {length}")
    assert found <= 6
