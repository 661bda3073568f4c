"""SDGZSL: total correlation by plain numpy, and its steps by a plain loop on the same noise."""

import numpy as np
import pytest
import torch
from generators import SEEN, B, D, H, K, assert_alike, batches, model_of, moved
from plain import alike, both, layers
from scipy.special import expit, log_softmax, logit
from torch import nn
from torch.nn import functional as F

from zslbench.methods.sdgzsl import BOTTLENECK, SDGZSL
from zslbench.nn.correlation import shuffled

S, Z = 5, 4
SIZES = {"semantic": S, "latent": Z, "epochs": 2, "steps": 5}
WEIGHTS = {
    "relation": 3.0, "correlation_weight": 2.0, "discriminator": 0.7, "kl_end": 3.0,
    "correlation_end": 0.9, "generator_steps": 2, "weight_decay": 0.01,
}  # fmt: skip
DROPOUT = {"encoder_dropout": 0.3, "decoder_dropout": 0.2, "autoencoder_dropout": 0.1}


def judged_plainly(model, codes):
    weight, bias = (p.detach().numpy() for p in model.network.discriminator.parameters())
    found = codes @ weight.T + bias
    return expit(found) if model.config.correlation == "released" else found


@pytest.mark.parametrize("how", ["released", "ratio"])
def test_total_correlation_equals_its_definition(how):
    model = model_of(SDGZSL, **SIZES, correlation=how)
    codes = np.random.default_rng(3).normal(size=(2, B, 2 * S))
    found = model.network.discriminator.correlation([*torch.from_numpy(codes)])
    expected = sum((p[:, 0] - p[:, 1]).mean() for p in (judged_plainly(model, c) for c in codes))
    assert float(found.detach()) == pytest.approx(expected)


def test_the_ratio_is_the_log_odds_of_being_real():
    model = model_of(SDGZSL, **SIZES, correlation="ratio")
    code = np.random.default_rng(3).normal(size=(B, 2 * S))
    share = np.exp(log_softmax(judged_plainly(model, code), axis=1))[:, 0]
    found = model.network.discriminator.correlation([torch.from_numpy(code)])
    assert float(found.detach()) == pytest.approx(logit(share).mean())


@pytest.mark.parametrize("how", ["released", "ratio"])
def test_the_discriminator_is_judged_by_codes_and_by_independently_shuffled_halves(how):
    model = model_of(SDGZSL, **SIZES, correlation=how)
    codes = np.random.default_rng(3).normal(size=(2, B, 2 * S))
    torch.manual_seed(4)
    found = model.network.discriminator.loss([*torch.from_numpy(codes)])
    torch.manual_seed(4)
    expected = 0.0
    for code in codes:
        orders = [torch.randperm(B).numpy() for _ in range(2)]
        mixed = np.hstack([code[orders[0], :S], code[orders[1], S:]])
        for rows, truth in ((code, 0), (mixed, 1)):
            expected -= log_softmax(judged_plainly(model, rows), axis=1)[:, truth].mean()
    assert float(found.detach()) == pytest.approx(expected)


def test_shuffling_keeps_rows_whole():
    rows = torch.arange(12).reshape(6, 2)
    assert sorted(shuffled(rows).tolist()) == rows.tolist()


@pytest.mark.parametrize("labels", [[0, 1, 0, 4, 4, 4, 2], [3] * B])
def test_relation_is_compared_with_the_truth_over_the_classes_of_the_batch(labels):
    model = model_of(SDGZSL, **SIZES)
    code = torch.randn(B, 2 * S, dtype=torch.float64)
    found, table = model.relation_loss(code, torch.tensor(labels)), model.network.table
    relate, squares = alike(layers(S + K, H, 1), model.network.relate), []
    for row, label in zip(code, labels, strict=True):
        for c in sorted(set(labels)):
            hidden = F.relu(relate[0](torch.cat([row[:S], table[c]])))
            squares.append((torch.sigmoid(relate[2](hidden)) - float(c == label)) ** 2)
    assert float(found.detach()) == pytest.approx(float(torch.stack(squares).mean().detach()))


def plain_parts(network, config):
    """The networks as their authors list them, with our weights in them."""
    drop = [nn.Dropout(config[f"{name}_dropout"]) for name in ("encoder", "decoder", "autoencoder")]
    leaky, norm = nn.LeakyReLU(0.2), [nn.BatchNorm1d(H, 0.8) for _ in range(2)]
    parts = {
        "hidden": nn.Sequential(nn.Linear(D + K, H), leaky, nn.Linear(H, H), drop[0], leaky,
                                nn.Linear(H, BOTTLENECK)),
        "mean": nn.Linear(BOTTLENECK, Z),
        "variance": nn.Sequential(nn.Linear(BOTTLENECK, Z), nn.Dropout(0.2), nn.Softplus()),
        "decoder": nn.Sequential(
            nn.Linear(Z + K, H), drop[1], leaky, nn.Linear(H, H), norm[0], drop[1],
            nn.Linear(H, H), norm[1], drop[1], leaky, nn.Linear(H, D), leaky,
        ),
        "encode": nn.Sequential(nn.Linear(D, 2 * S), leaky, drop[2]),
        "decode": nn.Sequential(nn.Linear(2 * S, H), leaky, drop[2], nn.Linear(H, D), leaky,
                                drop[2]),
        "relate": nn.Sequential(nn.Linear(S + K, H), nn.ReLU(), nn.Linear(H, 1), nn.Sigmoid()),
        "discriminator": nn.Sequential(nn.Linear(2 * S, 2), nn.Sigmoid()),
    }  # fmt: skip
    ours = {**dict(network.named_children()), **dict(network.vae.named_children())}
    return {name: alike(part, ours[name]).double() for name, part in parts.items()}


class PlainLoop:
    """The released loop: a coin says whose turn it is."""

    def __init__(self, net, table, config, steps):
        self.net, self.table, self.config, self.steps, self.coin = net, table, config, steps, 0
        rest = [p for name, part in net.items() if name != "discriminator"
                for p in part.parameters()]  # fmt: skip
        self.others, self.judge = (
            torch.optim.Adam(parameters, 1e-3, weight_decay=config["weight_decay"])
            for parameters in (rest, net["discriminator"].parameters())
        )

    def step(self, number, batch):
        net, config, (real, attributes, labels) = self.net, self.config, batch
        hidden = net["hidden"](both(real, attributes))
        mean, variance = net["mean"](hidden), net["variance"](hidden)
        z = torch.randn_like(mean) * variance.sqrt() + mean
        rebuilt = net["decoder"](both(z, attributes))
        kl = -(1 + variance.log() - mean**2 - variance).sum() / 2 / B
        loss = 2048 / D * ((rebuilt - real) ** 2).sum() / B
        loss = loss + min(config["kl_end"] * number / self.steps, 1) * kl
        codes = [net["encode"](rebuilt), net["encode"](real)]
        present = sorted(set(labels.tolist()))
        truth = torch.tensor([[float(c == y) for c in present] for y in labels.tolist()])
        for code in codes:
            pairs = torch.stack([torch.cat([row[:S], self.table[c]])
                                 for row in code for c in present])  # fmt: skip
            related = net["relate"](pairs).view(B, len(present))
            loss = loss + config["relation"] * ((related - truth) ** 2).mean()
        loss = loss + sum(((net["decode"](code) - real) ** 2).mean() for code in codes)
        if self.coin > 0:
            gamma = min(config["correlation_end"] * number / self.steps, 1)
            for code in codes:
                score = net["discriminator"](code)
                apart = (score[:, 0] - score[:, 1]).mean()
                loss = loss + config["correlation_weight"] * gamma * apart
            self.coin -= 1
        else:
            judged = 0.0
            for code in (c.detach() for c in codes):
                orders = [torch.randperm(B), torch.randperm(B)]
                mixed = both(code[orders[0], :S], code[orders[1], S:])
                for rows, side in ((code, 0), (mixed, 1)):
                    target = torch.full((B,), side)
                    judged = judged + F.cross_entropy(net["discriminator"](rows), target)
            self.judge.zero_grad()
            (config["discriminator"] * judged).backward()
            self.judge.step()
            self.coin += config["generator_steps"]
        self.others.zero_grad()
        loss.backward()
        self.others.step()


def test_steps_equal_the_released_loop():
    """Over two turns of the discriminator, with dropout and batch normalisation at work."""
    settings = SIZES | WEIGHTS | DROPOUT
    model, given = model_of(SDGZSL, scale=1, **settings), list(batches(5))
    model.network.train()
    net = plain_parts(model.network, settings)
    plain = PlainLoop(net, model.network.table, settings, steps=10)
    torch.manual_seed(1)
    draw = iter(given).__next__
    losses = [model.step(draw, number) for number in range(5)]
    torch.manual_seed(1)
    for number, batch in enumerate(given):
        plain.step(number, batch)
    ours = {**dict(model.network.named_children()), **dict(model.network.vae.named_children())}
    assert_alike((net[name], ours[name]) for name in net)
    turns = [float(terms["discriminator"].detach()) > 0 for terms in losses]
    assert turns == [True, False, False, True, False]


@pytest.mark.parametrize("number", [0, 1])
def test_a_step_moves_the_discriminator_in_its_turn_alone(number):
    expected = {"vae", "encode", "decode", "relate"} | ({"discriminator"} if number == 0 else set())
    assert moved(SDGZSL, number=number, **SIZES) == expected


def test_the_classifier_gets_the_semantic_half_and_the_seen_are_scored_without_chance():
    model = model_of(SDGZSL, **SIZES, **DROPOUT)
    model.network.eval()
    features = torch.rand(B, D, dtype=torch.float64)
    found = model.represent(features)
    assert found.shape == (B, S)
    torch.testing.assert_close(found, model.represent(features))
    assert model.synthesise(torch.rand(SEEN, K, dtype=torch.float64)).shape == (SEEN, S)
