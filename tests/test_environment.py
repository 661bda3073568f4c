"""What is measured of the machine."""

import subprocess
import sys

import pytest

from zslbench.environment import device_name

# In a process of its own: a large one's resident size moves by itself.
PEAKS = """
import numpy as np
from zslbench.environment import peak_memory_mib, restart_peak_memory
restart_peak_memory()
peaks = []
for mebi in (40, 0, 20):
    ballast = np.ones(mebi * 2**20)
    peaks.append(peak_memory_mib())
    del ballast
    restart_peak_memory()
print(*peaks)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can forget a peak")
def test_the_peak_of_one_run_is_not_that_of_the_one_before():
    done = subprocess.run([sys.executable, "-c", PEAKS], capture_output=True, text=True, check=True)
    high, low, middle = map(float, done.stdout.split())
    assert high > low + 300
    assert low + 140 < middle < low + 300


def test_the_device_is_the_one_networks_run_on():
    torch = pytest.importorskip("torch")
    name = device_name()
    assert name == (torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu")
