"""ZSLViT: Chen et al., "Progressive Semantic-Guided Vision Transformer for Zero-Shot Learning",
CVPR 2024 (arXiv 2404.07713).

| point | paper | released code | here |
|---|---|---|---|
| fusing blocks, from 0 | "various encoders" | 3, 6, 9 of 12; SUN 3, 6 | quarters of the depth |
| ranking of tokens | semantic-guided attention | class row, mean of heads | as the code |
| tokens kept of N | - | ceil(.9 N), best first | `keep`, in raster order |
| fused token | one, of the unrelated | sum weighted by attention as it is | `fusing`: raw |
| class query in training | semantic-embedded | .1 of the label's attributes in it | `mixing` |
| class query at the test | - | its own alone | as the code |
| L_SR, on attributes decoded | weight unknown | weight 1, mean L1, mixed query | `attributes` |
| L_VR, on attributes embedded | weight unknown | weight 1, mean L1, no detach | `semantic` |
| cross-entropy | - | weight 1; AwA2 2 | 1; halve the other weights for 2 |
| logits | class token to attributes | dot, no scale | `logits`, `scale`: cosine 20 |
| bias of that layer | - | AwA2 only | none |
| input | - | 448 px; 224 in the test scripts | the backbone's size in both |
| sampling | - | class-balanced, with replacement | every image once an epoch |
| optimiser | - | Adam in steps, head 5e-3, drop path .1 | that of all methods here |
| rate of embedders and decoders | - | the ViT's, 1e-5 | that of new parameters, `lr` |
| epoch, gamma | - | best on test, by hand per dataset | tuning worlds |
| second head, on patches | - | computed, in no loss | none |

"-" is where the paper's text was not at hand. Blocks at quarters of the depth are rounded: 2, 3, 4
of 6. The order of kept tokens changes no score, as positions are added before the first block;
raster order lets one follow them. The query that attributes are decoded from has the label's
attributes mixed in, which at the test are absent: that is the method. Where it sees an attribute
(`view`) is what the head makes of each patch that is left, which no loss trains.
"""  # noqa: D205

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, l1_loss, pad

from zslbench.backbones.vit import OpenViT, attend, run_block
from zslbench.method import PublishedRule, TrainSet, hyper, option, weight
from zslbench.method.trained import TrainedConfig, TrainedMethod

DEVIATION = 0.02
Fusing = Literal["raw", "normalised"]


@dataclass(frozen=True)
class Pass:
    """What one forward pass leaves; a list has one entry for each fusing block.

    Attributes:
        tokens: `[B, 1 + n, D]` the normed tokens, the class token first.
        semantic: `[B, D]` embedded class attributes, in training.
        decoded: `[B, K]` attributes decoded from the mixed class query, in training.
        ranks: `[B, N]` attention of the class token to the N tokens that enter the fusion.
        sources: `[B, n]` where the tokens that leave it come from: in 0..N-1, the fused one N.
    """

    tokens: Tensor
    semantic: list[Tensor]
    decoded: list[Tensor]
    ranks: list[Tensor]
    sources: list[Tensor]

    @property
    def feature(self) -> Tensor:
        """The class token `[B, D]`."""
        return self.tokens[:, 0]


class ClassQuery:
    """Mixes a semantic embedding into the class query, and keeps the result, `[B, D]`."""

    mixed: Tensor

    def __init__(self, semantic: Tensor, share: float) -> None:
        self.semantic = semantic
        self.share = share

    def __call__(self, query: Tensor) -> Tensor:
        """Return queries `[B, heads, T, d]` whose first token has taken the embedding in."""
        own = query[:, :, 0]
        mixed = (1 - self.share) * own + self.share * self.semantic.reshape(own.shape)
        self.mixed = mixed.flatten(1)
        return torch.cat([mixed[:, :, None], query[:, :, 1:]], dim=2)


class Network(nn.Module):
    """The backbone, its fusing blocks, and what they need in training.

    Args:
        backbone: A ViT.
        attributes: K.
        config: Of the method.
    """

    def __init__(self, backbone: OpenViT, attributes: int, config: Any) -> None:
        super().__init__()
        self.backbone, self.config = backbone, config
        width, depth = backbone.width, len(backbone.vit.blocks)
        self.places = [round(depth * quarter / 4) for quarter in (1, 2, 3)]
        self.embedders = nn.ModuleList(_embedder(attributes, width) for _ in self.places)
        self.decoders = nn.ModuleList(_decoder(width, attributes) for _ in self.places)
        self.head = nn.Linear(width, attributes, bias=False)

    def forward(self, images: Tensor, attributes: Tensor | None = None) -> Pass:
        """Run the blocks on images; attributes `[B, K]` of their classes guide it in training."""
        backbone, ranks, sources = self.backbone, [], []
        semantic = [] if attributes is None else [embed(attributes) for embed in self.embedders]
        queries = [ClassQuery(embedded, self.config.mixing) for embedded in semantic]
        tokens = backbone.tokens(backbone.embed(images))
        for number, block in enumerate(backbone.vit.blocks):
            if number in self.places:
                query = queries[self.places.index(number)] if queries else None
                tokens, ranked, kept = self._run_fusing(block, tokens, query)
                ranks.append(ranked)
                sources.append(kept)
            else:
                tokens = run_block(block, tokens)
        decoded = [decode(q.mixed) for decode, q in zip(self.decoders, queries, strict=False)]
        return Pass(backbone.vit.norm(tokens), semantic, decoded, ranks, sources)

    def _run_fusing(
        self, block: Any, tokens: Tensor, query: ClassQuery | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Run a block that fuses between its attention and its MLP."""
        shown: list[Tensor] = []
        attended = attend(block.attn, block.norm1(tokens), shown.append, query)
        tokens = tokens + block.drop_path1(block.ls1(attended))
        ranks = shown[0][:, :, 0, 1:].mean(dim=1)
        tokens, sources = fuse(tokens, ranks, self.config.keep, self.config.fusing)
        return tokens + block.drop_path2(block.ls2(block.mlp(block.norm2(tokens)))), ranks, sources


def fuse(tokens: Tensor, ranks: Tensor, keep: float, how: Fusing) -> tuple[Tensor, Tensor]:
    """Keep the highest ranked tokens and fuse the others into one, the last.

    Args:
        tokens: `[B, 1 + N, D]`, the class token first.
        ranks: `[B, N]`.
        keep: Share kept, rounded up; where that is all of them, nothing is fused.
        how: Whether the ranks are the weights of the sum as they are, or sum to 1.

    Returns:
        Tokens `[B, 1 + n, D]`, and where the n come from `[B, n]`: in 0..N-1, the fused one N.
    """
    length, width = ranks.shape[1], tokens.shape[-1]
    count = math.ceil(keep * length)
    kept = ranks.topk(count, dim=1).indices.sort(dim=1).values
    if count == length:
        return tokens, kept
    weights = ranks.scatter(1, kept, 0.0)
    if how == "normalised":
        weights = weights / weights.sum(dim=1, keepdim=True)
    patches = tokens[:, 1:]
    fused = weights[:, None] @ patches
    chosen = patches.gather(1, kept[..., None].expand(-1, -1, width))
    return torch.cat([tokens[:, :1], chosen, fused], dim=1), pad(kept, (0, 1), value=length)


class ZSLViT(TrainedMethod):
    """Tokens the class token attends to least are fused; class attributes guide its query."""

    class Config(TrainedConfig):
        """Config of ZSLViT."""

        keep: float = hyper(0.9, "keep rate", "share of tokens a fusion keeps", 0.1, 1.0)
        mixing: float = hyper(0.1, "mixing", "share of semantics in the class query", 0.0, 1.0)
        semantic: float = weight(1.0, "lambda_VR", "weight of embedded semantics")
        attributes: float = weight(1.0, "lambda_SR", "weight of decoded attributes")
        fusing: Fusing = option(
            "raw", "fused token", "weights of the sum: attention as it is, or to sum 1"
        )

    keeps = True
    network: Network
    published = PublishedRule(
        epoch="best", gamma="best", space="probability", average="class",
        source="released code, train.py: best epochs on test; configs: gamma by hand per dataset",
    )  # fmt: skip

    def build(self, train: TrainSet) -> nn.Module:
        """Return the network around the backbone."""
        return Network(self.source.build(), train.class_attributes.shape[1], self.config)

    def losses(self, images: Tensor, labels: Tensor, class_attributes: Tensor) -> dict[str, Tensor]:
        """Return the cross-entropy, and both L1 losses summed over the fusing blocks."""
        truth = class_attributes[labels]
        out = self.network(images, truth)
        semantic = torch.stack([l1_loss(embedded, out.feature) for embedded in out.semantic])
        decoded = torch.stack([l1_loss(attributes, truth) for attributes in out.decoded])
        logits = self.compare(self.network.head(out.feature), class_attributes)
        return {
            "classes": cross_entropy(logits, labels),
            "semantic": self.config.semantic * semantic.sum(),
            "attributes": self.config.attributes * decoded.sum(),
        }

    def logits(self, images: Tensor, class_attributes: Tensor) -> Tensor:
        """Inference: nothing is mixed into the class query."""
        out = self.network(images)
        return self.compare(self.network.head(out.feature), class_attributes)

    def look(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the patches that no fusion took; the later one is taken, the more it matters.

        Among those taken together, and among the last, the class token's attention decides.
        """
        out = self.network(images)
        return follow(out, self.network.head(out.tokens[:, 1:]))


def follow(out: Pass, seen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Follow tokens back to the patches they come from.

    Args:
        out: A pass.
        seen: `[B, n, K]` attributes in the tokens that are left.

    Returns:
        `[B, N]` fusions survived plus the last attention received, `[B, N]` which are left, and
        `[B, N, K]` attributes in those; in the others minus infinity.
    """
    batch, length = out.ranks[0].shape
    where = torch.arange(length, device=out.feature.device).expand(batch, -1)
    matter = out.feature.new_zeros(batch, length + 1)
    for survived, (ranks, sources) in enumerate(zip(out.ranks, out.sources, strict=True)):
        matter.scatter_(1, where, (survived + ranks).to(matter.dtype))
        where = pad(where, (0, 1), value=length).gather(1, sources)
    left = torch.zeros_like(matter).scatter_(1, where, 1.0)
    maps = seen.new_full((batch, length + 1, seen.shape[-1]), -torch.inf)
    maps.scatter_(1, where[..., None].expand_as(seen), seen)
    return matter[:, :length], left[:, :length], maps[:, :length]


def _embedder(attributes: int, width: int) -> nn.Sequential:
    return _initialised(
        nn.Linear(attributes, width), nn.ReLU(), nn.Linear(width, 2 * width), nn.ReLU(),
        nn.Linear(2 * width, width), nn.Sigmoid(),
    )  # fmt: skip


def _decoder(width: int, attributes: int) -> nn.Sequential:
    return _initialised(
        nn.Linear(width, attributes), nn.ReLU(), nn.Linear(attributes, attributes), nn.ReLU()
    )


def _initialised(*layers: nn.Module) -> nn.Sequential:
    for layer in layers:
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=DEVIATION)
            nn.init.zeros_(layer.bias)
    return nn.Sequential(*layers)
