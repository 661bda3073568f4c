"""Losses several methods share."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import kl_div, log_softmax

Consistency = Literal["half_jeffreys", "js", "kl"]


def consistency(one: Tensor, other: Tensor, how: Consistency = "half_jeffreys") -> Tensor:
    """Return how far two predictions `[B, C]` (logits) are apart, in nats, averaged over the batch.

    Args:
        one: Logits of the first pass.
        other: Logits of the second pass.
        how: `half_jeffreys` is SVIP's Eq. 13, half the sum of both Kullback-Leibler divergences
            (which the paper calls JSD); `js` the Jensen-Shannon divergence; `kl` the released
            code's one direction, KL(other || one).
    """
    log_p, log_q = log_softmax(one, dim=-1), log_softmax(other, dim=-1)
    if how == "kl":
        return _kl(log_q, log_p)
    if how == "half_jeffreys":
        return (_kl(log_p, log_q) + _kl(log_q, log_p)) / 2
    log_m = torch.logaddexp(log_p, log_q) - torch.log(torch.tensor(2.0, device=one.device))
    return (_kl(log_p, log_m) + _kl(log_q, log_m)) / 2


def _kl(log_p: Tensor, log_q: Tensor) -> Tensor:
    """KL(p || q) of log-probabilities, batch mean."""
    return kl_div(log_q, log_p, reduction="batchmean", log_target=True)
