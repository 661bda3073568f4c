"""SVIP: Chen et al., "Semantically Contextualized Visual Patches for Zero-Shot Learning",
ICCV 2025 (arXiv 2503.10252).

| point | paper | released code | here |
|---|---|---|---|
| patch target r (Eq. 4, 6) | in [0, 1], not normalised | top-M 0, rest 1 | `target`: top-M 1 |
| aggregation (Eq. 4) | W + W T, heads summed | rollout, heads averaged | `aggregation`: rollout |
| 2 x 2 pooling of scores | 2 x 2 blocks | four in raster order | 2 x 2 blocks |
| selection in training | Eq. 8 classifier, Alg. 1 attention | attention | `selection`: attention |
| selection of pass 2, and at test | the same; classifier | by mean token; all 49 | as the paper |
| e (Eq. 7, 9) | added to unselected patches | the same, layout scrambled | added, in layout |
| pooling (Eq. 10) | max over the selected | mean | `pooling`: max |
| logits (Eq. 11) | cosine, sigma 5 | dot, scale 5 | `logits`, `scale`: cosine 20 |
| L_JSD (Eq. 13) | half the Jeffreys divergence | one-way KL, T = 20 | `consistency` |
| other losses | none | attribute decorrelation | none |
| 196 to 49 tokens | "aggregated 2 x 2" | at both ends, blocks run on all | `merge` |

True cosine with sigma 5 can hardly be trained (on CUB no attribute vector reaches a cross-entropy
below 2.6 nats), so the scale is 20 where logits are cosines.
"""  # noqa: D205

from typing import Any, Literal

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from zslbench.backbones.vit import OpenViT
from zslbench.method import PublishedRule, TrainSet, View, hyper
from zslbench.nn.attention import Aggregation, ClassRow
from zslbench.nn.losses import Consistency, consistency
from zslbench.nn.patches import mean_blocks, merge_blocks, split_blocks
from zslbench.training import TrainedConfig, TrainedMethod, class_logits

HIDDEN = 512


class Network(nn.Module):
    """The backbone and what SVIP adds to it.

    Args:
        backbone: A ViT; with a grid of 14 its tokens are merged 2 x 2, with one of 7 they are not.
        words: `[K, E]` word vectors, a constant.
        merge: `input` merges before the blocks (means), `output` at both ends (concatenation).
    """

    words: Tensor

    def __init__(self, backbone: OpenViT, words: Tensor, merge: str) -> None:
        super().__init__()
        self.backbone = backbone
        self.merge = merge if backbone.grid > 7 else "none"
        slots = 4 if self.merge == "output" else 1
        width = slots * backbone.width
        self.register_buffer("words", words)
        self.patch_classifier = nn.Sequential(
            nn.Linear(width, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1)
        )
        self.word_to_width = nn.Linear(words.shape[1], backbone.width)
        self.attributes_to_slots = nn.Linear(len(words), slots)
        self.patch_to_attributes = nn.Linear(width, len(words))

    def embed(self, images: Tensor) -> Tensor:
        """Return the patches that are selected among, `[B, N, D']` (v in Eq. 5)."""
        patches = self.backbone.embed(images)
        if self.merge == "input":
            return mean_blocks(patches)
        return merge_blocks(patches) if self.merge == "output" else patches

    def patch_logits(self, patches: Tensor) -> Tensor:
        """Eq. 5 before the sigmoid: `[B, N]`, high where a patch is related to attributes."""
        logits: Tensor = self.patch_classifier(patches).squeeze(-1)
        return logits

    def word_patch(self) -> Tensor:
        """Eq. 7: e `[D']` from the word vectors, slot by slot."""
        by_attribute = self.word_to_width(self.words)
        slots: Tensor = self.attributes_to_slots(by_attribute.T).T
        return slots.reshape(-1)

    def encode(self, patches: Tensor, row: ClassRow | None = None) -> Tensor:
        """Run the blocks; return final patch tokens `[B, N, D']`."""
        backbone = self.backbone
        if self.merge == "input":
            tokens = backbone.tokens(patches, mean_blocks(backbone.patch_positions))
        else:
            tokens = backbone.tokens(split_blocks(patches) if self.merge == "output" else patches)
        final = backbone.encode(tokens, row)[:, 1:]
        return merge_blocks(final) if self.merge == "output" else final

    def patch_scores(self, row: ClassRow) -> Tensor:
        """Return the aggregated attention of the patches that are selected among, `[B, N]`."""
        scores = row.patches()
        return mean_blocks(scores[..., None])[..., 0] if self.merge == "output" else scores


class SVIP(TrainedMethod):
    """Patches chosen by aggregated attention; the others carry what the attributes are called."""

    class Config(TrainedConfig):
        """Config of SVIP."""

        M: int = hyper(40, low=1, high=48, symbol="M", doc="patches kept as semantic, of 49")
        lambda1: float = hyper(
            1.0, low=0.0, high=100.0, log=True, symbol="lambda_1", doc="weight of L_JSD (Eq. 14)"
        )
        lambda2: float = hyper(
            3.0, low=0.0, high=100.0, log=True, symbol="lambda_2", doc="weight of L_patch (Eq. 14)"
        )
        target: Literal["topm", "minmax", "rank"] = "topm"
        aggregation: Aggregation = "rollout"
        selection: Literal["attention", "classifier"] = "attention"
        consistency: Consistency = "half_jeffreys"
        pooling: Literal["max", "mean"] = "max"
        merge: Literal["input", "output"] = "output"

    network: Network
    needs = frozenset({"images", "word_vectors"})
    published = PublishedRule(
        epoch="best", gamma="best", space="probability", average="image",
        source="released code, vit_utils.py: best epoch and bias over test, per-image accuracy",
    )  # fmt: skip

    def build(self, train: TrainSet) -> nn.Module:
        """Return the network around the backbone."""
        words = torch.from_numpy(train.word_vectors).float()
        return Network(self.source.build(), words, self.config.merge)

    def losses(self, images: Tensor, labels: Tensor, class_attributes: Tensor) -> dict[str, Tensor]:
        """Algorithm 1: two passes and the three terms of Eq. 14, weighted."""
        config, network = self.config, self.network
        patches = network.embed(images)
        patch_logits, row = network.patch_logits(patches), ClassRow(config.aggregation)
        final = network.encode(patches, row)
        scores = network.patch_scores(row)
        chosen = top(scores if config.selection == "attention" else patch_logits, config.M)
        one = self._classify(final, chosen, class_attributes)
        two = self._classify(
            network.encode(self._contextualise(patches, chosen)), chosen, class_attributes
        )
        target = patch_targets(scores, config.target, config.M)
        return {
            "classes": cross_entropy(one, labels) + cross_entropy(two, labels),
            "consistency": config.lambda1 * consistency(one, two, config.consistency),
            "patches": config.lambda2
            * binary_cross_entropy_with_logits(patch_logits.float(), target),
        }

    def logits(self, images: Tensor, class_attributes: Tensor) -> Tensor:
        """Inference: the patch classifier alone selects, one pass over contextualised patches."""
        _, chosen, final = self._infer(images)
        return self._classify(final, chosen, class_attributes)

    def _infer(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return patch logits `[B, N]`, the patches they choose, and the final patch tokens."""
        patches = self.network.embed(images)
        logits = self.network.patch_logits(patches)
        chosen = top(logits, self.config.M)
        return logits, chosen, self.network.encode(self._contextualise(patches, chosen))

    def _contextualise(self, patches: Tensor, chosen: Tensor) -> Tensor:
        """Eq. 9: add e to the patches that were not chosen."""
        return patches + (~chosen)[..., None] * self.network.word_patch()

    def _classify(self, final: Tensor, chosen: Tensor, class_attributes: Tensor) -> Tensor:
        """Eq. 10 and 11: attributes localised in the chosen patches, compared with classes."""
        predicted = self.network.patch_to_attributes(final)
        if self.config.pooling == "max":
            pooled = predicted.masked_fill(~chosen[..., None], -torch.inf).amax(dim=1)
        else:
            pooled = (predicted * chosen[..., None]).sum(dim=1) / self.config.M
        return class_logits(pooled, class_attributes, self.config.logits, self.config.scale)

    def view(self, batch: NDArray[Any]) -> View:
        """Return r of Eq. 5, the patches it keeps, and the attributes seen in each (Eq. 10)."""

        def look(images: Tensor) -> tuple[Tensor, ...]:
            logits, chosen, final = self._infer(images)
            attributes = self.network.patch_to_attributes(final)
            return logits, chosen, attributes.masked_fill(~chosen[..., None], -torch.inf)

        patches, kept, attributes = self.piecewise(batch, look)
        return View(patches, kept > 0, attributes)


def top(scores: Tensor, count: int) -> Tensor:
    """Return a mask `[B, N]` of the `count` highest scores of each image (Eq. 8)."""
    chosen = torch.zeros_like(scores, dtype=torch.bool)
    return chosen.scatter_(1, scores.topk(count, dim=1).indices, True)


def patch_targets(scores: Tensor, how: str, count: int) -> Tensor:
    """Return the classifier's targets `[B, N]` in [0, 1] from aggregated attention."""
    if how == "topm":
        return top(scores, count).float()
    if how == "rank":
        return scores.argsort(dim=1).argsort(dim=1).float() / (scores.shape[1] - 1)
    low, high = scores.amin(dim=1, keepdim=True), scores.amax(dim=1, keepdim=True)
    return (scores - low) / (high - low).clamp_min(1e-12)
