"""What bf16 gains on a processor that multiplies it: a training step, beside the same in fp32."""

import pytest
import torch
from test_methods import prepared, ratio

from zslbench.arithmetic import multiplies_bf16

GAIN = 1.5


@pytest.mark.parametrize("name", ["vit_attr_head", "svip"])
def test_a_step_in_bf16_beside_one_in_fp32(benchmark, monkeypatch, name):
    if not multiplies_bf16():
        pytest.skip("this processor multiplies no bf16: ZSLBENCH_PRECISION=bfloat16 is slow here")
    model, batch, _ = prepared(name, "plumage_vit")
    model.network.train()

    def step(*, short):
        arithmetic = torch.autocast("cpu", torch.bfloat16, enabled=short)
        monkeypatch.setattr("zslbench.training.autocast", lambda: arithmetic)
        model.step(*batch)

    gain = 1 / ratio(benchmark, lambda: step(short=True), lambda: step(short=False), 5)
    print(f"\n{name}: a step in bf16 is {gain:.2f} times as fast as one in fp32")
    assert gain >= GAIN
