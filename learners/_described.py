"""What a pair's text tower makes of the classes' descriptions."""

from collections.abc import Sequence
from itertools import cycle, islice

import torch
from torch import Tensor, nn

from zslbench.backbones.image_text import ImageText


def heads(pair: ImageText, descriptions: Sequence[Sequence[str]]) -> Tensor:
    """Return `[C, D]`: each class's sentences, of length 1, averaged, of length 1 again."""
    sentences = [list(filter(None, each)) for each in descriptions]
    found = unit(_embedded(pair, [s for each in sentences for s in each]))
    parts = torch.split(found, [len(each) for each in sentences])
    return unit(torch.stack([part.mean(dim=0) for part in parts]))


def tokens(pair: ImageText, descriptions: Sequence[Sequence[str]], count: int) -> Tensor:
    """Return `[C, count, D]`: what each class's phrases say, of length 1.

    A phrase is what stands between commas; a class with fewer repeats them in turn, so that each
    keeps its share.
    """
    rows = [
        list(islice(cycle(phrase for s in each if s for phrase in s.split(", ")), count))
        for each in descriptions
    ]
    found = unit(_embedded(pair, [phrase for row in rows for phrase in row]))
    return found.reshape(len(rows), count, -1)


def _embedded(pair: ImageText, sentences: Sequence[str]) -> Tensor:
    """Return `[S, D]`; what is said twice is read once."""
    distinct = {sentence: place for place, sentence in enumerate(dict.fromkeys(sentences))}
    with torch.inference_mode():
        pooled = pair.text_features(list(distinct)).pooled.float()
    return pooled[[distinct[sentence] for sentence in sentences]].clone()


def unit(rows: Tensor) -> Tensor:
    """Return rows of length 1."""
    return nn.functional.normalize(rows.float(), dim=-1)
