"""What transport costs beside the backbone that its patches come from, in turns."""

import time

import numpy as np
import torch

from zslbench.backbones.registry import find_backbone
from zslbench.nn.transport import plans

IMAGES, PATCHES, PHRASES, CLASSES = 64, 32, 8, 40
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


def test_all_classes_cost_no_more_than_their_number(benchmark):
    """An image is held against every class: the last task of `plumage_spa` knows 40."""
    source = find_backbone("plumage_clip")
    network = source.build().eval()
    images = torch.randn(IMAGES, 3, source.size, source.size)
    one = torch.rand(IMAGES, PATCHES, PHRASES)
    every = torch.rand(IMAGES * CLASSES, PATCHES, PHRASES)

    def work(cosines):
        return lambda: plans(cosines, 0.1, 50)

    seconds(work(one)), seconds(work(every)), seconds(lambda: network(images))
    timed = [(seconds(work(one)), seconds(work(every))) for _ in range(5)]
    few, many = (float(np.median(column)) for column in zip(*timed, strict=True))
    forward = float(np.median([seconds(lambda: network(images)) for _ in range(5)]))
    benchmark.pedantic(work(every), rounds=3)
    print(
        f"\n{CLASSES} classes: {many / few:.0f} times one class; {100 * many / forward:.0f} % of "
        f"the forward of {source.record.name}, one class {100 * few / forward:.0f} %"
    )
    assert many <= 1.5 * CLASSES * few
