"""Selective scans with one state a channel: first-order recurrences, in time linear in the length.

Mamba (Gu and Dao, 2023) with N = 1: h_t = exp(Delta_t A) h_{t-1} + Delta_t B_t x_t, y_t = C_t h_t.
Arrays are `[G, L, ...]`, the sequence second, so that whatever is done at one of its
places is done to whole rows of memory.
"""

import importlib
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

WIDE = 8192  # numbers a place from which one operation is dearer than starting it
KERNEL = "mamba_ssm.ops.selective_scan_interface"


def recurrence(decay: Tensor, inputs: Tensor) -> Tensor:
    """Return all h_t = decay_t h_{t-1} + inputs_t, h_{-1} = 0, along the second dimension.

    Args:
        decay: `[G, L, ...]`.
        inputs: Likewise.
    """
    states: Tensor = _Recurrence.apply(decay, inputs)  # type: ignore[no-untyped-call]
    return states


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
        delta = -logsigmoid(-step)  # softplus; that of torch is ten times slower on a CPU
        decay = torch.exp(delta * -log_rate.exp()[:, None, None])
        return recurrence(decay, delta * (entry * x)) * leave


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


class _Recurrence(torch.autograd.Function):
    """The recurrence; its gradient is one too, that runs backwards."""

    @staticmethod
    def forward(ctx: Any, decay: Tensor, inputs: Tensor) -> Tensor:
        """Return all states."""
        states = _walk(decay, inputs) if _is_wide(inputs) else _pair(decay, inputs)
        ctx.save_for_backward(decay, states)
        return states

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradients of decay and inputs: g_t = gradient_t + decay_{t+1} g_{t+1}."""
        decay, states = ctx.saved_tensors
        if _is_wide(gradient):
            reached = _walk(decay, gradient, backwards=True)
        else:
            reached = _pair(decay.flip(1).roll(1, dims=1), gradient.flip(1)).flip(1)
        of_decay = torch.zeros_like(decay)
        torch.mul(reached[:, 1:], states[:, :-1], out=of_decay[:, 1:])
        return of_decay, reached


def _is_wide(inputs: Tensor) -> bool:
    """Return whether to go place by place: on a CPU, where places are large."""
    return not inputs.is_cuda and inputs.numel() >= WIDE * inputs.shape[1]


def _walk(decay: Tensor, inputs: Tensor, *, backwards: bool = False) -> Tensor:
    """Go from place to place, with one pass over memory."""
    states = torch.empty_like(inputs, memory_format=torch.contiguous_format)
    decays, given, found = (_places(part) for part in (decay, inputs, states))
    if backwards:
        decays, given, found = [decays[0], *decays[:0:-1]], given[::-1], found[::-1]
    found[0].copy_(given[0])
    for t in range(1, len(found)):
        torch.addcmul(given[t], decays[t], found[t - 1], out=found[t])
    return states


def _places(part: Tensor) -> Sequence[Tensor]:
    return list(part.unbind(1))


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
