"""Entropic optimal transport between two small sets of unit vectors, many problems at once."""

import torch
from torch import Tensor


def plans(similarity: Tensor, epsilon: float, iterations: int) -> Tensor:
    """Return the plans `[P, m, k]` between uniform marginals, at cost 1 - similarity.

    POT's batched Sinkhorn in the logarithmic domain (Cuturi, NeurIPS 2013). It always does all its
    iterations: an early stop would make a plan depend on the rest of the batch. No gradient goes
    through a plan; that of the transport cost is the plan itself (envelope theorem).

    Args:
        similarity: `[P, m, k]` cosines.
        epsilon: Weight of the entropy; where it is large, mass is spread evenly.
        iterations: Of Sinkhorn; the second marginal is exact, the first converges.
    """
    from ot.batch import solve_batch

    with torch.autocast(similarity.device.type, enabled=False):
        cost = 1 - similarity.detach().float()
        solved = solve_batch(
            cost, epsilon, max_iter=iterations, tol=0.0, method="log_sinkhorn", grad="detach"
        )
    found: Tensor = solved.plan
    return found


def even(similarity: Tensor) -> Tensor:
    """Return plans that align nothing: the product of the marginals."""
    return torch.full_like(similarity, 1 / (similarity.shape[1] * similarity.shape[2]))
