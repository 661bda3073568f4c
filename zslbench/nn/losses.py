"""Losses several methods share."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import kl_div, log_softmax, normalize

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


def supervised_contrast(rows: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Return Khosla et al.'s (NeurIPS 2020) supervised contrastive loss, L_out of their Eq. 2.

    An anchor that is alone with its class in the batch takes no part.

    Args:
        rows: `[B, z]` of unit length.
        labels: `[B]` their classes.
        temperature: Divides the cosines.
    """
    own = torch.eye(len(rows), dtype=torch.bool, device=rows.device)
    likeness = (rows @ rows.T / temperature).masked_fill(own, -torch.inf)
    log_share = log_softmax(likeness, dim=1).masked_fill(own, 0.0)
    alike = (labels[:, None] == labels) & ~own
    many = alike.sum(dim=1)
    mean = (log_share * alike).sum(dim=1) / many.clamp_min(1)
    return -mean.sum() / (many > 0).sum().clamp_min(1)


def sliced_wasserstein(one: Tensor, other: Tensor, directions: int = 128) -> Tensor:
    """Return the mean squared distance of the sorted projections of two samples `[B, C]`.

    Each projection is on a random unit vector, sorted over the batch: Lee et al., CVPR 2019.
    """
    drawn = torch.randn(one.shape[1], directions, dtype=one.dtype, device=one.device)
    ways = normalize(drawn, dim=0)
    apart = (one @ ways).sort(dim=0).values - (other @ ways).sort(dim=0).values
    return apart.square().mean()


def coral(one: Tensor, other: Tensor) -> Tensor:
    """Return the mean squared difference of two samples' covariances (Sun and Saenko, 2016)."""
    return (torch.cov(one.T) - torch.cov(other.T)).square().mean()


def center_loss(
    means: Tensor, centres: Tensor, labels: Tensor, others: Tensor, margin: float,
    own: float = 1.0, other: float = 1.0,
) -> Tensor:  # fmt: skip
    """Return max(0, margin + own ||mu - c_y||^2 - other ||mu - c_other||^2), averaged over a batch.

    RFF-GZSL's center loss; with weights that add up to 1, FREE's self-adaptive margin center loss.

    Args:
        means: `[B, z]`, mu.
        centres: `[C, z]`, c.
        labels: `[B]`, y.
        others: `[B]` another class of each item.
        margin: How much nearer the own centre is to be.
        own: Weight of the distance to the own centre.
        other: Weight of the distance to the other centre.
    """
    near = (means - centres[labels]).square().sum(dim=1)
    far = (means - centres[others]).square().sum(dim=1)
    return (margin + own * near - other * far).clamp_min(0).mean()


def other_classes(means: Tensor, centres: Tensor, labels: Tensor, nearest: bool) -> Tensor:
    """Return another class `[B]` of each item: of the nearest centre not its own, or any one."""
    if nearest:
        distances = torch.cdist(means.detach(), centres.detach())
        return distances.scatter(1, labels[:, None], torch.inf).argmin(dim=1)
    ahead = torch.randint(1, len(centres), labels.shape, device=labels.device)
    return (labels + ahead) % len(centres)
