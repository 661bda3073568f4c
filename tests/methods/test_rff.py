"""Steps of RFF-GZSL against a plain loop; its bound on information; what the classifier sees."""

import numpy as np
import pytest
import torch
from generators import D, K, assert_alike, batches, model_of, moved, steps
from plain import adam_of, alike, layers
from torch import nn
from torch.nn import functional as F

from zslbench.methods.rff import RFF, information


def plain_step(net, optimisers, given, seen):
    """What the paper's authors' code does, term by term, without its quirks (see the table)."""

    def sampled(rows):
        mean, raw = F.leaky_relu(net["gaussian"](rows), 0.2).chunk(2, dim=1)
        return mean + torch.sigmoid(raw) * torch.randn_like(mean)

    for real, attributes, labels in given:
        with torch.no_grad():
            noise = torch.randn_like(attributes)
            fake = net["generator"](torch.cat([noise, attributes], dim=1))
        share = torch.rand(len(real), 1)
        between = (share * real + (1 - share) * fake).requires_grad_()
        (slope,) = torch.autograd.grad(
            net["value"](sampled(between)).sum(), between, create_graph=True
        )
        loss = 3.0 * ((slope.norm(dim=1) - 1) ** 2).mean()
        value = net["value"](sampled(real)).mean()
        loss = loss + 0.001 * value**2 + net["value"](sampled(fake)).mean() - value
        codes = F.leaky_relu(net["gaussian"](torch.cat([real, fake])), 0.2)
        means, deviations = codes.chunk(2, dim=1)
        deviations = torch.sigmoid(deviations)
        kl = 0.5 * (means**2 + deviations**2 - torch.log(deviations**2 + 1e-8) - 1).sum(dim=1)
        loss = loss + net["multiplier"] * (kl.mean() - 0.3)
        others = (labels + torch.randint(1, seen, labels.shape)) % seen
        for mean, label, other in zip(means[: len(real)], labels, others, strict=True):
            near = ((mean - net["centres"][label]) ** 2).sum()
            far = ((mean - net["centres"][other]) ** 2).sum()
            loss = loss + 0.6 * torch.relu(40.0 + near - far) / len(real)
        for optimiser in optimisers.values():
            optimiser.zero_grad()
        loss.backward()
        optimisers["critic"].step()
        optimisers["centres"].step()
        net["multiplier"] = max(0.0, net["multiplier"] + 1e-6 * float(kl.detach().mean() - 0.3))
    fake = net["generator"](torch.cat([torch.randn_like(attributes), attributes], dim=1))
    mean, _ = F.leaky_relu(net["gaussian"](fake), 0.2).chunk(2, dim=1)
    loss = -net["value"](mean).mean() + 0.7 * F.cross_entropy(net["judge"](fake), labels)
    optimisers["generator"].zero_grad()
    loss.backward()
    optimisers["generator"].step()


def test_steps_equal_the_plain_loop():
    given = {"penalty": 3.0, "beta": 0.7, "bound": 0.3, "center_weight": 0.6, "margin": 40.0}
    model = model_of(RFF, latent=5, **given)
    network = model.network
    hidden, seen = len(network.generator.hidden.weight), len(network.centres)
    net = {
        "generator": alike(layers(2 * K, hidden, D, last=nn.ReLU()), network.generator),
        "gaussian": alike(nn.Linear(D, 10), network.critic.gaussian),
        "value": alike(nn.Linear(5, 1), network.critic.value),
        "judge": alike(nn.Linear(D, seen), network.preclassifier),
        "centres": nn.Parameter(network.centres.detach().clone()),
        "multiplier": 0.0,
    }
    optimisers = {
        "generator": adam_of(1e-3, net["generator"]),
        "critic": adam_of(1e-3, net["gaussian"], net["value"]),
        "centres": torch.optim.Adam([net["centres"]], 1e-3, (0.5, 0.999)),
    }
    before = network.centres.detach().clone()
    steps(model, lambda _, some: plain_step(net, optimisers, some, seen))
    ours = network.generator, network.critic.gaussian, network.critic.value
    assert_alike(zip((net[n] for n in ("generator", "gaussian", "value")), ours, strict=True))
    torch.testing.assert_close(net["centres"], network.centres, rtol=1e-9, atol=1e-11)
    assert float(network.multiplier) == pytest.approx(net["multiplier"], rel=1e-6)
    assert net["multiplier"] > 0 and not torch.equal(before, network.centres)


def test_a_step_moves_these_parts():
    assert moved(RFF) == {"generator", "critic", "centres", "multiplier"}


def test_the_multiplier_stops_at_0_where_the_bound_is_not_reached():
    model = model_of(RFF, bound=1000.0)
    (batch,) = batches(1)
    assert float(model.critic_step(batch)["information"].detach()) < 0
    assert float(model.network.multiplier) == 0


def test_information_is_the_divergence_from_a_standard_gaussian():
    rng = np.random.default_rng(0)
    mean, deviation = rng.normal(size=(4, 3)), rng.uniform(0.2, 0.9, (4, 3))
    made, standard = (
        torch.distributions.Normal(torch.from_numpy(m), torch.from_numpy(s))
        for m, s in ((mean, deviation), (0 * mean, 1 + 0 * mean))
    )
    expected = torch.distributions.kl_divergence(made, standard).sum(dim=1).mean()
    found = information(torch.from_numpy(mean), torch.from_numpy(deviation))
    assert float(found) == pytest.approx(float(expected), rel=1e-5)


def test_the_classifier_gets_means_of_real_and_of_synthetic_features():
    model = model_of(RFF, latent=5)
    (batch,) = batches(1)
    with torch.no_grad():
        mean, _ = model.network.critic.encode(batch.features)
        torch.testing.assert_close(model.represent(batch.features), mean)
        torch.manual_seed(3)
        found = model.synthesise(batch.attributes)
        torch.manual_seed(3)
        fake = model.network.generator(torch.randn_like(batch.attributes), batch.attributes)
        torch.testing.assert_close(found, model.represent(fake))
