"""HSVA: distances by plain numpy, its steps by a plain loop, and a batch of unseen classes."""

import numpy as np
import pytest
import torch
from generators import SEEN, UNSEEN, B, D, H, K, assert_alike, batches, model_of, moved
from plain import alike, layers
from scipy.stats import chisquare
from torch import nn
from torch.nn import functional as F

from zslbench.methods.hsva import HSVA
from zslbench.nn.losses import coral, sliced_wasserstein

C, Z = 9, 4
SIZES = {"coarse": C, "latent": Z, "epochs": 2, "steps": 10}
WEIGHTS = {"beta": 0.5, "lambda_cross": 1.5, "lambda_distance": 4.0, "lr": 1e-3}


def test_sliced_wasserstein_equals_its_definition():
    one, other = np.random.default_rng(1).normal(size=(2, B, SEEN))
    torch.manual_seed(2)
    found = sliced_wasserstein(torch.from_numpy(one), torch.from_numpy(other), directions=6)
    torch.manual_seed(2)
    ways = torch.randn(SEEN, 6, dtype=torch.float64).numpy()
    squares = []
    for way in (ways / np.linalg.norm(ways, axis=0)).T:
        squares += [*np.square(np.sort(one @ way) - np.sort(other @ way))]
    assert float(found) == pytest.approx(np.mean(squares))


def test_sliced_wasserstein_is_0_for_the_same_points_in_another_order():
    rows = torch.randn(B, SEEN)
    assert float(sliced_wasserstein(rows, rows.flip(0))) == pytest.approx(0, abs=1e-12)
    assert float(sliced_wasserstein(rows, rows + 1)) > 0


def test_coral_is_the_mean_square_of_the_difference_of_covariances():
    one, other = np.random.default_rng(1).normal(size=(2, B, Z))
    expected = np.square(np.cov(one.T) - np.cov(other.T)).mean()
    assert float(coral(*torch.from_numpy(np.stack([one, other])))) == pytest.approx(expected)


def plain_judge():
    return nn.Sequential(nn.Linear(C, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, SEEN))


def plain_parts(network):
    parts = {
        "images": layers(D, H, C), "attributes": layers(K, H, C),
        "shared": layers(C, C, last=nn.LeakyReLU(0.2)), "mean": nn.Linear(C, Z),
        "log_variance": nn.Linear(C, Z), "to_images": layers(Z, H, D),
        "to_attributes": layers(Z, H, K), "judges": nn.ModuleList([plain_judge(), plain_judge()]),
    }  # fmt: skip
    return {n: alike(part, getattr(network, n)).double() for n, part in parts.items()}


class PlainLoop:
    """The released sub-steps; terms are averaged over the batch, unseen classes drawn uniformly."""

    def __init__(self, net, unseen, steps):
        self.net, self.unseen, self.steps = net, unseen, steps

        def optimiser(names, lr, **others):
            parameters = [p for name in names for p in net[name].parameters()]
            return torch.optim.Adam(parameters, lr, **others)

        rest = ("shared", "mean", "log_variance", "to_images", "to_attributes")
        self.judging = optimiser(["judges"], 1e-3)
        self.encoding = optimiser(["images", "attributes"], 1e-3, amsgrad=True)
        self.rest = optimiser(rest, 1e-3, amsgrad=True)

    def descend(self, loss, *optimisers):
        for part in self.net.values():
            part.zero_grad()
        loss.backward()
        for optimiser in optimisers:
            optimiser.step()

    def judged(self, real, attributes, labels):
        net, losses, apart = self.net, 0.0, 0.0
        found = [[judge(code) for judge in net["judges"]]
                 for code in (net["images"](real), net["attributes"](attributes))]  # fmt: skip
        for pair in found:
            losses = losses + sum(F.cross_entropy(logits, labels) for logits in pair)
            ways = torch.randn(SEEN, 128, dtype=torch.float64)
            ways = ways / ways.pow(2).sum(dim=0).sqrt()
            one, other = ((F.softmax(logits, dim=1) @ ways).sort(dim=0)[0] for logits in pair)
            apart = apart + ((one - other) ** 2).mean()
        return losses, apart

    def code(self, coarse):
        hidden = self.net["shared"](coarse)
        return self.net["mean"](hidden), self.net["log_variance"](hidden)

    def step(self, number, real, attributes, labels):
        net, epoch = self.net, 500 * number / self.steps
        beta = 0.5 * min(epoch / 90, 1)
        cross = 1.5 * min(max((epoch - 21) / (75 - 21), 0), 1)
        distance = 4.0 * min(epoch / 25, 1)
        self.descend(self.judged(real, attributes, labels)[0], self.judging, self.encoding)
        losses, apart = self.judged(real, attributes, labels)
        self.descend(losses - distance * apart, self.judging)
        for _ in range(2):
            self.descend(distance * self.judged(real, attributes, labels)[1], self.encoding)
        unseen = self.unseen[torch.randint(UNSEEN, (B,))]
        codes = (self.code(net["images"](real)), self.code(net["attributes"](attributes)),
                 self.code(net["attributes"](unseen)))  # fmt: skip
        z_x, z_a, z_u = (m + torch.exp(0.1 * v) * torch.randn(B, 1) for m, v in codes)

        def rebuilt(z, z_other):
            features = (net["to_images"](z) - real).abs().sum() * 2048 / D
            return (features + (net["to_attributes"](z_other) - attributes).abs().sum()) / B

        loss = rebuilt(z_x, z_a) + cross * rebuilt(z_a, z_x)
        for mean, log_variance in codes[:2]:
            divergence = -(1 + log_variance - mean**2 - log_variance.exp()).sum() / 2
            loss = loss + beta * divergence / B
        (m_x, v_x), (m_a, v_a), _ = codes
        squares = (m_x - m_a) ** 2 + (torch.exp(v_x / 2) - torch.exp(v_a / 2)) ** 2
        loss = loss + distance * squares.sum(dim=1).sqrt().mean()
        spread = [(z - z.mean(dim=0)).T @ (z - z.mean(dim=0)) / (B - 1) for z in (z_x, z_u)]
        loss = loss - distance * ((spread[0] - spread[1]) ** 2).mean() / B
        self.descend(loss, self.encoding, self.rest)


def test_steps_equal_the_released_sub_steps():
    """At the start and in the middle of every warm-up."""
    model, given, numbers = model_of(HSVA, scale=3, **SIZES, **WEIGHTS), [*batches(4)], (0, 1, 2, 9)
    model.network.train()
    net, network = plain_parts(model.network), model.network
    plain = PlainLoop(net, network.table[SEEN:], steps=20)
    draw = iter(given).__next__
    torch.manual_seed(1)
    for number in numbers:
        model.step(draw, number)
    torch.manual_seed(1)
    for number, batch in zip(numbers, given, strict=True):
        plain.step(number, *batch)
    judges = net.pop("judges")
    assert_alike((net[name], getattr(network, name)) for name in net)
    assert_alike([(judges, network.judges)], atol=1e-7)  # biases before BatchNorm have no gradient


def test_a_batch_of_unseen_classes_is_of_attributes_alone_each_as_likely():
    """The released batch has the classes of test images, and so their frequencies."""
    model = model_of(HSVA, **SIZES)
    torch.manual_seed(0)
    rows, table = model.unseen_batch(4000), model.network.table[SEEN:]
    which = (rows[:, None] == table).all(dim=2)
    assert which.sum(dim=1).eq(1).all()
    assert chisquare(which.sum(dim=0).numpy()).pvalue > 1e-3


@pytest.mark.parametrize(("how", "power"), [("released", 0.1), ("paper", 0.5)])
def test_samples_spread_as_the_code_or_the_paper_says(how, power):
    model = model_of(HSVA, **SIZES, sampling=how)
    torch.manual_seed(0)
    log_variance = torch.tensor([-2.0, 0.0, 1.0, 3.0])
    drawn = model.sampled((torch.zeros(20000, Z), log_variance.expand(20000, Z))).numpy()
    np.testing.assert_allclose(drawn.std(axis=0), np.exp(power * log_variance.numpy()), rtol=0.03)
    together = np.corrcoef(drawn.T)[0, 1]
    assert together == pytest.approx(1.0 if how == "released" else 0.0, abs=0.03)


def test_a_step_moves_all_but_the_final_classifier():
    expected = {"images", "attributes", "shared", "mean", "log_variance", "to_images",
                "to_attributes", "judges"}  # fmt: skip
    assert moved(HSVA, number=10, **SIZES) == expected
