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
| local score | patches attend to words | learnt queries, keys, values; mean, linear | the same |
| loss | cross-entropy of both over seen documents | the same | the same, `lambda_local` |
| optimiser | Adam 1e-3, batch 16 | the same | AdamW 1e-3, batch 64, the shared schedule |
| augmentation | crops, flips, colours | the same | the shared one |
| score at test | global | global | global |
| calibration | bias of unseen probabilities | best on test | the same in `published` |

Released code was read for facts alone; it does not run as it is.
"""  # noqa: D205

from typing import Any, ClassVar, Literal

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


class Summary(nn.Module):
    """A transformer over words, behind learnt tokens that come to sum them up."""

    def __init__(self, width: int, count: int, depth: int) -> None:
        from timm.models.vision_transformer import Block

        super().__init__()
        self.tokens = nn.Parameter(torch.randn(count, width))
        self.blocks = nn.ModuleList(Block(width, num_heads=4) for _ in range(depth))
        self.norm = nn.LayerNorm(width)

    def forward(self, words: Tensor, there: Tensor) -> Tensor:
        """Return `[n, count + T, r]` of words `[n, T, r]`, of which some are there `[n, T]`."""
        tokens = torch.cat([self.tokens.expand(len(words), -1, -1), words], dim=1)
        mask = nn.functional.pad(there, (len(self.tokens), 0), value=True)[:, None, None]
        for block in self.blocks:
            tokens = block(tokens, attn_mask=mask)
        summed: Tensor = self.norm(tokens)
        return summed


class LocalScore(nn.Module):
    """What patches find in the words of a document, as one number."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.queries, self.keys, self.values = (
            nn.Linear(width, width, bias=False) for _ in range(3)
        )
        self.out, self.score = nn.Linear(width, width), nn.Linear(width, 1)

    def forward(self, patches: Tensor, words: Tensor, there: Tensor) -> Tensor:
        """Return `[B, C]` of patches `[B, N, r]` and words `[C, T, r]`, some there `[C, T]`."""
        asked, told = self.queries(patches), self.keys(words)
        attention = torch.einsum("bnr,ctr->bcnt", asked, told) / words.shape[-1] ** 0.5
        attention = attention.masked_fill(~there[None, :, None], -torch.inf).softmax(dim=-1)
        scores: Tensor = self.score(self.pooled(attention, self.values(words)))[..., 0]
        return scores

    def pooled(self, attention: Tensor, values: Tensor) -> Tensor:
        """Return `[B, C, r]`: the mean over patches of what each attends to, `[B, C, N, T]`."""
        found: Tensor = self.out(torch.einsum("bct,ctr->bcr", attention.mean(dim=2), values))
        return found


class Network(nn.Module):
    """A frozen pair, and what brings its images and documents together."""

    def __init__(
        self, backbone: ImageText, config: Any, summaries: int = 1,
        local: type[LocalScore] = LocalScore,
    ) -> None:  # fmt: skip
        super().__init__()
        self.backbone = backbone.requires_grad_(False)
        self.images, self.documents = (Projection(backbone.width, config) for _ in range(2))
        self.summary = Summary(config.width, summaries, config.depth)
        self.local = local(config.width)

    def read(self, table: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return documents `[C, r]`, their words `[C, T, r]`, and which are there `[C, T]`.

        Args:
            table: `[C, T, D]` tokens, zeros where a document is shorter than others.
        """
        there = table.any(dim=-1)
        tokens = self.summary(self.documents(table), there)
        return tokens[:, 0], tokens[:, 1:], there


class I2DFormer(TrainedMethod):
    """Images and documents compared as wholes, and patch by word in training."""

    Config = Config
    network: Network
    needs: ClassVar[frozenset[Need]] = frozenset({"images", "descriptions"})
    ending = "pair"
    version = 2
    published = PublishedRule(
        epoch="best", gamma="best", space="probability", source="released code, main script"
    )
    view = Method.view  # patches attend to the words of each class: of no one attribute

    def build(self, train: TrainSet) -> nn.Module:
        """Return the network around the frozen pair."""
        return Network(self.source.build(), self.config)

    def table(self, class_attributes: NDArray[Any]) -> Tensor:
        """Return the words `[C, T, D]` of a class's sentences in a row, zeros after the last."""
        return self.words_of(class_attributes.reshape(len(class_attributes), -1))

    @torch.no_grad()
    def words_of(self, documents: NDArray[Any]) -> Tensor:
        """Return the words `[n, T, D]` of documents `[n, S]`, zeros after the last of each."""
        self.network.backbone.eval()
        texts, owners = sentences_of(documents)
        found = self.network.backbone.text_features(texts)
        words, lengths = found.tokens[found.words], found.words.sum(dim=1).cpu()
        each = [int(lengths[owners == n].sum()) for n in range(len(documents))]
        return nn.utils.rnn.pad_sequence(list(torch.split(words, each)), batch_first=True).float()

    def encoded(self, images: Tensor) -> Tensor:
        """Return images `[B, 1 + N, r]`: the whole, then patches."""
        with torch.no_grad():
            tokens = self.network.backbone(images)
        return self.network.images(tokens)  # type: ignore[no-any-return]

    def losses(self, images: Tensor, labels: Tensor, class_attributes: Tensor) -> dict[str, Tensor]:
        """Return the cross-entropies of global and local scores over the seen documents."""
        encoded = self.encoded(images)
        documents, words, there = self.network.read(class_attributes)
        local = self.network.local(encoded[:, 1:], words, there)
        return {
            "global": cross_entropy(encoded[:, 0] @ documents.T, labels),
            "local": self.config.lambda_local * cross_entropy(local, labels),
        }

    def read(self, class_attributes: Tensor) -> Tensor:
        """Return documents `[C, r]`, of what `table` returns."""
        return self.network.read(class_attributes)[0]

    def logits(self, images: Tensor, class_attributes: Tensor) -> Tensor:
        """Return global scores of images for documents `[C, r]`."""
        with torch.autocast(images.device.type, enabled=False):
            return self.encoded(images)[:, 0].float() @ class_attributes.float().T
