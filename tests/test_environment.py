"""What is measured of the machine."""

import sys

import numpy as np
import pytest

from zslbench.environment import device_name, peak_memory_mib, restart_peak_memory


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can forget a peak")
def test_the_peak_of_one_run_is_not_that_of_the_one_before():
    restart_peak_memory()
    ballast = np.ones(40 * 2**20)
    high = peak_memory_mib()
    del ballast
    restart_peak_memory()
    low = peak_memory_mib()
    assert low < high - 200
    ballast = np.ones(20 * 2**20)
    assert peak_memory_mib() > low + 100
    del ballast


def test_the_device_is_the_one_networks_run_on():
    torch = pytest.importorskip("torch")
    name = device_name()
    assert name == (torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu")
