"""Scans against the plain loop over places, forward and backward, in float64."""

import sys
from types import ModuleType

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plain import plain_selective_scan
from torch.nn.functional import softplus

from zslbench.nn import scan
from zslbench.nn.scan import recurrence, scan_by_kernel, selective_scan

NARROW, EITHER = 10**9, 1


def drawn(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def plain_recurrence(decay, inputs):
    state, states = torch.zeros_like(inputs[:, 0]), []
    for t in range(inputs.shape[1]):
        state = decay[:, t] * state + inputs[:, t]
        states.append(state)
    return torch.stack(states, dim=1)


def results(function, parts, seed=9):
    """What a function gives, and the gradients of a random sum of it by all its arguments."""
    parts = [part.clone().requires_grad_() for part in parts]
    out = function(*parts)
    (out * drawn(*out.shape, seed=seed)).sum().backward()
    return [out.detach(), *(part.grad for part in parts)]


def same(one, other):
    for found, expected in zip(one, other, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


@pytest.fixture(params=[NARROW, EITHER], ids=["in pairs", "place by place"])
def wide(request, monkeypatch):
    monkeypatch.setattr(scan, "WIDE", request.param)


def backwards_by_autograd(decay, gradient):
    """The gradient of the loop's inputs."""
    inputs = torch.zeros_like(gradient).requires_grad_()
    plain_recurrence(decay, inputs).backward(gradient)
    return inputs.grad


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize("length", [1, 2, 3, 7, 8, 49, 100, 196])
def test_recurrence_equals_the_loop_either_way(length):
    decay, inputs = drawn(2, length, 3).sigmoid(), drawn(2, length, 3, seed=1)
    found = recurrence(decay, inputs.clone()), recurrence(decay, inputs.clone(), backwards=True)
    same(found, [plain_recurrence(decay, inputs), backwards_by_autograd(decay, inputs)])


@settings(deadline=None)
@given(
    st.integers(1, 3), st.integers(1, 40), st.integers(1, 4), st.sampled_from([NARROW, EITHER]),
    st.integers(0, 99), st.floats(-30, 30),
)  # fmt: skip
def test_recurrence_equals_the_loop_whatever_the_shape_and_the_decay(g, length, m, wide, seed, at):
    """Decays from those that forget at once to those that forget nothing."""
    decay = (drawn(g, length, m, seed=seed) + at).sigmoid()
    inputs = drawn(g, length, m, seed=seed + 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan, "WIDE", wide)
        same([recurrence(decay, inputs.clone())], [plain_recurrence(decay, inputs)])
        backwards = recurrence(decay, inputs.clone(), backwards=True)
    same([backwards], [backwards_by_autograd(decay, inputs)])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_softplus_is_exact_to_some_roundings(dtype):
    x = torch.linspace(-90, 90, 20001, dtype=dtype)
    expected = torch.nn.functional.softplus(x.double(), threshold=100)
    allowed = 8 * torch.finfo(dtype).eps
    torch.testing.assert_close(scan.softplus(x).double(), expected, rtol=allowed, atol=1e-38)


def arguments(groups=4, length=49, batch=2, width=5):
    shape = (groups, length, batch)
    return [
        drawn(*shape, width), 3 * drawn(*shape, width, seed=1), drawn(groups, width, seed=2),
        drawn(*shape, 1, seed=3), drawn(*shape, 1, seed=4),
    ]  # fmt: skip


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize("length", [1, 2, 49])
def test_selective_scan_and_its_gradients_equal_the_loop(length):
    parts = arguments(length=length)
    same(results(selective_scan, parts), results(plain_selective_scan, parts))


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize("length", [1, 2, 9])
def test_gradients_are_those_of_finite_differences(length):
    parts = [part.requires_grad_() for part in arguments(2, length, 2, 2)]
    assert torch.autograd.gradcheck(selective_scan, parts)


def test_steps_far_from_zero_stay_finite():
    parts = arguments(length=20)
    parts[1] = parts[1] * 200
    assert all(part.isfinite().all() for part in results(selective_scan, parts))


def test_half_precision_is_scanned_in_single():
    parts = [part.bfloat16() for part in arguments()]
    found = selective_scan(*parts)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, selective_scan(*(part.float() for part in parts)))


def test_the_kernel_is_handed_what_it_expects(monkeypatch):
    """A stand-in for mamba-ssm's function, by its documented shapes: u, delta `[B, D, L]`, A
    `[D, N]`, B and C `[B, G, N, L]`."""  # fmt: skip

    def selective_scan_fn(u, delta, rate, entry, leave, *, delta_softplus):
        assert delta_softplus
        batch, channels, length = u.shape
        assert rate.shape == (channels, 1)
        assert entry.shape == leave.shape == (batch, 4, 1, length)
        each = channels // 4
        state, outputs = torch.zeros(batch, channels, dtype=u.dtype), []
        for t in range(length):
            step = softplus(delta[..., t])
            given = entry[:, :, 0, t].repeat_interleave(each, dim=1)
            state = torch.exp(step * rate[:, 0]) * state + step * given * u[..., t]
            outputs.append(leave[:, :, 0, t].repeat_interleave(each, dim=1) * state)
        return torch.stack(outputs, dim=-1)

    module = ModuleType(scan.KERNEL)
    module.selective_scan_fn = selective_scan_fn
    for name in ("mamba_ssm", "mamba_ssm.ops"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, scan.KERNEL, module)
    parts = arguments(length=12)
    same([scan_by_kernel(*parts)], [plain_selective_scan(*parts)])
