"""Selective scans with one state a channel: first-order recurrences, in time linear in the length.

Mamba (Gu and Dao, 2023) with N = 1: h_t = exp(Delta_t A) h_{t-1} + Delta_t B_t x_t, y_t = C_t h_t.
Arrays are `[G, L, ...]`, the sequence second, so that whatever is done at one of its
places is done to whole rows of memory.
"""

import importlib
from functools import cache
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

WIDE = 8192  # numbers a place from which one operation is dearer than starting it
KERNEL = "mamba_ssm.ops.selective_scan_interface"


def selective_scan(
    x: Tensor, step: Tensor, log_rate: Tensor, entry: Tensor, leave: Tensor
) -> Tensor:
    """Return y `[G, L, B, D]`, in float32 or more; on a GPU by mamba-ssm's kernel if installed.

    Args:
        x: `[G, L, B, D]`, G sequences of length L for each of B images.
        step: Likewise: softplus of it is Delta.
        log_rate: `[G, D]`: A is minus its exponential.
        entry: `[G, L, B, 1]`, the matrix B of Mamba.
        leave: `[G, L, B, 1]`, its matrix C.
    """
    with torch.autocast(x.device.type, enabled=False):
        x, step, log_rate, entry, leave = (
            part.float() if part.dtype.itemsize < 4 else part
            for part in (x, step, log_rate, entry, leave)
        )
        if x.is_cuda and has_kernel():
            return scan_by_kernel(x, step, log_rate, entry, leave)
        rate = -log_rate.exp()[:, None, None]
        y: Tensor = _SelectiveScan.apply(x, step, rate, entry, leave)
        return y


@cache
def has_kernel() -> bool:
    """Return whether mamba-ssm is installed."""
    return find_spec(KERNEL.partition(".")[0]) is not None


def scan_by_kernel(
    x: Tensor, step: Tensor, log_rate: Tensor, entry: Tensor, leave: Tensor
) -> Tensor:
    """`selective_scan` by mamba-ssm, whose arrays are `[B, G D, L]` and `[B, G, 1, L]`."""
    kernel: Any = importlib.import_module(KERNEL)
    groups, length, batch, width = x.shape

    def channels(part: Tensor) -> Tensor:
        return part.permute(2, 0, 3, 1).reshape(batch, groups * width, length)

    def states(part: Tensor) -> Tensor:
        return part.permute(2, 0, 3, 1).contiguous()

    y: Tensor = kernel.selective_scan_fn(
        channels(x), channels(step), -log_rate.exp().reshape(-1, 1), states(entry), states(leave),
        delta_softplus=True,
    )  # fmt: skip
    return y.reshape(batch, groups, width, length).permute(1, 3, 0, 2)


class _SelectiveScan(torch.autograd.Function):
    """The scan with its gradient written out: half the passes over memory of autograd's."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, step: Tensor, rate: Tensor, entry: Tensor, leave: Tensor
    ) -> Tensor:
        """Return y; rate, the A of Mamba, is `[G, 1, 1, D]`."""
        delta = softplus(step)
        decay = (delta * rate).exp_()
        states = recurrence(decay, (x * entry).mul_(delta))
        ctx.save_for_backward(x, step, rate, entry, leave, delta, decay, states)
        return states * leave

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, ...]:
        """Return the gradients of all five; that of inputs is a recurrence from the end."""
        x, step, rate, entry, leave, delta, decay, states = ctx.saved_tensors
        of_leave = (gradient * states).sum(dim=-1, keepdim=True)
        of_input = recurrence(decay, gradient * leave, backwards=True)
        of_exponent = torch.empty_like(decay)  # of delta rate, whose exponential is the decay
        of_exponent[:, 0] = 0
        torch.mul(of_input[:, 1:], states[:, :-1], out=of_exponent[:, 1:]).mul_(decay[:, 1:])
        of_rate = (of_exponent * delta).sum(dim=(1, 2), keepdim=True)
        of_step = of_exponent.mul_(rate).addcmul_(of_input, x * entry).mul_(step.sigmoid())
        of_entered = of_input.mul_(delta)
        of_entry = (of_entered * x).sum(dim=-1, keepdim=True)
        return of_entered.mul_(entry), of_step, of_rate, of_entry, of_leave


def softplus(x: Tensor) -> Tensor:
    """Return log(1 + e^x), without gradient; on a CPU torch's takes four times as long.

    That is for its log1p. Here log(1 + u) regains what rounding 1 + u to w lost, (u - (w - 1)) / w.
    """
    if x.is_cuda:
        return torch.nn.functional.softplus(x)
    small = x.abs().neg_().exp_()
    whole = small + 1
    lost = small.sub_(whole - 1).div_(whole)
    return whole.log_().add_(lost).add_(x.clamp_min(0))


def recurrence(decay: Tensor, inputs: Tensor, *, backwards: bool = False) -> Tensor:
    """Return all h_t = decay_t h_{t-1} + inputs_t, h_{-1} = 0, along the second dimension.

    Args:
        decay: `[G, L, ...]`.
        inputs: Likewise; it may be overwritten by the result.
        backwards: Return the gradient of inputs if they are that of states: all
            g_t = decay_{t+1} g_{t+1} + inputs_t.
    """
    if not inputs.is_cuda and inputs.numel() >= WIDE * inputs.shape[1]:
        return _walk(decay, inputs, backwards=backwards)
    if backwards:
        return _pair(decay.flip(1).roll(1, dims=1), inputs.flip(1)).flip(1)
    return _pair(decay, inputs)


def _walk(decay: Tensor, states: Tensor, *, backwards: bool) -> Tensor:
    """Go from place to place, in place, with one pass over memory."""
    decays, found = decay.unbind(1), states.unbind(1)
    if backwards:
        decays, found = (decays[0], *decays[:0:-1]), found[::-1]
    for t in range(1, len(found)):
        found[t].addcmul_(decays[t], found[t - 1])
    return states


def _pair(decay: Tensor, inputs: Tensor) -> Tensor:
    """Join neighbours into half as many steps, solve those, and fill in between: 2 log2(L) rounds.

    Each round halves what is left, so that all of them touch no more than a fixed multiple of L.
    """
    if inputs.shape[1] == 1:
        return inputs.clone()
    odd = decay[:, 1::2]
    even = slice(0, 2 * odd.shape[1], 2)
    later = _pair(odd * decay[:, even], torch.addcmul(inputs[:, 1::2], odd, inputs[:, even]))
    states = torch.empty_like(inputs)
    states[:, 0], states[:, 1::2] = inputs[:, 0], later
    inner = states[:, 2::2]
    torch.addcmul(inputs[:, 2::2], decay[:, 2::2], later[:, : inner.shape[1]], out=inner)
    return states
