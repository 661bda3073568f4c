"""Attributes that look for their places in a feature map, and their losses.

B images, N places of a square map in raster order, D channels, K attributes, C classes, the seen
ones first. Sources: DAZLE (Huynh and Elhamifar, CVPR 2020; code hbdat/cvpr20_DAZLE at e5a0460), APN
(Xu et al., NeurIPS 2020; wenjiaXu/APN-ZSL at e5976f7), GEM-ZSL (Liu et al., CVPR 2021; code at
8486b08), PSVMA (Liu et al., CVPR 2023; ManLiuCoder/PSVMA at abd282a); what DAZLE's code does, that
of MSDN and of TransZero does too, where nothing else is said.
"""

from math import isqrt
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize, relu

Over = Literal["all", "seen"]
Gaps = Literal["released", "paper"]


class WordQueries(nn.Module):
    """The words of each attribute query the places of a map, and score what they find there.

    With unit places f_r and words v_k, which start as unit rows and are trained:

        a_kr = softmax_r(v_k W2 f_r),  score_k = v_k W1 sum_r a_kr f_r = sum_r a_kr (v_k W1 f_r)

    In the second form one product of matrices serves a whole batch. So DAZLE, MSDN from text to
    image, and ZeroMamba's SLP.

    Args:
        words: `[K, E]` word vectors, where training starts from.
        width: D.
        uniform: Whether attention starts as uniform, with W2 = 0; else, as W1, from N(0, 1).
        unit: Whether words are normalised again in every pass.
    """

    def __init__(self, words: Tensor, width: int, *, uniform: bool, unit: bool) -> None:
        super().__init__()
        self.unit = unit
        self.words = nn.Parameter(normalize(words, dim=1))
        start = torch.zeros if uniform else torch.randn
        self.attend = nn.Parameter(start(words.shape[1], width))
        self.score = nn.Parameter(torch.randn(words.shape[1], width))

    def rows(self) -> Tensor:
        """Return the words `[K, E]` as they are used."""
        return normalize(self.words, dim=1) if self.unit else self.words

    def products(self, found: Tensor, *weights: Tensor) -> tuple[Tensor, ...]:
        """Return v_k W f_r as `[B, N, K]`, for each of some W `[E, D]`.

        Args:
            found: A map `[B, N, D]`.
            weights: Each W.
        """
        words = self.rows()
        asked = torch.cat([words @ weight for weight in weights])
        return torch.split(normalize(found, dim=-1) @ asked.T, len(words), dim=-1)

    def forward(self, found: Tensor, *more: Tensor) -> tuple[Tensor, ...]:
        """Return attention `[B, N, K]` and scores `[B, K]`.

        Args:
            found: A map `[B, N, D]`.
            more: Further W `[E, D]`, for each of which what W1 gives follows behind the scores.
        """
        attend, *read = self.products(found, self.attend, self.score, *more)
        attention = attend.softmax(dim=1)
        return attention, *((attention * part).sum(dim=1) for part in read)


def self_calibration(logits: Tensor, seen: int) -> Tensor:
    """Return minus the log of the mean mass that images of seen classes give to unseen ones.

    L_cal = -log (1/B) sum_b sum_{u unseen} softmax(s_b + m)_u with m = -1 for seen classes and +1
    for unseen ones: DAZLE, MSDN and TransZero, whose code has the +-1 inside the scores, takes it
    out of them again for the cross-entropy, and leaves it in at the test, where it is a gamma of 2.

    Args:
        logits: `[B, C]`.
        seen: How many classes are seen.
    """
    log_mass = shifted(logits, seen).log_softmax(dim=1)[:, seen:].flatten()
    batch = torch.tensor(float(len(logits)), device=logits.device)
    return batch.log() - log_mass.logsumexp(dim=0)


def shifted(logits: Tensor, seen: int) -> Tensor:
    """Return logits `[B, C]` with 1 taken from seen classes and added to unseen ones."""
    shift = torch.ones_like(logits[0])
    shift[:seen] = -1
    return logits + shift


def calibrated_losses(
    logits: Tensor, labels: Tensor, seen: int, over: Over, weight: float
) -> dict[str, Tensor]:
    """Return the cross-entropy `classes`, and `calibration`, the weighted `self_calibration`.

    Args:
        logits: `[B, C]`, of unseen classes too.
        labels: `[B]` in 0..seen-1.
        seen: How many classes are seen.
        over: The classes of the softmax in the cross-entropy: the code of DAZLE, MSDN and TransZero
            has unseen ones in it.
        weight: Of the calibration.
    """
    known = logits if over == "all" else logits[:, :seen]
    return {
        "classes": cross_entropy(known, labels),
        "calibration": weight * self_calibration(logits, seen),
    }


def unseen_bias(logits: Tensor, seen: int, how: Gaps = "released") -> Tensor:
    """Return how far seen and unseen classes' logits lie apart: PSVMA's debiasing loss.

    Over images, the mean of relu(mean s - mean u) + relu(std s - std u) in the released code; of
    (mean s - mean u)^2 + (var s - var u)^2 in the paper.

    Args:
        logits: `[B, C]`; the deviation of a single class is 0.
        seen: How many classes are seen.
        how: See above.
    """
    known, unseen = logits[:, :seen], logits[:, seen:]
    means = known.mean(dim=1) - unseen.mean(dim=1)
    measure = torch.std if how == "released" else torch.var
    spreads = [measure(p, dim=1, correction=min(1, p.shape[1] - 1)) for p in (known, unseen)]
    if how == "released":
        return (relu(means) + relu(spreads[0] - spreads[1])).mean()
    return (means.square() + (spreads[0] - spreads[1]).square()).mean()


def group_lasso(rows: Tensor, groups: Tensor) -> Tensor:
    """Return the decorrelation of GEM-ZSL: attributes of a group may share channels, others not.

    1 / (G D) sum_g sum_d ||rows_{k in g, d}||_2.

    Args:
        rows: `[K, D]` a vector of each attribute.
        groups: `[K]` the group of each, in 0..G-1.
    """
    norms = [rows[groups == group].norm(dim=0).mean() for group in range(int(groups.max()) + 1)]
    return torch.stack(norms).mean()


def channel_norms(rows: Tensor, groups: Tensor) -> Tensor:
    """Return the decorrelation of APN's paper, a sum: `group_lasso` times G D."""
    return group_lasso(rows, groups) * (int(groups.max()) + 1) * rows.shape[1]


def block_norms(rows: Tensor, groups: Tensor) -> Tensor:
    """Return the decorrelation of APN's released code, which couples no channels.

    sum_g ||rows_{k in g}||_F, one norm of all numbers of a group.

    Args:
        rows: `[K, D]` a vector of each attribute.
        groups: `[K]` the group of each, in 0..G-1.
    """
    return torch.stack(
        [rows[groups == group].norm() for group in range(int(groups.max()) + 1)]
    ).sum()


def spread(maps: Tensor) -> Tensor:
    """Return `[B, K]`: how far the mass of each map lies from its peak (compactness).

    sum_r m_kr ((row_r - row_*)^2 + (column_r - column_*)^2) with r* = argmax_r m_kr. APN takes the
    sum over images and attributes, of the sigmoid of its maps; GEM-ZSL the mean over images,
    attributes and places, of attention.

    Args:
        maps: `[B, K, N]`.
    """
    steps = torch.arange(isqrt(maps.shape[-1]), device=maps.device, dtype=maps.dtype)
    places = torch.cartesian_prod(steps, steps)
    distances = (places[:, None] - places).square().sum(dim=-1)
    return (maps * distances[maps.argmax(dim=-1)]).sum(dim=-1)
