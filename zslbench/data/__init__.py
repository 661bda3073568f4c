"""Datasets: readers, word vectors, decoded pixels, verification."""
