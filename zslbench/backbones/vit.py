"""timm's vision transformers opened up: patch embedding, positions, blocks with their attention.

The numbers are timm's own (`VisionTransformer`, Dosovitskiy et al., ICLR 2021; Touvron et al., ICML
2021 for DeiT); tests hold the two forwards equal.
"""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

AttentionHook = Callable[[Tensor], None]
QueryHook = Callable[[Tensor], Tensor]


class OpenViT(nn.Module):
    """A timm `VisionTransformer` whose parts a method may use one by one.

    Args:
        vit: With a class token, absolute positions and plain attention.

    Attributes:
        width: D, the tokens' dimension.
        grid: Patches along each side; N = grid^2.
        size: Side of the images in pixels.
    """

    def __init__(self, vit: Any) -> None:
        super().__init__()
        self.vit = vit
        self.width: int = vit.embed_dim
        rows, columns = vit.patch_embed.grid_size
        if rows != columns or not _is_plain(vit):
            raise ValueError(
                "only square ViTs of plain pre-norm blocks are opened up, with a class token, "
                "positions for all tokens, and no registers"
            )
        self.grid: int = rows
        self.size: int = vit.patch_embed.img_size[0]

    @property
    def patch_positions(self) -> Tensor:
        """`[1, N, D]` position embeddings of the patches."""
        positions: Tensor = self.vit.pos_embed
        return positions[:, 1:]

    def embed(self, images: Tensor) -> Tensor:
        """Return patch embeddings `[B, N, D]`, without positions, of images `[B, 3, S, S]`."""
        patches: Tensor = self.vit.patch_embed(images)
        return patches

    def tokens(self, patches: Tensor, positions: Tensor | None = None) -> Tensor:
        """Return tokens `[B, 1 + n, D]`: the class token, then patches with their positions."""
        vit = self.vit
        positions = self.patch_positions if positions is None else positions
        class_token = (vit.cls_token + vit.pos_embed[:, :1]).expand(len(patches), -1, -1)
        tokens: Tensor = vit.norm_pre(torch.cat([class_token, patches + positions], dim=1))
        return tokens

    def encode(self, tokens: Tensor, on_attention: AttentionHook | None = None) -> Tensor:
        """Run all blocks and the final norm: `[B, T, D]` to `[B, T, D]`.

        Args:
            tokens: With the class token first.
            on_attention: Called with each block's attention weights `[B, heads, T, T]`, first block
                first. Explicit weights cost nothing on a CPU; without a hook a GPU uses its fused
                kernel.
        """
        for block in self.vit.blocks:
            tokens = run_block(block, tokens, on_attention)
        normed: Tensor = self.vit.norm(tokens)
        return normed

    def forward(self, images: Tensor) -> Tensor:
        """Return normed tokens `[B, 1 + N, D]` of images."""
        return self.encode(self.tokens(self.embed(images)))

    def feature(self, images: Tensor) -> Tensor:
        """Return what stands for the whole image: the normed class token, `[B, D]`."""
        class_token: Tensor = self(images)[:, 0]
        return class_token


class PrefixedViT(OpenViT):
    """The last blocks of a ViT, on patches that its first blocks have been through.

    Positions are in these patches already, so their embeddings start at zero. A class token cannot
    be kept for patches that a method will replace or leave out: it is restarted from what the first
    blocks make of it on an image of the mean colour.

    Args:
        whole: The ViT; it is taken apart.
        frozen: How many of its blocks come first.
    """

    def __init__(self, whole: OpenViT, frozen: int) -> None:
        super().__init__(whole.vit)
        vit, first = whole.vit, deepcopy(whole)
        first.vit.blocks, first.vit.norm = first.vit.blocks[:frozen], nn.Identity()
        self.first = first.requires_grad_(False)
        with torch.no_grad():
            mean_colour = torch.zeros(1, 3, self.size, self.size)
            vit.cls_token = nn.Parameter(first(mean_colour)[:, :1].clone())
        vit.pos_embed = nn.Parameter(torch.zeros_like(vit.pos_embed))
        vit.blocks = vit.blocks[frozen:]
        vit.patch_embed, vit.norm_pre = nn.Identity(), nn.Identity()

    def embed(self, images: Tensor) -> Tensor:
        """Return patches `[B, N, D]` of images `[B, 3, S, S]`, or such patches as they are."""
        if images.ndim == 3:
            return images
        with torch.no_grad():
            patches: Tensor = self.first(images)[:, 1:]
        return patches


def _is_plain(vit: Any) -> bool:
    """Return whether tokens are the class and the patches, and blocks what `run_block` runs."""
    from timm.layers.attention import Attention
    from timm.models.vision_transformer import Block

    return (
        vit.cls_token is not None
        and vit.num_prefix_tokens == 1
        and vit.pos_embed is not None
        and not vit.no_embed_class
        and not vit.dynamic_img_size
        and all(type(block) is Block and type(block.attn) is Attention for block in vit.blocks)
        and all(getattr(block.attn, "gate", None) is None for block in vit.blocks)
        and all(isinstance(block.attn.norm, nn.Identity) for block in vit.blocks)
    )


def run_block(block: Any, tokens: Tensor, on_attention: AttentionHook | None = None) -> Tensor:
    """Run one pre-norm block, showing its attention weights to the hook."""
    attended = attend(block.attn, block.norm1(tokens), on_attention)
    tokens = tokens + block.drop_path1(block.ls1(attended))
    out: Tensor = tokens + block.drop_path2(block.ls2(block.mlp(block.norm2(tokens))))
    return out


def attend(
    attention: Any,
    normed: Tensor,
    on_attention: AttentionHook | None = None,
    on_query: QueryHook | None = None,
) -> Tensor:
    """Self-attention `[B, T, D]`, explicit on a CPU or where its weights are asked for.

    Args:
        attention: timm's.
        normed: `[B, T, D]`.
        on_attention: Called with the weights `[B, heads, T, T]`.
        on_query: Returns what takes the place of the queries `[B, heads, T, d]`.
    """
    batch, length, _ = normed.shape
    heads = attention.qkv(normed).reshape(batch, length, 3, attention.num_heads, -1)
    query, key, value = heads.permute(2, 0, 3, 1, 4).unbind(0)
    query, key = attention.q_norm(query), attention.k_norm(key)
    if on_query is not None:
        query = on_query(query)
    if on_attention is None and normed.is_cuda:
        mixed = nn.functional.scaled_dot_product_attention(query, key, value)
    else:
        weights = (query * attention.scale @ key.transpose(-2, -1)).softmax(dim=-1)
        if on_attention is not None:
            on_attention(weights)
        mixed = weights @ value
    out: Tensor = attention.proj(mixed.transpose(1, 2).reshape(batch, length, -1))
    return out
