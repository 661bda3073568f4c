"""SJE: Akata, Reed, Walter, Lee and Schiele, "Evaluation of output embeddings for fine-grained
image classification", CVPR 2015.

| point | paper | public ports | here |
|---|---|---|---|
| objective | the worst violation | the same | the same |
| search for the worst | over x' W a | over z-scored x' W | the paper's |
| items in a step | one | one | `batch_size`, mean gradient |
| margin | 1 | 1..4, one a dataset | `margin`, default 1 |
| step size | constant, validated | constant, one a dataset | constant, 0.1..100, tuning worlds |
| regulariser | early stopping | early stopping | epoch of tuning worlds; `weight_decay` 0 |
| start | not said | uniform, unit columns | random normal, deviation d^-1/2 |
| features | network activations | as is, z-scores or unit rows | `features`, default unit rows |
| class side | attributes, words, several at once | attributes | `class_attributes`, default unit |
| score at test | x' W a | cosine of x' W and a | the paper's; with unit a the same order |
| calibration | none | none | `published` has none; `validation` chooses it |

Margin and step size are one setting: where W starts near zero, both times c give W times c.
"""  # noqa: D205

import numpy as np

from zslbench.method import PublishedRule

from ._bilinear import Bilinear, Single


class SJE(Bilinear):
    """The worst violation of an item counts, and no other."""

    published = PublishedRule(gamma=0.0, source="no calibration in paper or ports")

    def weigh(self, violations: Single) -> Single:
        """Return one at each row's largest violation."""
        weights = np.zeros_like(violations)
        weights[np.arange(len(violations)), violations.argmax(axis=1)] = 1
        return weights
