"""Steps of generators in float64 on given batches, to compare with plain ones."""

from itertools import cycle

import numpy as np
import torch

from zslbench.method import TrainSet
from zslbench.method.generative import Batch

SEEN, UNSEEN, K, D, H, B = 5, 2, 6, 8, 16, 7
SMALL = {"hidden": H, "batch_size": B, "lr": 1e-3, "critic_steps": 3}


def batches(number):
    rng = np.random.default_rng(4)
    for _ in range(number):
        labels = torch.from_numpy(rng.integers(0, SEEN, B))
        table = np.random.default_rng(5).random((SEEN, K))
        yield Batch(
            torch.from_numpy(rng.uniform(0.1, 0.9, (B, D))), torch.from_numpy(table)[labels], labels
        )


def model_of(cls, scale=15, **settings):
    """A method set up in float64, with weights large enough for every term to matter."""
    rng = np.random.default_rng(5)
    train = TrainSet(
        np.zeros((B, D)), np.zeros(B, dtype=np.int64), rng.random((SEEN, K)),
        unseen_attributes=rng.random((UNSEEN, K)),
    )  # fmt: skip
    known = {name: value for name, value in SMALL.items() if name in cls.Config.model_fields}
    model = cls(cls.Config.model_validate(known | settings), 0)
    model.setup(train)
    with torch.no_grad():
        for parameter in model.network.parameters():
            parameter.mul_(scale).add_(0.01)
    model.network.double()
    model.optimisers = model.make_optimisers()
    return model


def steps(model, plain_step, count=2):
    """Take steps of ours, then as many of the plain one, on the same noise."""
    given = list(batches(3 * count))
    draw = cycle(given).__next__
    torch.manual_seed(1)
    for number in range(count):
        model.step(draw, number)
    torch.manual_seed(1)
    for number in range(count):
        plain_step(number, given[3 * number : 3 * number + 3])


def assert_alike(pairs, atol=1e-11):
    for plain, ours in pairs:
        for mine, its in zip(plain.parameters(), ours.parameters(), strict=True):
            torch.testing.assert_close(mine, its, rtol=1e-9, atol=atol)


def moved(cls, number=0, **settings):
    """What a step of a method changes: the parts, by name."""
    model = model_of(cls, **settings)
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    model.step(cycle(batches(3)).__next__, number)
    after = model.network.state_dict()
    return {name.split(".")[0] for name in after if not torch.equal(after[name], before[name])}
