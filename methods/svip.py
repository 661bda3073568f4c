"""SVIP: Chen et al., "Semantically Contextualized Visual Patches for Zero-Shot Learning",
ICCV 2025 (arXiv 2503.10252).

| point | paper | released code | here |
|---|---|---|---|
| patch target r (Eq. 4, 6) | in [0, 1], not normalised | top-M 0, rest 1 | `target`: top-M 1 |
| aggregation (Eq. 4) | W + W T, heads summed | rollout, heads averaged | `aggregation`: rollout |
| P2A in pass 1 | Alg. 1: of input patches; Eq. 10: of final ones | final | final |
| word vectors | GloVe; e "initialised from" them | word2vec, summed, raw; two layers learn | unit |
| | | | means of any table, two layers learn; `--words sum:FILE` is the code's |
| optimiser | SGD (Alg. 1) | Adam made anew each epoch | AdamW, warm-up, cosine |
| heads first | not said | yes | `frozen_epochs`: 0 |
| calibration | not mentioned | best on test | chosen in the tuning worlds |
| 2 x 2 pooling of scores | 2 x 2 blocks | four in raster order | 2 x 2 blocks |
| selection in training | Eq. 8 classifier, Alg. 1 attention | attention | `selection`: attention |
| selection of pass 2, and at test | the same; classifier | by mean token; all 49 | as the paper |
| e (Eq. 7, 9) | added to unselected patches | the same, layout scrambled | added, in layout |
| pooling (Eq. 10) | max over the selected | mean | `pooling`: max |
| logits (Eq. 11) | cosine, sigma 5 | dot, scale 5 | `logits`, `scale`: cosine 20 |
| L_JSD (Eq. 13) | half the Jeffreys divergence | one-way KL, T = 20 | `consistency`, T = 1 |
| other losses | none | attribute decorrelation | none |
| M; lambda2 on CUB, AwA2, SUN | 40 (CUB); 3 | 40, 45, 45; 3, 4, 3 | 40; 3; to be set |
| patch classifier | an MLP | 512 hidden, on merged patches | the same, without positions; |
| | | | its loss reaches the patch embedding too |
| augmentation, epochs | not said | flips (CUB); 30 | the shared ones |
| 196 to 49 tokens | "aggregated 2 x 2" | at both ends, blocks run on all | `merge` |

Rows of the paper's Table 2 by switches:

| row | what the paper says | switch |
|---|---|---|
| w/o SSPS | e is applied "indiscriminately" | `selection=random` (M patches drawn) or `all` |
| w/o PSC | unselected patches are removed | `unselected=drop` |
| w/o JSD | without L_JSD | `lambda1=0` |
| w/o W2P | e is randomly initialised | `embedding=random` (and learnt) |
| w/o P2A | the class token predicts attributes | `pooling=class_token` |

A drawn selection is drawn anew in each step of training; to score, one draw serves all images, so
that no score depends on the rest of a batch.

True cosine with sigma 5 can hardly be trained (on CUB no attribute vector reaches a cross-entropy
below 2.6 nats), so the scale is 20 where logits are cosines.
"""  # noqa: D205

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from zslbench.backbones.vit import OpenViT
from zslbench.method import PublishedCurve, PublishedRule, TrainSet, hyper, option, weight
from zslbench.method.trained import TrainedConfig, TrainedMethod
from zslbench.nn.attention import Aggregation, ClassRow
from zslbench.nn.losses import Consistency, consistency
from zslbench.nn.patches import mean_blocks, merge_blocks

HIDDEN = 512


class Network(nn.Module):
    """The backbone and what SVIP adds to it.

    With a grid of 14 the N patches are 2 x 2 blocks of the backbone's, with one of 7 they are the
    backbone's own. A patch is a vector of D' = slots x D.

    Args:
        backbone: A ViT of width D.
        words: `[K, E]` word vectors, a constant.
        merge: `input` merges before the blocks (means), `output` at both ends (concatenation).
        embedding: `words` makes e from word vectors (Eq. 7), `random` learns it from a random draw.
        pooling: Where `class_token`, the head reads that instead of patches.
    """

    words: Tensor

    def __init__(
        self, backbone: OpenViT, words: Tensor, merge: str, embedding: str, pooling: str
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.merge = merge if backbone.grid > 7 else "none"
        self.slots = 4 if self.merge == "output" else 1
        width = self.slots * backbone.width
        self.register_buffer("words", words)
        self.patch_classifier = nn.Sequential(
            nn.Linear(width, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1)
        )
        if embedding == "words":
            self.word_to_width = nn.Linear(words.shape[1], backbone.width)
            self.attributes_to_slots = nn.Linear(len(words), self.slots)
        else:
            self.random_patch = nn.Parameter(0.02 * torch.randn(width))
        read = backbone.width if pooling == "class_token" else width
        self.to_attributes = nn.Linear(read, len(words))

    def merged(self, patches: Tensor) -> Tensor:
        """Return the backbone's patches `[B, N', D]` as `[B, N, D']`."""
        if self.merge == "input":
            return mean_blocks(patches)
        return merge_blocks(patches) if self.merge == "output" else patches

    def embed(self, images: Tensor) -> Tensor:
        """Return the patches that are selected among, `[B, N, D']` (v in Eq. 5)."""
        return self.merged(self.backbone.embed(images))

    def patch_logits(self, patches: Tensor) -> Tensor:
        """Eq. 5 before the sigmoid: `[B, N]`, high where a patch is related to attributes."""
        logits: Tensor = self.patch_classifier(patches).squeeze(-1)
        return logits

    def word_patch(self) -> Tensor:
        """Eq. 7: e `[D']` from the word vectors, slot by slot."""
        if not hasattr(self, "word_to_width"):
            return self.random_patch
        by_attribute = self.word_to_width(self.words)
        slots: Tensor = self.attributes_to_slots(by_attribute.T).T
        return slots.reshape(-1)

    def encode(
        self, patches: Tensor, row: ClassRow | None = None, kept: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Run the blocks on all patches, or on those kept: class token `[B, D]`, patches final."""
        positions = self.merged(self.backbone.patch_positions).expand_as(patches)
        if kept is not None:
            patches, positions = take(patches, kept), take(positions, kept)
        b, n, width = patches.shape
        parts = (b, n * self.slots, width // self.slots)
        tokens = self.backbone.tokens(patches.reshape(parts), positions.reshape(parts))
        final = self.backbone.encode(tokens, row)
        return final[:, 0], final[:, 1:].reshape(b, n, width)

    def patch_scores(self, row: ClassRow) -> Tensor:
        """Return the aggregated attention of the patches that are selected among, `[B, N]`."""
        scores = row.patches()
        return scores.reshape(len(scores), -1, self.slots).mean(dim=-1)


class SVIP(TrainedMethod):
    """Patches chosen by aggregated attention; the others carry what the attributes are called."""

    class Config(TrainedConfig):
        """Config of SVIP."""

        M: int = hyper(40, "M", "patches kept as semantic, of 49", 1, 48)
        lambda1: float = weight(1.0, "lambda_1", "weight of L_JSD (Eq. 14)")
        lambda2: float = weight(3.0, "lambda_2", "weight of L_patch (Eq. 14)")
        target: Literal["topm", "minmax", "rank"] = option(
            "topm", "r", "what the patch classifier learns (Eq. 6)"
        )
        aggregation: Aggregation = option("rollout", "W^L", "attention over the layers (Eq. 4)")
        selection: Literal["attention", "classifier", "random", "all"] = option(
            "attention", "S_M", "what patches are selected by in training (Eq. 8)"
        )
        unselected: Literal["contextualise", "drop"] = option(
            "contextualise", "PSC", "what becomes of the other patches (Eq. 9)"
        )
        embedding: Literal["words", "random"] = option(
            "words", "e", "what the semantic patch is made of (Eq. 7)"
        )
        consistency: Consistency = option(
            "half_jeffreys", "L_JSD", "divergence of the two passes (Eq. 13)"
        )
        pooling: Literal["max", "mean", "class_token"] = option(
            "max", "MaxPool", "how patches, or what else, give attributes (Eq. 10)"
        )
        merge: Literal["input", "output"] = option("output", "2 x 2", "where 196 patches become 49")

    keeps = True
    network: Network
    needs = frozenset({"images", "word_vectors"})
    swept = ("M", "lambda1", "lambda2", "scale")
    # Figure 4, on CUB. M goes to 49 there, which would leave no patch to contextualise.
    published_curves: ClassVar = {
        "M": PublishedCurve(40, (35, 38, 40, 42, 45, 48)),
        "lambda1": PublishedCurve(1.0, (0.1, 0.3, 1.0, 5.0)),
        "lambda2": PublishedCurve(3.0),
        "scale": PublishedCurve(5.0),
    }
    published = PublishedRule(
        epoch="best", gamma="best", space="probability", average="image",
        source="released code, vit_utils.py: best epoch and bias over test, per-image accuracy",
    )  # fmt: skip

    @classmethod
    def misfit(cls, config: Any, grid: int) -> str:
        """Return why M patches cannot be kept of a grid; empty where they can."""
        if grid > 7 and grid % 2:
            return "a grid over 7 x 7 is merged 2 x 2, so it must be even"
        patches = grid**2 if grid <= 7 else (grid // 2) ** 2
        return f"M={config.M}, but there are {patches} patches" if patches < config.M else ""

    def build(self, train: TrainSet) -> nn.Module:
        """Return the network around the backbone."""
        config, words = self.config, torch.from_numpy(train.word_vectors).float()
        backbone = self.source.build()
        return Network(backbone, words, config.merge, config.embedding, config.pooling)

    @property
    def selects(self) -> bool:
        """Whether patches are selected by what is in them (SSPS)."""
        return self.config.selection in ("attention", "classifier")

    def losses(self, images: Tensor, labels: Tensor, class_attributes: Tensor) -> dict[str, Tensor]:
        """Algorithm 1: two passes and the three terms of Eq. 14, weighted."""
        config, network = self.config, self.network
        patches, row = network.embed(images), ClassRow(config.aggregation)
        first = network.encode(patches, row if self.selects else None)
        if self.selects:
            patch_logits, scores = network.patch_logits(patches), network.patch_scores(row)
            chosen = top(scores if config.selection == "attention" else patch_logits, config.M)
        else:
            chosen = self._drawn(patches, torch.rand(patches.shape[:2], device=patches.device))
        del row  # every layer's attention, not needed by the second pass
        one = self._classify(*first, chosen, class_attributes)
        two = self._second_pass(patches, chosen, class_attributes)
        losses = {
            "classes": cross_entropy(one, labels) + cross_entropy(two, labels),
            "consistency": config.lambda1 * consistency(one, two, config.consistency),
        }
        if self.selects:
            target = patch_targets(scores, config.target, config.M)
            bce = binary_cross_entropy_with_logits(patch_logits.float(), target)
            losses["patches"] = config.lambda2 * bce
        return losses

    def logits(self, images: Tensor, class_attributes: Tensor) -> Tensor:
        """Inference: the patch classifier alone selects, one pass over contextualised patches."""
        patches = self.network.embed(images)
        _, chosen = self._select(patches)
        return self._second_pass(patches, chosen, class_attributes)

    def _select(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Return the score of each patch `[B, N]` to select by at inference, and which are."""
        if self.selects:
            logits = self.network.patch_logits(patches)
            return logits, top(logits, self.config.M)
        one_draw = torch.rand(patches.shape[1], generator=torch.Generator().manual_seed(self.seed))
        chosen = self._drawn(patches, one_draw.to(patches.device).expand(patches.shape[:2]))
        return chosen.float(), chosen

    def _drawn(self, patches: Tensor, draw: Tensor) -> Tensor:
        """Return M patches drawn, or all of them, as a mask `[B, N]`."""
        every = self.config.selection == "all"
        return top(draw, patches.shape[1] if every else self.config.M)

    def _second_pass(self, patches: Tensor, chosen: Tensor, class_attributes: Tensor) -> Tensor:
        return self._classify(*self._encode_chosen(patches, chosen), class_attributes)

    def _encode_chosen(self, patches: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return class token, final patches and which of them count, of contextualised patches."""
        if self.config.unselected == "drop":
            class_token, final = self.network.encode(patches, kept=chosen)
            return class_token, final, torch.ones_like(final[..., 0], dtype=torch.bool)
        return *self.network.encode(self._contextualise(patches, chosen)), chosen

    def _contextualise(self, patches: Tensor, chosen: Tensor) -> Tensor:
        """Eq. 9: add e to the patches that were not chosen; to all where there is no choice."""
        others = torch.ones_like(chosen) if self.config.selection == "all" else ~chosen
        return patches + others[..., None] * self.network.word_patch()

    def _classify(
        self, class_token: Tensor, final: Tensor, chosen: Tensor, class_attributes: Tensor
    ) -> Tensor:
        """Eq. 10 and 11: attributes localised in the chosen patches, compared with classes."""
        config, head = self.config, self.network.to_attributes
        if config.pooling == "class_token":
            pooled = head(class_token)
        elif config.pooling == "max":
            pooled = head(final).masked_fill(~chosen[..., None], -torch.inf).amax(dim=1)
        else:
            pooled = (head(final) * chosen[..., None]).sum(dim=1) / chosen.sum(dim=1, keepdim=True)
        return self.compare(pooled, class_attributes)

    def look(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return r of Eq. 5, the patches it keeps, and the attributes seen in each (Eq. 10)."""
        patches = self.network.embed(images)
        scores, chosen = self._select(patches)
        if self.config.pooling == "class_token":
            return scores, chosen
        _, final, counted = self._encode_chosen(patches, chosen)
        seen = self.network.to_attributes(final).masked_fill(~counted[..., None], -torch.inf)
        maps = seen.new_full((*chosen.shape, seen.shape[-1]), -torch.inf)
        places = chosen if self.config.unselected == "drop" else torch.ones_like(chosen)
        maps[places] = seen.flatten(0, 1)
        return scores, chosen, maps


def top(scores: Tensor, count: int) -> Tensor:
    """Return a mask `[B, N]` of the `count` highest scores of each image (Eq. 8)."""
    chosen = torch.zeros_like(scores, dtype=torch.bool)
    return chosen.scatter_(1, scores.topk(count, dim=1).indices, True)


def take(patches: Tensor, kept: Tensor) -> Tensor:
    """Return the kept patches of each image, as many of each: `[B, M, D]`, in their order."""
    return patches[kept].reshape(len(patches), -1, patches.shape[-1])


def patch_targets(scores: Tensor, how: str, count: int) -> Tensor:
    """Return the classifier's targets `[B, N]` in [0, 1] from aggregated attention."""
    if how == "topm":
        return top(scores, count).float()
    if how == "rank":
        return scores.argsort(dim=1).argsort(dim=1).float() / (scores.shape[1] - 1)
    low, high = scores.amin(dim=1, keepdim=True), scores.amax(dim=1, keepdim=True)
    return (scores - low) / (high - low).clamp_min(1e-12)
