"""Generators and their critic by computations of their own: numpy, loops, finite differences."""

import numpy as np
import pytest
import torch
from torch import nn

from zslbench.nn.gan import (
    ConditionalEncoder,
    ConditionalGenerator,
    Critic,
    adapted,
    critic_loss,
    draw_weights,
    gradient_penalty,
    vae_loss,
    weighted_l1,
)

B, D, K, H = 5, 7, 3, 11
EPS = 1e-6


@pytest.fixture(autouse=True)
def in_float64():
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(torch.float32)


def arrays(*shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [torch.from_numpy(rng.uniform(0.1, 0.9, shape)) for shape in shapes]


def lrelu(x):
    return np.where(x > 0, x, 0.2 * x)


def linear(layer, rows):
    return rows @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()


def judged(critic, features, attributes):
    """D(x, a) in numpy."""
    rows = np.concatenate([features, attributes], axis=1)
    return linear(critic.value, lrelu(linear(critic.hidden, rows)))[:, 0]


@pytest.mark.parametrize("output", [nn.ReLU(), nn.Sigmoid()])
@pytest.mark.parametrize("fed", [False, True])
def test_generator_equals_its_equation(output, fed):
    generator = ConditionalGenerator(K, K, H, D, output)
    z, a, f = arrays((B, K), (B, K), (B, H))
    hidden = lrelu(linear(generator.hidden, np.concatenate([z, a], axis=1))) + (
        f.numpy() if fed else 0
    )
    raw = linear(generator.features, np.asarray(hidden))
    expected = np.maximum(raw, 0) if isinstance(output, nn.ReLU) else 1 / (1 + np.exp(-raw))
    found = generator(z, a, f if fed else None).detach()
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_critic_and_encoder_equal_their_equations():
    critic, encoder = Critic(D, K, H), ConditionalEncoder(D, K, H, 4)
    x, a = arrays((B, D), (B, K))
    np.testing.assert_allclose(critic(x, a).detach(), judged(critic, x, a), rtol=1e-12)
    hidden = lrelu(linear(encoder.hidden[0], np.concatenate([x, a], axis=1)))
    hidden = lrelu(linear(encoder.hidden[2], hidden))
    for found, layer in zip(encoder(x, a), (encoder.mean, encoder.log_variance), strict=True):
        np.testing.assert_allclose(found.detach(), linear(layer, hidden), rtol=1e-12)


def penalised(critic, real, fake, attributes):
    """The penalty with slopes by central differences, for the shares that seed 3 draws."""
    torch.manual_seed(3)
    shares = torch.rand(B, 1).numpy()
    between = shares * real.numpy() + (1 - shares) * fake.numpy()
    slopes = np.empty((B, D))
    for d in range(D):
        ahead, behind = between.copy(), between.copy()
        ahead[:, d] += EPS
        behind[:, d] -= EPS
        rise = judged(critic, ahead, attributes) - judged(critic, behind, attributes)
        slopes[:, d] = rise / (2 * EPS)
    return np.mean([(np.sqrt(np.sum(row**2)) - 1) ** 2 for row in slopes])


def test_penalty_and_its_gradient_equal_finite_differences():
    """Once for the slope, once more for the derivative of the penalty by the critic's weights."""
    critic, (real, fake, a) = Critic(D, K, H), arrays((B, D), (B, D), (B, K))
    torch.manual_seed(3)
    penalty = gradient_penalty(critic, real, fake, a)
    penalty.backward()
    assert float(penalty.detach()) == pytest.approx(penalised(critic, real, fake, a), rel=1e-6)
    for weights in (critic.hidden.weight, critic.value.weight):
        for place in ((0, 0), (-1, 2), (weights.shape[0] // 2, D - 1)):
            values = []
            for change in (1e-4, -1e-4):
                with torch.no_grad():
                    weights[place] += change
                    values.append(penalised(critic, real, fake, a))
                    weights[place] -= change
            slope = (values[0] - values[1]) / 2e-4
            assert float(weights.grad[place]) == pytest.approx(slope, rel=1e-3, abs=1e-7)


def test_critic_loss_is_how_far_fakes_are_from_real_ones_with_the_penalty():
    critic, (real, fake, a) = Critic(D, K, H), arrays((B, D), (B, D), (B, K))
    torch.manual_seed(3)
    loss, penalty = critic_loss(critic, real, fake, a, 7.0)
    apart = judged(critic, fake, a).mean() - judged(critic, real, a).mean()
    assert float(penalty.detach()) == pytest.approx(penalised(critic, real, fake, a), rel=1e-6)
    assert float((loss - 7 * penalty).detach()) == pytest.approx(apart, rel=1e-10)


@pytest.mark.parametrize(
    ("penalty", "expected"),
    [(1.06, 11.0), (1.05, 10.0), (1.001, 10.0), (1.0, 10 / 1.1)],
)
def test_weight_of_the_penalty_moves_by_a_tenth(penalty, expected):
    assert float(adapted(torch.tensor(10.0), torch.tensor(penalty))) == pytest.approx(expected)


def test_weight_of_the_penalty_falls_14_times_in_28_steps_and_ends_above_0():
    weight = torch.tensor(10.0)
    for _ in range(28):
        weight = adapted(weight, torch.tensor(0.5))
    assert 10 / float(weight) == pytest.approx(14.42, rel=1e-3)
    for _ in range(1000):
        weight = adapted(weight, torch.tensor(0.5))
    assert float(weight) == pytest.approx(1e-12)


def by_loops(found, truth):
    total = 0.0
    for row, true in zip(found.numpy(), truth.numpy(), strict=True):
        apart = row - true
        length = np.sqrt(np.sum(apart**2))
        total += sum(d * d / length * abs(d) for d in apart)
    return total / len(found)


def test_weighted_l1_and_its_gradient():
    (found, truth), change = arrays((B, K), (B, K)), torch.zeros(B, K)
    found.requires_grad_()
    loss = weighted_l1(found, truth)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(by_loops(found.detach(), truth))
    change[2, 1] = EPS
    ahead, behind = (by_loops(found.detach() + sign * change, truth) for sign in (1, -1))
    assert float(found.grad[2, 1]) == pytest.approx((ahead - behind) / (2 * EPS), rel=1e-6)
    same = truth.clone().requires_grad_()
    weighted_l1(same, truth).backward()
    assert torch.equal(same.grad, torch.zeros(B, K))


def test_vae_loss_equals_loops():
    found, real, mean, log_variance = arrays((B, D), (B, D), (B, K), (B, K))
    expected = 0.0
    for b in range(B):
        for d in range(D):
            p, x = float(found[b, d]), float(real[b, d])
            expected -= x * np.log(p) + (1 - x) * np.log(1 - p)
        for k in range(K):
            m, v = float(mean[b, k]), float(log_variance[b, k])
            expected -= (1 + v - m * m - np.exp(v)) / 2
    loss = vae_loss(found, real, (mean, log_variance))
    assert float(loss) == pytest.approx(expected / B)


def test_weights_are_drawn_small_and_biases_are_0():
    network = nn.Sequential(nn.Linear(200, 100), nn.ReLU(), nn.Linear(100, 50))
    draw_weights(network)
    for layer in (network[0], network[2]):
        assert float(layer.weight.detach().std()) == pytest.approx(0.02, rel=0.05)
        assert abs(float(layer.weight.detach().mean())) < 1e-3
        assert not layer.bias.any()
