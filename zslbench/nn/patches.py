"""A grid of patches seen as 2 x 2 blocks: 196 tokens as 49."""

from torch import Tensor


def merge_blocks(patches: Tensor) -> Tensor:
    """Concatenate 2 x 2 blocks `[B, N, D] -> [B, N / 4, 4 D]`: top left, top right, then below."""
    b, n, d = patches.shape
    half = int(n**0.5) // 2
    blocks = patches.reshape(b, half, 2, half, 2, d).permute(0, 1, 3, 2, 4, 5)
    return blocks.reshape(b, half * half, 4 * d)


def mean_blocks(patches: Tensor) -> Tensor:
    """Average 2 x 2 blocks: `[B, N, D] -> [B, N / 4, D]`."""
    b, _, d = patches.shape
    merged = merge_blocks(patches)
    return merged.reshape(b, merged.shape[1], 4, d).mean(dim=2)
