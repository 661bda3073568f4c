"""ZeroMamba: Hou et al., "ZeroMamba: Exploring Visual State Space Model for Zero-Shot Learning",
AAAI 2025 (arXiv 2408.14868); code DingjieFu/ZeroMamba at 31f77ed.

| point | paper | released code | here |
|---|---|---|---|
| backbone | Vision Mamba, fine-tuned | VMamba-S, drop path .3 | any that ends in a map; none |
| SLP: V | "semantic embeddings" | word2vec, rows unit, trained | any, unit, trained |
| SLP: attention | - | softmax over places of v W1 f, f unit | the same |
| SLP: score | - | v W2 of the mean of f that attention weighs | the same |
| SLP: W1, W2 | - | drawn from N(0, 1) | the same |
| GRL | "global representations" | linear, on the 1000 logits | `grl`: pooled `features` |
| SeF | fuses both | two layers without bias, unit, added | the same; `sef=False`: unit, added |
| semantic constraint | yes, weight not known | mean L1; CUB 1, SUN .2, AwA2 0 | `semantic` 1 |
| matching | cosine | dot with unit class attributes, no scale | `logits`, `scale`: dot, 1 |
| input | - | 448 px | the backbone's size |
| optimiser | - | SGD in steps, three rates | that of all methods here |
| rate of SLP | - | the backbone's | that of new parameters |
| order of images | - | as filed, never shuffled | shuffled |
| epoch, gamma | - | best on test (T1 and H apart), by hand per dataset | tuning worlds |

"-" is where the paper's text was not at hand. `parts` is the ablation: `local` is SLP (with SeF)
alone, `global` is GRL alone, that is, a linear attribute head on the pooled map. The local part has
length 1, so that without GRL, which may grow, logits stay within `scale`: raise it there.
"""  # noqa: D205

from typing import Any, Literal

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, l1_loss, normalize

from zslbench.backbones.maps import MapBackbone
from zslbench.method import PublishedRule, TrainSet, View, hyper, option, weight
from zslbench.method.trained import Comparison, TrainedConfig, TrainedMethod
from zslbench.nn.attributes import WordQueries

HIDDEN = 512


class Network(nn.Module):
    """The backbone with SLP, GRL and SeF.

    Args:
        backbone: One that ends in a map.
        words: `[K, E]` word vectors.
        config: Of the method.
    """

    def __init__(self, backbone: MapBackbone, words: Tensor, config: Any) -> None:
        super().__init__()
        self.backbone, self.config = backbone, config
        attributes = len(words)
        if config.parts != "global":
            self.slp = WordQueries(words, backbone.width, uniform=False, unit=True)
            if config.sef:
                self.sef = nn.Sequential(
                    nn.Linear(attributes, HIDDEN, bias=False), nn.ReLU(),
                    nn.Linear(HIDDEN, attributes, bias=False),
                )  # fmt: skip
        if config.parts != "local":
            on_logits = config.grl == "logits"
            inputs = backbone.classifier_head.out_features if on_logits else backbone.width
            self.grl = nn.Linear(inputs, attributes, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return predicted attributes `[B, K]`."""
        found: Tensor = self.backbone(images)
        parts = []
        if self.config.parts != "local":
            parts.append(self.grl(self._whole(found)))
        if self.config.parts != "global":
            _, scores = self.slp(found)
            parts.append(normalize(self.sef(scores) if self.config.sef else scores, dim=-1))
        return torch.stack(parts).sum(dim=0)

    def _whole(self, found: Tensor) -> Tensor:
        pooled = self.backbone.pool(found)
        return self.backbone.classifier_head(pooled) if self.config.grl == "logits" else pooled


class ZeroMamba(TrainedMethod):
    """Local attributes that words find in a state-space network's map, added to global ones."""

    class Config(TrainedConfig):
        """Config of ZeroMamba."""

        logits: Comparison = option("dot", "f A", "how predicted and class attributes are compared")
        scale: float = hyper(1.0, "sigma", "scale of logits", 0.1, 1e3, log=True)
        semantic: float = weight(1.0, "lambda_SC", "weight of the semantic constraint")
        grl: Literal["features", "logits"] = option(
            "features", "GRL", "what global attributes are read from"
        )
        parts: Literal["both", "local", "global"] = option(
            "both", "SLP, GRL", "attributes of patches, of the whole image, or both"
        )
        sef: bool = option(True, "SeF", "whether two layers refine the local attributes")

    version = 2  # a frozen backbone keeps its batch statistics
    network: Network
    needs = frozenset({"images", "word_vectors"})
    ending = "map"
    published = PublishedRule(
        epoch="best", gamma="best", space="probability", average="class",
        source="released code, train.py: best epochs on test; README: gamma by hand per dataset",
    )  # fmt: skip

    def build(self, train: TrainSet) -> nn.Module:
        """Return the network around the backbone."""
        words = torch.from_numpy(train.word_vectors).float()
        return Network(self.source.build(), words, self.config)

    def losses(self, images: Tensor, labels: Tensor, class_attributes: Tensor) -> dict[str, Tensor]:
        """Return the cross-entropy and the weighted semantic constraint."""
        predicted = self.network(images)
        constraint = l1_loss(predicted.float(), class_attributes[labels])
        return {
            "classes": cross_entropy(self.compare(predicted, class_attributes), labels),
            "semantic": self.config.semantic * constraint,
        }

    def logits(self, images: Tensor, class_attributes: Tensor) -> Tensor:
        """Return similarities of predicted and class attributes."""
        return self.compare(self.network(images), class_attributes)

    def view(self, batch: NDArray[Any]) -> View | None:
        """Return where words attend: each attribute's, and their mean; None without SLP."""
        if self.config.parts == "global":
            return None

        def attention(images: Tensor) -> tuple[Tensor]:
            found, _ = self.network.slp(self.network.backbone(images))
            return (found,)

        (maps,) = self.piecewise(batch, attention)
        return View(maps.mean(axis=-1), attributes=maps)
