"""CoOp: "Learning to Prompt for Vision-Language Models", Zhou et al., IJCV 2022 (arXiv 2109.01134);
code KaiyangZhou/CoOp. A row of SVIP's Table 1, which says nothing of how it was trained.

| point | paper | released code | here |
|---|---|---|---|
| prompt | [V]1 ... [V]M [CLASS] | the same and "." | [V]1 ... [V]M, a sentence of the class |
| context | M = 16, shared by all classes | the same; by class on demand | M = 16, shared |
| place of the class name | end, or middle | the same | end |
| first context | N(0, .02), or words | the same | N(0, .02) |
| what names a class | its name | its name | `--descriptions`: names, attributes, a file |
| several sentences | - | - | unit vectors, mean, unit |
| frozen | both towers, scale | the same | the same |
| images | 1 to 16 a class | the same | all training images |
| loss | cross-entropy | the same | the same, over the seen classes |
| optimiser | SGD .002, cosine, a warm-up epoch | the same | AdamW, the shared schedule, `lr` |
| epochs, batch | 50 to 200, 32 | the same | `epochs`, `batch_size` |
| augmentation | crops of .08 to 1, flips | the same | the shared one; `augment=False`: none |
| calibration | none | none | chosen in the tuning worlds |

The columns *paper* and *released code* are from memory of both. With `--descriptions names` the
prompt is the paper's. Context is learnt on seen classes and is known to serve them alone (CoCoOp,
CVPR 2022); gamma may give back part of what unseen classes lose.
"""  # noqa: D205

from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from zslbench.backbones.image_text import ImageText
from zslbench.method import Method, Need, PublishedRule, TrainSet, hyper, option
from zslbench.method.trained import TrainedConfig, TrainedMethod
from zslbench.nn.sentences import ensemble

from ._prompts import SENTENCES, cosine_logits, sentences_of

DEVIATION = 0.02


class Config(TrainedConfig):
    """Config of CoOp."""

    class_attributes: Literal["sentences"] = SENTENCES  # type: ignore[assignment]
    M: int = hyper(16, "M", "context tokens", 1, 64)
    lr: float = hyper(2e-3, "eta", "learning rate", 1e-6, 1.0, log=True)
    weight_decay: float = hyper(5e-4, "wd", "AdamW's", 0.0, 1.0, log=True)
    backbone_lr: float = hyper(0.0, "eta_b", "0: it stays frozen", 0.0, 0.0)
    logits: Literal["cosine"] = option("cosine", "cos", "features are of length 1")
    scale: Literal["pretrained"] = option(  # type: ignore[assignment]
        "pretrained", "1/tau", "scale of the logits: the pair's own"
    )


class Network(nn.Module):
    """A frozen image-text pair, and a context in front of every sentence."""

    def __init__(self, backbone: ImageText, tokens: int) -> None:
        super().__init__()
        self.backbone = backbone.requires_grad_(False)
        self.context = nn.Parameter(DEVIATION * torch.randn(tokens, backbone.text_width))

    def classes(self, table: Tensor) -> Tensor:
        """Return unit vectors `[C, D]` of the token ids `[C, S, L]` of all sentences."""
        pair, present = self.backbone, table.any(dim=-1)
        ids, owners = table[present], torch.nonzero(present)[:, 0]
        ends = pair.ends(ids)
        words = pair.embed(ids[:, : int(ends.max()) + 1])
        context = self.context.expand(len(ids), -1, -1).to(words.dtype)
        prompts = torch.cat([words[:, :1], context, words[:, 1:]], dim=1)
        pooled, _ = pair.encode(prompts, ends + len(self.context))
        return ensemble(pooled, owners, len(table))


class CoOp(TrainedMethod):
    """The words in front of a class's name are learnt, as vectors, on the seen classes."""

    Config = Config
    network: Network
    needs: ClassVar[frozenset[Need]] = frozenset({"images", "descriptions"})
    ending = "pair"
    version = 2
    published = PublishedRule(source="SVIP, Table 1: how its epoch was chosen is not said")
    view = Method.view  # it compares whole images

    def build(self, train: TrainSet) -> nn.Module:
        """Return the network around the frozen pair."""
        return Network(self.source.build(), self.config.M)

    def table(self, class_attributes: NDArray[Any]) -> Tensor:
        """Return the token ids `[C, S, L]` of a class's S sentences; zeros where there is none.

        Raises:
            ZslbenchError: If a sentence and the context are longer than the text tower reads.
        """
        pair = self.network.backbone
        sentences = class_attributes.reshape(len(class_attributes), -1)
        texts, owners = sentences_of(sentences)
        ids = pair.tokenise(texts, spare=self.config.M)
        places = torch.from_numpy(np.nonzero(sentences != "")[1])
        table = ids.new_zeros(*sentences.shape, ids.shape[1])
        table[owners, places] = ids
        return table.to(self.network.context.device)

    def read(self, class_attributes: Tensor) -> Tensor:
        """Return unit vectors `[C, D]` of the classes, of their token ids `[C, S, L]`."""
        return self.network.classes(class_attributes)

    def logits(self, images: Tensor, class_attributes: Tensor) -> Tensor:
        """Return scaled cosines of images and classes `[C, D]`."""
        pair = self.network.backbone
        return cosine_logits(pair.image_features(images).pooled, class_attributes, pair.logit_scale)
