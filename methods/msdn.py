"""MSDN: Chen et al., "MSDN: Mutually Semantic Distillation Network for Zero-Shot Learning",
CVPR 2022 (arXiv 2203.03137); code shiming-chen/MSDN at ec3598b.

| point | paper | released code | here |
|---|---|---|---|
| backbone | ResNet-101, frozen | at 448 px: 14 x 14 places | any with a map; `backbone_lr` 0 |
| places | - | unit vectors | the same |
| words V | GloVe | word2vec, rows unit, then trained raw | any, the same |
| text to image | attention over places | W1 ~ N(0, 1), W2 = 0 | the same |
| image to text | attention over attributes | W1' = W2' = 0: scores start as 0 | the same |
| cross-entropy | over seen classes | of either branch, over all classes | `cross_entropy`: all |
| self-calibration | with the +-1 | the same, of either branch | the same |
| its weight | - | CUB .1, AwA2 .12, SUN .0001 | `calibration` .1, presets |
| distillation | JSD (half Jeffreys), distance | JSD, sum of d^3 over its norm | `consistency`: js |
| its scores | - | with the +-1 | the same |
| its weight | - | CUB .001, AwA2 1e-7, SUN .01 | `distillation` .001, presets |
| scores at the test | a mixture | .9, 1, .7 of text to image; +-1 | `mixing` .9; gamma, no +-1 |
| optimiser | - | RMSprop 1e-4, batches of 50 | that of all methods here; presets: of 50 |
| augmentation | - | none | the shared one; presets: none |
| T1 in its table | - | of runs with another weight of calibration | the same run |
| epoch, gamma | - | best on test, gamma 2 (the +-1) | tuning worlds |

"-" is where the paper's text was not at hand; what its column says is from memory. Unseen class
attributes are in every loss; `cross_entropy=seen` takes them out of the cross-entropy and of the
distillation, `calibration=0` out of the rest.
"""  # noqa: D205

from typing import ClassVar

import torch
from torch import Tensor, nn

from zslbench.backbones.maps import MapBackbone
from zslbench.method import PublishedRule, TrainSet, hyper, option, weight
from zslbench.nn.attributes import Over, WordQueries, calibrated_losses, shifted
from zslbench.nn.losses import Consistency, consistency

from ._calibrated import EXTRACTED, CalibratedConfig, CalibratedMethod


class Network(nn.Module):
    """The backbone and both branches, which share the words.

    Image to text, with unit places f_r and words v_k: a_kr = softmax_k(v_k W2' f_r),
    score_k = sum_r a_kr v_k W1' f_r.

    Args:
        backbone: One that ends in a map.
        words: `[K, E]` word vectors.
    """

    def __init__(self, backbone: MapBackbone, words: Tensor) -> None:
        super().__init__()
        self.backbone = backbone
        self.text = WordQueries(words, backbone.width, uniform=True, unit=False)
        self.attend, self.score = (
            nn.Parameter(torch.zeros(words.shape[1], backbone.width)) for _ in range(2)
        )

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return scores `[B, K]` of either branch, and the attention of the first `[B, N, K]`."""
        found = self.backbone(images)
        attention, scores = self.text(found)
        attend, read = self.text.products(found, self.attend, self.score)
        return scores, (attend.softmax(dim=-1) * read).sum(dim=1), attention


class MSDN(CalibratedMethod):
    """Words look for places and places for words; each branch learns from the other."""

    class Config(CalibratedConfig):
        """Config of MSDN."""

        cross_entropy: Over = option(
            "all", "L_CE", "classes of cross-entropy and distillation; all: unseen ones too"
        )
        distillation: float = weight(0.001, "lambda_distill", "weight of the distillation")
        consistency: Consistency = option("js", "JSD", "divergence within the distillation")
        mixing: float = hyper(0.9, "alpha_1", "share of text to image at the test", 0.0, 1.0)
        presets: ClassVar = {
            "CUB": {
                **EXTRACTED, "calibration": 0.1, "distillation": 0.001, "mixing": 0.9, "epochs": 30,
            },
            "AWA2": {
                **EXTRACTED, "calibration": 0.12, "distillation": 1e-7, "mixing": 1.0, "epochs": 50,
            },
            "SUN": {
                **EXTRACTED, "calibration": 1e-4, "distillation": 0.01, "mixing": 0.7, "epochs": 70,
            },
        }  # fmt: skip

    network: Network
    published = PublishedRule(
        epoch="best", gamma=2.0,
        source="released code, MSDN_{cub,awa2,sun}.py: best epochs on test, +-1 in all scores",
    )  # fmt: skip

    def build(self, train: TrainSet) -> nn.Module:
        """Return the network around the backbone."""
        return Network(self.source.build(), torch.from_numpy(train.word_vectors).float())

    def losses(self, images: Tensor, labels: Tensor, class_attributes: Tensor) -> dict[str, Tensor]:
        """Return both branches' cross-entropy and self-calibration, and the distillation."""
        config, seen = self.config, len(class_attributes)
        table = torch.cat([class_attributes, self.unseen])
        branches = [self.compare(scores, table) for scores in self.network(images)[:2]]
        losses = [
            calibrated_losses(logits, labels, seen, config.cross_entropy, config.calibration)
            for logits in branches
        ]
        known = seen if config.cross_entropy == "seen" else len(table)
        one, other = (shifted(logits, seen)[:, :known] for logits in branches)
        return {
            "classes": losses[0]["classes"] + losses[1]["classes"],
            "calibration": losses[0]["calibration"] + losses[1]["calibration"],
            "distillation": config.distillation * mutual(one, other, config.consistency),
        }

    def logits(self, images: Tensor, class_attributes: Tensor) -> Tensor:
        """Return the mixture of both branches' logits."""
        text, image, _ = self.network(images)
        share = self.config.mixing
        return self.compare(share * text + (1 - share) * image, class_attributes)

    def look(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return where words look: the mean, and each attribute's."""
        maps = self.network(images)[2]
        return maps.mean(dim=-1), maps


def mutual(one: Tensor, other: Tensor, how: Consistency) -> Tensor:
    """Return the distillation of two branches' logits `[B, C]`: distance and divergence.

    The distance is the released code's, sum_c |d_c|^3 / ||d||_2 with the difference d.
    """
    apart = (one - other).abs()
    length = torch.linalg.vector_norm(apart, dim=1).clamp_min(1e-12)
    distance: Tensor = (apart.pow(3).sum(dim=1) / length).mean()
    return distance + consistency(one, other, how)
