"""DeViSE: Frome et al., "DeViSE: a deep visual-semantic embedding model", NIPS 2013.

| point | paper | public ports | here |
|---|---|---|---|
| objective | sum of all violations | the same | the same |
| classes in a step | random, up to the first violated | class order, to the first | all violated |
| items in a step | one | one | `batch_size`, mean gradient |
| margin | 0.1 | 1..200, one a dataset | `margin`, default 1 |
| step size | AdaGrad | constant, one a dataset | constant, 0.1..100, tuning worlds |
| regulariser | none named | early stopping | epoch of tuning worlds; `weight_decay` 0 |
| start | not said | uniform, unit columns | random normal, deviation d^-1/2 |
| image side | network, later tuned too | fixed features | fixed features |
| features | last hidden layer | as is, z-scores or unit rows | `features`, default unit rows |
| class side | unit word vectors of names | class attributes | `class_attributes`, default unit |
| score at test | nearest neighbours of x' W | cosine of x' W and a | x' W a: same order if unit |
| calibration | none | none | `published` has none; `validation` chooses it |

Margin and step size are one setting: where W starts near zero, both times c give W times c.
"""

import numpy as np

from zslbench.method import PublishedRule

from ._bilinear import Bilinear, Single


class DeViSE(Bilinear):
    """Every violation of an item counts once."""

    published = PublishedRule(gamma=0.0, source="no calibration in paper or ports")

    def weigh(self, violations: Single) -> Single:
        """Return ones."""
        return np.ones_like(violations)
