"""CE-GZSL: its contrasts by plain numpy, and its steps by a plain loop on the same noise."""

import numpy as np
import pytest
import torch
from generators import SEEN, B, D, H, K, assert_alike, batches, model_of, moved, steps
from plain import adam_of, alike, both, layers, plain_critic_step
from torch import nn
from torch.nn import functional as F

from zslbench.methods.ce_gzsl import CEGZSL
from zslbench.nn.losses import supervised_contrast
from zslbench.nn.relation import Relation

E, Z, C = 9, 4, 11
SIZES = {"embedding": E, "projection": Z, "comparator": C}


def plain_contrast(rows, labels, temperature):
    """Khosla et al.'s Eq. 2, anchor by anchor."""
    losses = []
    for i in range(len(rows)):
        others = [j for j in range(len(rows)) if j != i]
        alike = [j for j in others if labels[j] == labels[i]]
        total = sum(np.exp(rows[i] @ rows[j] / temperature) for j in others)
        shares = [np.log(np.exp(rows[i] @ rows[j] / temperature) / total) for j in alike]
        losses += [-np.mean(shares)] if alike else []
    return np.mean(losses) if losses else 0.0


@pytest.mark.parametrize("labels", [[0, 1, 0, 2, 2, 0], [3, 3, 3, 3, 3, 3], [0, 1, 2, 3, 4, 4]])
@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_contrast_equals_its_definition(labels, temperature):
    rows = np.random.default_rng(1).normal(size=(6, 4))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    expected = plain_contrast(rows, labels, temperature)
    found = supervised_contrast(torch.from_numpy(rows), torch.tensor(labels), temperature)
    assert float(found) == pytest.approx(expected, rel=1e-9)


def test_a_batch_of_classes_of_one_item_contrasts_nothing():
    rows = F.normalize(torch.randn(5, 3, dtype=torch.float64), dim=1).requires_grad_()
    loss = supervised_contrast(rows, torch.arange(5), 0.1)
    loss.backward()
    assert float(loss.detach()) == 0
    assert not rows.grad.any()


def test_relation_scores_every_pair_as_a_network_of_their_concatenation():
    torch.manual_seed(0)
    relation = Relation(D, K, H, nn.LeakyReLU(0.2))
    features, attributes = torch.randn(B, D), torch.randn(SEEN, K)
    plain = alike(layers(D + K, H, 1), relation)
    pairs = torch.stack([torch.cat([x, a]) for x in features for a in attributes])
    torch.testing.assert_close(relation(features, attributes), plain(pairs).view(B, SEEN))


def plain_step(net, optimisers, batches, table, **settings):
    """One step of the generator, after those of all that judges, one for each batch."""
    tau_i, tau_c, w_i, w_c, penalty = (settings[name] for name in (
        "instance_temperature", "class_temperature", "instance_weight", "class_weight", "penalty",
    ))  # fmt: skip

    def items(embedded, labels, *others):
        rows = torch.cat([F.normalize(net["project"](h), dim=1) for h in (embedded, *others)])
        labels, found = labels.repeat(1 + len(others)), []
        for i in range(len(rows)):
            apart = torch.cat([rows[:i], rows[i + 1 :]]) @ rows[i] / tau_i
            alike = torch.cat([labels[:i], labels[i + 1 :]]) == labels[i]
            if alike.any():
                found.append(-F.log_softmax(apart, dim=0)[alike].mean())
        return torch.stack(found).mean()

    def classes(embedded, labels):
        pairs = [torch.stack([net["compare"](torch.cat([h, a]))[0] for a in table])
                 for h in embedded]  # fmt: skip
        return F.nll_loss(F.log_softmax(torch.stack(pairs) / tau_c, dim=1), labels)

    judges = [net[name] for name in ("embed", "project", "compare")]
    for real, attributes, labels in batches:
        for part in judges:
            part.zero_grad()
        with torch.no_grad():
            fake = net["generator"](both(torch.randn_like(attributes), attributes))
        critic = net["critic"], optimisers["critic"]
        plain_critic_step(*critic, real, fake, attributes, 1.0, penalty)
        embedded = net["embed"](real)
        (items(embedded, labels) + classes(embedded, labels)).backward()
        optimisers["judges"].step()
    net["generator"].zero_grad()
    fake = net["generator"](both(torch.randn_like(attributes), attributes))
    embedded = net["embed"](fake)
    loss = -net["critic"](both(fake, attributes)).mean() + w_c * classes(embedded, labels)
    (loss + w_i * items(embedded, labels, net["embed"](real).detach())).backward()
    optimisers["generator"].step()


def test_steps_equal_the_plain_loop():
    weights = {"instance_temperature": 0.5, "class_temperature": 2.0, "instance_weight": 0.7,
               "class_weight": 0.4, "penalty": 3.0}  # fmt: skip
    model = model_of(CEGZSL, **SIZES, **weights)
    network = model.network
    net = {
        "generator": alike(layers(2 * K, H, D, last=nn.ReLU()), network.generator),
        "critic": alike(layers(D + K, H, 1), network.critic),
        "embed": alike(layers(D, E, last=nn.ReLU()), network.embed),
        "project": alike(nn.Linear(E, Z), network.project),
        "compare": alike(layers(E + K, C, 1), network.compare),
    }
    optimisers = {
        "generator": adam_of(1e-3, net["generator"]),
        "critic": adam_of(1e-3, net["critic"]),
        "judges": adam_of(1e-3, *(net[name] for name in ("embed", "project", "compare"))),
    }
    table = network.table[:SEEN]
    before = network.project.weight.detach().clone()
    steps(model, lambda _, given: plain_step(net, optimisers, given, table, **weights))
    assert_alike((net[name], getattr(network, name)) for name in net)
    assert not torch.equal(before, network.project.weight)


def test_a_step_moves_all_but_the_final_classifier():
    expected = {"generator", "critic", "embed", "project", "compare"}
    assert moved(CEGZSL, **SIZES) == expected


def test_the_classifier_gets_embeddings_of_real_and_of_synthetic_features_alike():
    model = model_of(CEGZSL, **SIZES)
    attributes = torch.rand(3, K, dtype=torch.float64)
    torch.manual_seed(2)
    found = model.synthesise(attributes)
    torch.manual_seed(2)
    torch.testing.assert_close(found, model.network.embed(model.generated(attributes)))
    batch = next(batches(1))
    torch.testing.assert_close(model.represent(batch.features), model.network.embed(batch.features))


def test_the_items_contrast_is_worth_nothing_at_weight_0():
    model = model_of(CEGZSL, **SIZES, instance_weight=0.0, class_weight=0.0)
    terms = model.generator_losses(next(batches(1)))
    assert not terms["fake items"].any() and not terms["fake classes"].any()
