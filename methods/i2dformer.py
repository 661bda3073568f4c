"""I2DFormer: Naeem et al., "I2DFormer: Learning Image to Document Attention for Zero-Shot Image
Classification", NeurIPS 2022 (arXiv 2209.10304).

| point | paper | released code | here |
|---|---|---|---|
| image tokens | frozen ViT-B/16 | the same | the image tower of the pair, frozen |
| document | of an encyclopedia | not shipped | `--descriptions`, a class's sentences in a row |
| its tokens | GloVe of its words | 300 numbers each | the text tower's, frozen |
| image network | D-512-64 | LayerNorm, ReLU, dropout 0.5 | the same, `hidden`, `width` |
| document network | the same, a transformer | depth 2, 4 heads of 192 | `depth`, 4 heads of r / 4 |
| global score | class token . document token | the same | the same |
| local score | patches attend to words | softmax / 8, pooled, linear | the same |
| loss | cross-entropy of both over seen documents | the same | the same, `lambda_local` |
| optimiser | Adam 1e-3, batch 16 | the same | AdamW 1e-3, the shared schedule |
| augmentation | crops, flips, colours | the same | the shared one |
| score at test | global | global | global |
| calibration | bias of unseen probabilities | best on test | the same in `published` |

Released code was read for facts alone; it does not run as it is.
"""  # noqa: D205

from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from zslbench.backbones.image_text import ImageText
from zslbench.method import Method, MethodConfig, Need, PublishedRule, TrainSet
from zslbench.method.settings import count, hyper, weight
from zslbench.method.trained import LoopSettings, TrainedMethod

from ._prompts import SENTENCES, sentences_of


class Config(LoopSettings, MethodConfig):
    """Config of I2DFormer."""

    class_attributes: Literal["sentences"] = SENTENCES  # type: ignore[assignment]
    hidden: int = count(512, "h", "hidden units of both networks")
    width: int = hyper(64, "r", "width that images and documents share", 8, 1024, log=True)
    depth: int = hyper(2, "depth", "transformer blocks over a document", 1, 12)
    dropout: float = hyper(0.5, "p", "dropout of both networks", 0.0, 0.9)
    lambda_local: float = weight(1.0, "lambda", "weight of the local loss")
    backbone_lr: float = hyper(0.0, "eta_b", "0: it stays frozen", 0.0, 0.0)


class Projection(nn.Sequential):
    """From a tower's tokens `[..., D]` to the shared width `[..., r]`."""

    def __init__(self, size: int, config: Any) -> None:
        super().__init__(
            nn.Linear(size, config.hidden), nn.LayerNorm(config.hidden), nn.ReLU(),
            nn.Dropout(config.dropout), nn.Linear(config.hidden, config.width),
        )  # fmt: skip


class Network(nn.Module):
    """A frozen pair, and what brings its images and documents together."""

    def __init__(self, backbone: ImageText, config: Any) -> None:
        from timm.models.vision_transformer import Block

        super().__init__()
        self.backbone = backbone.requires_grad_(False)
        self.images, self.documents = (Projection(backbone.width, config) for _ in range(2))
        self.document_token = nn.Parameter(0.02 * torch.randn(config.width))
        self.blocks = nn.ModuleList(Block(config.width, num_heads=4) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width)
        self.local = nn.Linear(config.width, 1)

    def read(self, table: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return documents `[C, r]`, their words `[C, T, r]`, and which are there `[C, T]`.

        Args:
            table: `[C, T, D]` tokens, zeros where a document is shorter than others.
        """
        there = table.any(dim=-1)
        words = self.documents(table)
        tokens = torch.cat([self.document_token.expand(len(words), 1, -1), words], dim=1)
        mask = nn.functional.pad(there, (1, 0), value=True)[:, None, None]
        for block in self.blocks:
            tokens = block(tokens, attn_mask=mask)
        tokens = self.norm(tokens)
        return tokens[:, 0], tokens[:, 1:], there

    def local_scores(self, patches: Tensor, words: Tensor, there: Tensor) -> Tensor:
        """Return `[B, C]`: what patches `[B, N, r]` find in the words of each document."""
        attention = torch.einsum("bnr,ctr->bcnt", patches, words) / words.shape[-1] ** 0.5
        attention = attention.masked_fill(~there[None, :, None], -torch.inf).softmax(dim=-1)
        found = torch.einsum("bcnt,ctr->bcr", attention, words) / patches.shape[1]
        scores: Tensor = self.local(found)[..., 0]
        return scores


class I2DFormer(TrainedMethod):
    """Images and documents compared as wholes, and patch by word in training."""

    Config = Config
    network: Network
    needs: ClassVar[frozenset[Need]] = frozenset({"images", "descriptions"})
    ending = "pair"
    published = PublishedRule(
        epoch="best", gamma="best", space="probability", source="released code, main script"
    )
    view = Method.view  # patches attend to the words of each class: of no one attribute

    def build(self, train: TrainSet) -> nn.Module:
        """Return the network around the frozen pair."""
        return Network(self.source.build(), self.config)

    @torch.no_grad()
    def table(self, class_attributes: NDArray[Any]) -> Tensor:
        """Return the words `[C, T, D]` of sentences `[C, S]`, zeros where there is none."""
        self.network.backbone.eval()
        texts, owners = sentences_of(class_attributes)
        found = self.network.backbone.text_features(texts)
        documents = [
            torch.cat([found.tokens[i][found.words[i]] for i in np.flatnonzero(owners == c)])
            for c in range(len(class_attributes))
        ]
        return nn.utils.rnn.pad_sequence(documents, batch_first=True).float()

    def encoded(self, images: Tensor) -> Tensor:
        """Return images `[B, 1 + N, r]`: the whole, then patches."""
        with torch.no_grad():
            tokens = self.network.backbone(images)
        return self.network.images(tokens)  # type: ignore[no-any-return]

    def losses(self, images: Tensor, labels: Tensor, class_attributes: Tensor) -> dict[str, Tensor]:
        """Return the cross-entropies of global and local scores over the seen documents."""
        encoded = self.encoded(images)
        documents, words, there = self.network.read(class_attributes)
        local = self.network.local_scores(encoded[:, 1:], words, there)
        return {
            "global": cross_entropy(encoded[:, 0] @ documents.T, labels),
            "local": self.config.lambda_local * cross_entropy(local, labels),
        }

    def logits(self, images: Tensor, class_attributes: Tensor) -> Tensor:
        """Return global scores of images for documents."""
        return self._compare(images, self.network.read(class_attributes)[0])

    def _compare(self, images: Tensor, documents: Tensor) -> Tensor:
        with torch.autocast(images.device.type, enabled=False):
            return self.encoded(images)[:, 0].float() @ documents.float().T

    def scores(self, batch: NDArray[Any], class_attributes: NDArray[Any]) -> NDArray[np.floating]:
        """Return global scores `[b, C]`; the documents `[C, S]` are read once."""
        self.network.eval()
        with torch.inference_mode():
            documents, *_ = self.network.read(self.table(class_attributes))
        (found,) = self.piecewise(batch, lambda images: (self._compare(images, documents),))
        return found
