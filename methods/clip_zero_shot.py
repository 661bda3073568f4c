"""CLIP zero-shot: "Learning Transferable Visual Models From Natural Language Supervision",
Radford et al., ICML 2021 (arXiv 2103.00020); code openai/CLIP. A row of SVIP's Table 1.

| point | paper | released code | here |
|---|---|---|---|
| prompt | "a photo of a {label}." | the same; 80 for ImageNet | `template` around each sentence |
| birds | "..., a type of bird." | the same | write it in `template` |
| several prompts | mean of embeddings | unit vectors, mean, unit | as the code |
| what names a class | its name | curated names | `--descriptions`: names, attributes, a file |
| logits | exp(t) cosine | the same | the same, t as pretrained |
| training | none | none | none: one epoch, no loss |
| calibration | none | none | chosen in the tuning worlds |
| too long a prompt | cut | refused, cut on demand | refused |

It learns nothing here, but its pretraining may have seen unseen classes, images and names alike:
the backbone's pretraining is a column of every table, and `web` is marked.
"""  # noqa: D205

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from zslbench.arithmetic import PRECISION, autocast, device
from zslbench.backbones.image_text import ImageText
from zslbench.method import Epoch, Method, MethodConfig, Need, PublishedRule, TrainSet
from zslbench.nn.images import normalise
from zslbench.nn.sentences import TEMPLATE, ensemble

from ._prompts import SENTENCES, cosine_logits, sentences_of

BATCH = 128


class Config(MethodConfig):
    """Config of CLIP zero-shot."""

    class_attributes: Literal["sentences"] = SENTENCES  # type: ignore[assignment]
    template: str = TEMPLATE


class ClipZeroShot(Method):
    """Scaled cosines of an image and the prompts of each class."""

    Config = Config
    needs: ClassVar[frozenset[Need]] = frozenset({"images", "descriptions"})
    ending = "pair"
    deterministic = True
    precision: ClassVar[str] = PRECISION
    published = PublishedRule(source="SVIP, Table 1: nothing to choose, no calibration")
    pair: ImageText

    def setup(self, train: TrainSet) -> None:
        """Build the pair, as pretrained."""
        if train.backbone is None:
            raise ValueError("CLIP needs a backbone")
        self.source = train.backbone
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.pair = self.source.build().to(device()).eval()

    def fit(self, prepared: TrainSet, after: Mapping[str, Any] | None = None) -> Iterator[Epoch]:
        """Learn nothing."""
        self.setup(prepared)
        yield Epoch(1)

    def scores(self, batch: NDArray[Any], class_attributes: NDArray[Any]) -> NDArray[np.floating]:
        """Return `[b, C]` logits for the classes whose sentences are given."""
        texts, owners = sentences_of(class_attributes)
        found = []
        with torch.inference_mode(), autocast():
            prompts = [self.config.template.format(text) for text in texts]
            pooled = self.pair.sentence_features(prompts)
            classes = ensemble(pooled, owners.to(pooled.device), len(class_attributes))
            for first in range(0, len(batch), BATCH):
                images = normalise(batch[first : first + BATCH], self.source)
                features = self.pair.image_features(images).pooled
                found.append(cosine_logits(features, classes, self.pair.logit_scale).cpu().numpy())
        return np.concatenate(found)
