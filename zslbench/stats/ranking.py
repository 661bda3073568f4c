"""Who beats whom over datasets and seeds: win rates and mean ranks. Pure numpy and scipy."""

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]


def win_rates(values: Float) -> Float:
    """Return how often each competitor beats each other one.

    Args:
        values: `[n, b]` one value for each competitor and block, the higher the better; NaN where
            there is none.

    Returns:
        `[n, n]`, row against column: the share in [0, 1] of the blocks that both have, ties half;
        NaN against itself, and where two have no block in common.
    """
    ours, theirs = values[:, None], values[None]
    both = ~np.isnan(ours) & ~np.isnan(theirs)
    points = np.where(both, (ours > theirs) + 0.5 * (ours == theirs), 0.0).sum(axis=-1)
    blocks = both.sum(axis=-1)
    shares: Float = np.divide(points, blocks, out=np.full(blocks.shape, np.nan), where=blocks > 0)
    np.fill_diagonal(shares, np.nan)
    return shares


def mean_ranks(values: Float) -> Float:
    """Return each competitor's mean rank over datasets.

    Args:
        values: `[n, d]` one value for each competitor and dataset, the higher the better; NaN
            where there is none.

    Returns:
        `[n]`, 1 for who is the best on all; equal values share the mean of their ranks. Who is
        missing on a dataset has NaN, and the others are ranked without it.
    """
    from scipy.stats import rankdata

    complete = ~np.isnan(values).any(axis=1)
    ranks = np.full(len(values), np.nan)
    if complete.any():
        ranks[complete] = rankdata(-values[complete], axis=0).mean(axis=1)
    return ranks
