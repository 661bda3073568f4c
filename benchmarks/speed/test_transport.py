"""What transport costs beside the backbone that its patches come from, in turns."""

import time

import numpy as np
import torch

from zslbench.backbones.create import find_backbone
from zslbench.nn.transport import plans

IMAGES, PATCHES, PHRASES = 64, 32, 8
BACKBONE = "random:vit_base_patch16_224"


def seconds(work):
    began = time.perf_counter()
    with torch.inference_mode():
        work()
    return time.perf_counter() - began


def test_transport_is_under_a_tenth_of_the_backbones_forward(benchmark):
    source = find_backbone(BACKBONE)
    network = source.build().eval()
    images = torch.randn(IMAGES, 3, source.size, source.size)
    cosines = torch.rand(IMAGES, PATCHES, PHRASES)

    def transport():
        plans(cosines, 0.1, 50)

    seconds(transport), seconds(lambda: network(images[:2]))
    ratios = [seconds(transport) / seconds(lambda: network(images)) for _ in range(3)]
    benchmark.pedantic(transport, rounds=3)
    found = float(np.median(ratios))
    print(f"\ntransport of {IMAGES} x {PATCHES} x {PHRASES}: {100 * found:.2f} % of {BACKBONE}")
    assert found < 0.1
