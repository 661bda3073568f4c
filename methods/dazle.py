"""DAZLE: Huynh and Elhamifar, "Fine-Grained Generalized Zero-Shot Learning via Dense
Attribute-Based Attention", CVPR 2020; code hbdat/cvpr20_DAZLE at e5a0460.

| point | paper | released code | here |
|---|---|---|---|
| backbone | - | ResNet-101, 7 x 7, extracted before | any that ends in a map; frozen |
| words | - | word2vec, unit rows at the start, trained | the same |
| words, in every pass | - | as they are; AwA2 unit again | `unit_words` |
| W1, W2, W3 | - | N(0, 1), 0, 0 | the same |
| attention over attributes | - | CUB, AwA2; none on SUN | `gate` |
| cross-entropy | - | over all classes | `cross_entropy`: all |
| +1 for unseen, -1 for seen | - | calibration, test | calibration; the test has gamma |
| weight of self-calibration | - | .1 | `calibration` |
| class attributes below 0 (AwA) | - | 0 | as given |
| batches of 50 | - | shuffled; SUN by classes in turn | shuffled, of 64; presets: of 50 |
| optimiser | - | RMSprop 1e-4, momentum .9 (AwA2 0) | that of all methods here |
| augmentation | - | none | the shared one; presets: none |
| epochs CUB, AwA2, SUN | - | 20, 20, 100 | 12 |
| epoch, gamma | - | best on test | tuning worlds |

"-" is where the paper's text was not at hand. Attributes of unseen classes enter the calibration,
and the cross-entropy where that is over all classes: `calibration=0` and `cross_entropy=seen` leave
them out. The weights of losses are by default the code's for CUB.
"""  # noqa: D205

from typing import ClassVar

import torch
from torch import Tensor, nn

from zslbench.backbones.maps import MapBackbone
from zslbench.method import PublishedRule, TrainSet, option
from zslbench.nn.attributes import WordQueries, calibrated_losses

from ._calibrated import EXTRACTED, CalibratedConfig, CalibratedMethod


class Network(nn.Module):
    """The backbone, the words that look for attributes in its map, and what weighs attributes.

    Args:
        backbone: One that ends in a map.
        words: `[K, E]` word vectors.
        gate: Whether attributes are attended to, too.
        unit_words: Whether words are normalised again in every pass.
    """

    def __init__(
        self, backbone: MapBackbone, words: Tensor, *, gate: bool, unit_words: bool
    ) -> None:
        super().__init__()
        self.backbone = backbone
        width = backbone.width
        self.queries = WordQueries(words, width, uniform=True, unit=unit_words)
        self.gate = nn.Parameter(torch.zeros(words.shape[1], width)) if gate else None

    def forward(self, images: Tensor) -> Tensor:
        """Return attributes `[B, K]`: scores, weighed by p_k = sigmoid(v_k W3 local_k)."""
        scores: Tensor
        more = () if self.gate is None else (self.gate,)
        _, scores, *gates = self.queries(self.backbone(images), *more)
        if gates:
            scores = scores * gates[0].sigmoid()
        return scores


class DAZLE(CalibratedMethod):
    """Words of attributes attend to places of a map, and images to attributes."""

    class Config(CalibratedConfig):
        """Config of DAZLE."""

        presets: ClassVar = {
            "CUB": {**EXTRACTED, "epochs": 20},
            "AWA2": {**EXTRACTED, "unit_words": True, "epochs": 20},
            "SUN": {**EXTRACTED, "gate": False, "epochs": 100},
        }
        gate: bool = option(True, "p", "whether attributes are weighed by a second attention")
        unit_words: bool = option(False, "v", "normalise trained words again in every pass")

    network: Network
    published = PublishedRule(
        epoch="best", gamma=2.0, space="logit", average="class",
        source="released code: epoch of the best H on test; +1 and -1 are in the scores",
    )  # fmt: skip

    def build(self, train: TrainSet) -> nn.Module:
        """Return the network around the backbone."""
        words = torch.from_numpy(train.word_vectors).float()
        config = self.config
        return Network(self.source.build(), words, gate=config.gate, unit_words=config.unit_words)

    def losses(self, images: Tensor, labels: Tensor, class_attributes: Tensor) -> dict[str, Tensor]:
        """Return the cross-entropy and the weighted self-calibration."""
        logits = self.logits(images, torch.cat([class_attributes, self.unseen]))
        seen, config = len(class_attributes), self.config
        return calibrated_losses(logits, labels, seen, config.cross_entropy, config.calibration)

    def logits(self, images: Tensor, class_attributes: Tensor) -> Tensor:
        """Return similarities of predicted and class attributes."""
        return self.compare(self.network(images), class_attributes)

    def look(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return where words attend: their mean, and each attribute's."""
        attention, _ = self.network.queries(self.network.backbone(images))
        return attention.mean(dim=-1), attention
