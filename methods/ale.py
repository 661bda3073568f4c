"""ALE: Akata, Perronnin, Harchaoui and Schmid, "Label-embedding for attribute-based
classification", CVPR 2013, and "Label-embedding for image classification", TPAMI 2016.

| point | paper | public ports | here |
|---|---|---|---|
| weight of a violation | l_r / r, r the rank | l at an estimate of r | the paper's |
| rank r | estimated: draws up to a violation | classes / place in class order | counted |
| classes in a step | one violated class | all violated, in class order | all violated |
| items in a step | one | one | `batch_size`, mean gradient |
| margin | 1 | 1 | `margin`, default 1 |
| step size | constant, validated | constant, one a dataset | constant, 0.1..100, tuning worlds |
| regulariser | early stopping | early stopping | epoch of tuning worlds; `weight_decay` 0 |
| start | random | uniform, unit columns | random normal, deviation d^-1/2 |
| features | Fisher vectors | as is, z-scores or unit rows | `features`, default unit rows |
| class attributes | +-1, then centred or unit | unit | `class_attributes`, default unit |
| score at test | x' W a | cosine of x' W and a | the paper's; with unit a the same order |
| calibration | none | none | `published` has none; `validation` chooses it |

Margin and step size are one setting: where W starts near zero, both times c give W times c.
"""  # noqa: D205

import numpy as np

from zslbench.method import PublishedRule

from ._bilinear import Bilinear, Single


class ALE(Bilinear):
    """The r violations of an item weigh l_r / r each, where l_r = 1 + 1/2 + ... + 1/r."""

    published = PublishedRule(gamma=0.0, source="no calibration in paper or ports")

    def weigh(self, violations: Single) -> Single:
        """Return l_r / r in each row, r being the number of its violations."""
        ranks = np.arange(1, violations.shape[1] + 1)
        by_rank = np.append(0, np.cumsum(1 / ranks) / ranks).astype(np.float32)
        found = (violations > 0).sum(axis=1)
        return np.broadcast_to(by_rank[found, None], violations.shape)
