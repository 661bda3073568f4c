"""Datasets: readers, word vectors, decoded pixels, verification."""

from zslbench.data.types import (
    ClassSplit,
    ClassTable,
    Dataset,
    Inputs,
    SealedLabels,
    Splits,
    Subset,
)

__all__ = ["ClassSplit", "ClassTable", "Dataset", "Inputs", "SealedLabels", "Splits", "Subset"]
