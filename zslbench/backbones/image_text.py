"""Pairs of an image tower and a text tower that share a space (CLIP, Radford et al., ICML 2021).

Nothing that a pair returns is normalised: cosines are the caller's to take.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

BATCH = 128  # sentences that are read at once


class ImageFeatures(NamedTuple):
    """Images in the shared space.

    Attributes:
        pooled: `[B, D]`, what is compared with a sentence.
        patches: `[B, N, D]`, row by row; the same projection applied to every patch.
    """

    pooled: Tensor
    patches: Tensor


class TextFeatures(NamedTuple):
    """Sentences in the shared space.

    Attributes:
        pooled: `[S, D]`, what is compared with an image.
        tokens: `[S, L, D]`, the same projection applied to every token.
        words: `[S, L]`, true where a token is (a piece of) a word: not where a sentence starts,
            ends or is filled up.
    """

    pooled: Tensor
    tokens: Tensor
    words: Tensor


class ImageText(nn.Module, ABC):
    """An image tower and a text tower with a common width.

    Attributes:
        width: D, of the shared space.
        grid: Patches along each side; N = grid^2.
        size: Side of the images in pixels.
        context: L, the most tokens of a sentence, its start and its end included.
        text_width: W, of a token's embedding inside the text tower.
    """

    width: int
    grid: int
    size: int
    context: int
    text_width: int

    @property
    @abstractmethod
    def logit_scale(self) -> Tensor:
        """What cosines are multiplied by to be logits: a positive scalar, as pretrained."""

    @abstractmethod
    def image_features(self, images: Tensor) -> ImageFeatures:
        """Return the features of images `[B, 3, S, S]`."""

    @abstractmethod
    def tokenise(self, sentences: Sequence[str], spare: int = 0) -> Tensor:
        """Return `[S, L]` token ids: start, words, end, then zeros.

        Args:
            sentences: S of them.
            spare: Tokens that must be left free for others.

        Raises:
            ZslbenchError: If a sentence is too long, or has a word that the tower does not know.
        """

    @abstractmethod
    def ends(self, ids: Tensor) -> Tensor:
        """Return `[S]` where each sentence's end token stands."""

    @abstractmethod
    def embed(self, ids: Tensor) -> Tensor:
        """Return `[S, L, W]` embeddings of token ids, without positions."""

    @abstractmethod
    def encode(self, embedded: Tensor, ends: Tensor) -> tuple[Tensor, Tensor]:
        """Run the text tower.

        Args:
            embedded: `[S, l, W]`, l at most L, without positions.
            ends: `[S]` where each sentence's end token stands.

        Returns:
            Pooled `[S, D]` (the end token's) and all tokens `[S, l, D]`, projected.
        """

    def text_features(self, sentences: Sequence[str]) -> TextFeatures:
        """Return the features of sentences."""
        ids = self.tokenise(sentences).to(self.logit_scale.device)
        ends = self.ends(ids)
        length = int(ends.max()) + 1  # the tower is causal: what follows the end changes nothing
        pooled, tokens = self.encode(self.embed(ids[:, :length]), ends)
        places = torch.arange(length, device=ids.device)
        words = (places > 0) & (places < ends[:, None])
        return TextFeatures(pooled, tokens, words)

    def sentence_features(self, sentences: Sequence[str]) -> Tensor:
        """Return `[S, D]` pooled features of any number of sentences; equal ones are read once."""
        distinct = {sentence: place for place, sentence in enumerate(dict.fromkeys(sentences))}
        texts = list(distinct)
        pieces = [texts[first : first + BATCH] for first in range(0, len(texts), BATCH)]
        pooled = torch.cat([self.text_features(piece).pooled for piece in pieces])
        return pooled[[distinct[sentence] for sentence in sentences]]

    def forward(self, images: Tensor) -> Tensor:
        """Return `[B, 1 + N, D]`: pooled, then patches, as a ViT's class token and patches."""
        found = self.image_features(images)
        return torch.cat([found.pooled[:, None], found.patches], dim=1)

    def feature(self, images: Tensor) -> Tensor:
        """Return what stands for the whole image: its pooled feature, `[B, D]`."""
        return self.image_features(images).pooled
