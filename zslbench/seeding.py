"""Random streams by purpose: a new draw in one place moves no other (DomainBed's rule)."""

import hashlib

import numpy as np


def derive_seed(seed: int, *purpose: str | int) -> int:
    """Return a 63-bit seed that depends on the run's seed and on what it is for."""
    text = "\x1f".join([str(seed), *map(str, purpose)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *purpose: str | int) -> np.random.Generator:
    """Return numpy's generator for one purpose of one seed."""
    return np.random.default_rng(derive_seed(seed, *purpose))
