"""What a pair's text tower makes of the classes' descriptions."""

from collections.abc import Sequence
from itertools import cycle, islice

import torch
from torch import Tensor

from zslbench.backbones.image_text import ImageText
from zslbench.nn.sentences import ensemble, unit


def heads(pair: ImageText, descriptions: Sequence[Sequence[str]], template: str = "{}") -> Tensor:
    """Return `[C, D]`: each class's sentences in a prompt, of length 1, averaged, again so long."""
    said = [(row, template.format(s)) for row, each in enumerate(descriptions) for s in each if s]
    found = _embedded(pair, [sentence for _, sentence in said])
    owners = torch.tensor([row for row, _ in said], device=found.device)
    return ensemble(found, owners, len(descriptions))


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
    """Return `[S, D]`, without gradients."""
    with torch.no_grad():
        return pair.sentence_features(sentences).float()
