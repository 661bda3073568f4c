"""The micro image-text pair for plumage: the embedded ViT, and a small text tower of words."""

import math
import re
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from zslbench.backbones.embedded import ARCHITECTURE, embedded_architecture
from zslbench.backbones.image_text import ImageFeatures, ImageText
from zslbench.backbones.vit import OpenViT
from zslbench.data.plumage import GROUPS
from zslbench.errors import ZslbenchError

WIDTH, DEPTH, HEADS, CONTEXT = 128, 3, 4, 96
START, END = 1, 2
FIRST_SCALE = 1 / 0.07
PLAIN = "a an and bird color crowned has is it its of pattern photo shape size the this with"


def vocabulary() -> tuple[str, ...]:
    """Return the words that the text tower knows, sorted: of templates and of plumage."""
    names = " ".join(f"{group.name} {' '.join(group.values)}" for group in GROUPS)
    return tuple(sorted({*PLAIN.split(), *re.findall(r"[a-z]+", names.replace("_", " "))}))


class MicroPair(ImageText):
    """The embedded ViT and a causal text transformer, each with a projection: fresh parameters."""

    size = ARCHITECTURE["img_size"]

    def __init__(self) -> None:
        super().__init__()
        self.words = {word: number for number, word in enumerate(vocabulary(), start=END + 1)}
        vit = embedded_architecture()
        assert isinstance(vit, OpenViT)
        self.vit = vit
        self.width = self.text_width = WIDTH
        self.grid, self.context = self.vit.grid, CONTEXT
        self.project_image = nn.Linear(self.vit.width, WIDTH, bias=False)
        self.embedding = nn.Embedding(END + 1 + len(self.words), WIDTH)
        self.positions = nn.Parameter(0.01 * torch.randn(CONTEXT, WIDTH))
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(
                WIDTH, HEADS, 4 * WIDTH, dropout=0.0, activation="gelu", batch_first=True,
                norm_first=True,
            )
            for _ in range(DEPTH)
        )  # fmt: skip
        self.norm = nn.LayerNorm(WIDTH)
        self.project_text = nn.Linear(WIDTH, WIDTH, bias=False)
        self.log_scale = nn.Parameter(torch.tensor(math.log(FIRST_SCALE)))

    @property
    def logit_scale(self) -> Tensor:
        """What cosines are multiplied by."""
        return self.log_scale.exp()

    def image_features(self, images: Tensor) -> ImageFeatures:
        """Return the projected class token and patches."""
        tokens = self.project_image(self.vit(images))
        return ImageFeatures(tokens[:, 0], tokens[:, 1:])

    def tokenise(self, sentences: Sequence[str], spare: int = 0) -> Tensor:
        """Return a token a word; case and signs are ignored."""
        ids = torch.zeros(len(sentences), CONTEXT, dtype=torch.long)
        for row, sentence in zip(ids, sentences, strict=True):
            found = re.findall(r"\w+", sentence.lower())
            strange = [word for word in found if word not in self.words]
            most = CONTEXT - 2 - spare
            if strange or len(found) > most:
                why = f"reads at most {most} words here, this has {len(found)}"
                why = f"does not know the word {strange[0]!r}" if strange else why
                raise ZslbenchError(
                    f"{sentence!r}: the text tower of plumage_clip {why}. It reads what describes "
                    f"plumage alone ({', '.join(list(self.words)[:5])}, ...); for other "
                    "descriptions name a pair of open_clip's with --backbone clip:NAME."
                )
            row[: len(found) + 2] = torch.tensor([START, *map(self.words.__getitem__, found), END])
        return ids

    def ends(self, ids: Tensor) -> Tensor:
        """Return where the end token is."""
        return (ids == END).int().argmax(dim=1)

    def embed(self, ids: Tensor) -> Tensor:
        """Return word embeddings."""
        embedded: Tensor = self.embedding(ids)
        return embedded

    def encode(self, embedded: Tensor, ends: Tensor) -> tuple[Tensor, Tensor]:
        """Run the causal blocks, the norm and the projection."""
        length = embedded.shape[1]
        hidden = nn.Transformer.generate_square_subsequent_mask(length, device=embedded.device)
        tokens = embedded + self.positions[:length]
        for block in self.blocks:
            tokens = block(tokens, src_mask=hidden, is_causal=True)
        tokens = self.project_text(self.norm(tokens))
        return tokens[torch.arange(len(tokens), device=tokens.device), ends], tokens
