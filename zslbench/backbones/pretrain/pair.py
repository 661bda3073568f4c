"""Makes the micro image-text pair: `python -m zslbench.backbones.pretrain.pair OUT.safetensors`.

The embedded ViT stays as it is; a text tower, two projections and the scale are trained, on plumage
classes with reserved attribute combinations, which no seed or size of the dataset can meet. An
image's caption is the description that its class's attributes give. Two losses, both contrastive in
both directions: of pooled features (CLIP), and of the mean over words of the best patch (FILIP, Yao
et al., ICLR 2022), without which projected patches would mean nothing.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from zslbench.backbones.embedded import EMBEDDED
from zslbench.backbones.image_text import TextFeatures
from zslbench.backbones.micro_pair import MicroPair
from zslbench.backbones.pretrain.training import SEED, reserved, train, write
from zslbench.backbones.registry import find_backbone
from zslbench.data.descriptions import PHRASES, describe_attributes
from zslbench.data.plumage import ATTRIBUTE_NAMES
from zslbench.data.types import Dataset
from zslbench.seeding import derive_seed, generator

BATCH, LOCAL, RATE, LARGEST_SCALE = 128, 32, 2e-3, 100.0
PER_CLASS, EPOCHS = 15, 8
PREFIXES = ("", "a ", "a photo of a ")


def pretrain(out: Path) -> None:
    """Train all but the ViT, and write the weights as float16."""
    data = reserved(PER_CLASS)
    torch.manual_seed(derive_seed(SEED, "pretraining pair"))
    pair = MicroPair()
    pair.vit = find_backbone(EMBEDDED).build()
    tokens = _encode(pair, data)
    shares = data.classes.raw_attributes / 100

    def losses(epoch: int) -> Iterator[Tensor]:
        chance = generator(SEED, "captions", epoch)
        order = generator(SEED, "pair order", epoch).permutation(len(tokens))
        for first in range(0, len(order) - BATCH + 1, BATCH):
            batch = order[first : first + BATCH]
            captions = [caption(shares[label], chance) for label in data.train_labels[batch]]
            yield contrast(pair, tokens[torch.from_numpy(batch)].float(), captions)

    trained = [p for name, p in pair.named_parameters() if not name.startswith("vit.")]
    train(trained, RATE, EPOCHS, len(tokens) // BATCH, losses)
    write(pair, out, "pair")


def _encode(pair: MicroPair, data: Dataset) -> Tensor:
    """Return the ViT's tokens `[n, 1 + N, D]` of all images, as float16."""
    found = []
    with torch.inference_mode():
        for batch in np.array_split(data.splits.trainval, -(-len(data.train_labels) // BATCH)):
            pixels = torch.from_numpy(np.ascontiguousarray(data.inputs[batch]))
            found.append(pair.vit(pixels.permute(0, 3, 1, 2).float() / 127.5 - 1).half())
    return torch.cat(found).clone()


def contrast(pair: MicroPair, tokens: Tensor, captions: list[str]) -> Tensor:
    """Return the mean of both losses of the ViT's tokens `[B, 1 + N, D]` and B captions."""
    images, texts = pair.project_image(tokens), pair.text_features(captions)
    local = TextFeatures(*(part[:LOCAL] for part in texts))
    scale = pair.logit_scale.clamp(max=LARGEST_SCALE)
    both = (
        scale * normalize(images[:, 0], dim=-1) @ normalize(texts.pooled, dim=-1).T,
        scale * best_patches(images[:LOCAL, 1:], local),
    )
    terms = [
        cross_entropy(side, torch.arange(len(side)))
        for logits in both
        for side in (logits, logits.T)
    ]
    return torch.stack(terms).mean()


def best_patches(patches: Tensor, texts: TextFeatures) -> Tensor:
    """Return `[B, S]`: the mean over a sentence's words of the cosine of the best patch."""
    width = patches.shape[-1]
    words = normalize(texts.tokens[texts.words], dim=-1)
    cosines = normalize(patches, dim=-1).reshape(-1, width) @ words.T
    best = cosines.reshape(*patches.shape[:2], -1).amax(dim=1)
    owner = torch.nonzero(texts.words)[:, 0]
    sums = best.new_zeros(len(patches), len(texts.words)).index_add(1, owner, best)
    return sums / texts.words.sum(dim=1)


def caption(shares: NDArray[np.float64], chance: np.random.Generator) -> str:
    """Return a sentence that names some of a class's attributes, in any order."""
    told = describe_attributes("bird", shares, ATTRIBUTE_NAMES)
    phrases = ", ".join(sentence.removeprefix("bird with ") for sentence in told).split(", ")
    some = chance.permutation(phrases)[: chance.integers(1, PHRASES + 1)]
    return f"{PREFIXES[chance.integers(len(PREFIXES))]}bird with {', '.join(some)}"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("Usage: python -m zslbench.backbones.pretrain.pair OUT.safetensors")
    pretrain(Path(sys.argv[1]))
