"""What pretraining and class vectors may know of classes that a method is to find unseen.

The Proposed Splits (Xian et al., TPAMI 2019) keep the final unseen classes out of ImageNet-1k. The
validation classes, which are the unseen ones of tuning worlds, they do not.
"""

from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from zslbench.data.descriptions import plain_name

# The encoder of FLO's sentences (Reed et al., CVPR 2016) learnt from images of training classes.
SENTENCES = {"flo": "class vectors whose encoder saw images of seen classes"}


def imagenet_classes(names: Sequence[str]) -> tuple[str, ...]:
    """Return those classes that ImageNet-1k has too, or has the kind of, by their names.

    A name ends in the word for what it is a kind of: `073.Blue_Jay` is a jay. Homonyms, such as the
    threshing machine of `149.Brown_Thrasher`, are counted: a name does not say more.
    """
    return tuple(name for name in names if _ends(plain_name(name)) & _imagenet())


def class_vectors_saw(dataset: str) -> str:
    """Return what class vectors of a dataset have seen of its images, in words; mostly nothing."""
    return SENTENCES.get(dataset.casefold().rstrip("0123456789"), "")


def _ends(name: str) -> set[str]:
    words = name.casefold().replace("-", " ").split()
    return {" ".join(words[first:]) for first in range(len(words))}


@cache
def _imagenet() -> frozenset[str]:
    """Return all names of all classes of ImageNet-1k, as WordNet has them."""
    text = (files("zslbench.data") / "imagenet_names.txt").read_text(encoding="utf-8")
    return frozenset(text.casefold().replace("-", " ").splitlines())
