"""Steps of f-CLSWGAN, TF-VAEGAN and FREE against plain loops, on the same weights and noise."""

from itertools import cycle

import numpy as np
import pytest
import torch
from plain import alike, layers, plain_clswgan_step, plain_tf_vaegan_step
from torch import nn

from zslbench.method import TrainSet
from zslbench.method.generative import Batch
from zslbench.methods.f_clswgan import FCLSWGAN
from zslbench.methods.free import FREE, drawn, nearest_others, samc
from zslbench.methods.tf_vaegan import TFVAEGAN

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


def model_of(cls, **settings):
    """A method set up in float64, with weights large enough for every term to matter."""
    rng = np.random.default_rng(5)
    train = TrainSet(
        np.zeros((B, D)), np.zeros(B, dtype=np.int64), rng.random((SEEN, K)),
        unseen_attributes=rng.random((UNSEEN, K)),
    )  # fmt: skip
    model = cls(cls.Config.model_validate(SMALL | settings), 0)
    model.setup(train)
    with torch.no_grad():
        for parameter in model.network.parameters():
            parameter.mul_(15).add_(0.01)
    model.network.double()
    model.optimisers = model.make_optimisers()
    return model


def adam_of(parts, lr, beta=0.5):
    return torch.optim.Adam([p for part in parts for p in part.parameters()], lr, (beta, 0.999))


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


def assert_alike(pairs):
    for plain, ours in pairs:
        for mine, its in zip(plain.parameters(), ours.parameters(), strict=True):
            torch.testing.assert_close(mine, its, rtol=1e-9, atol=1e-11)


def test_steps_of_f_clswgan_equal_the_plain_loop():
    model = model_of(FCLSWGAN, penalty=3.0, beta=0.7)
    network = model.network
    net = {
        "generator": alike(layers(2 * K, H, D, last=nn.ReLU()), network.generator),
        "critic": alike(layers(D + K, H, 1), network.critic),
        "judge": alike(layers(D, SEEN), network.preclassifier),
    }
    optimisers = {name: adam_of([net[name]], 1e-3) for name in ("generator", "critic")}
    before = network.generator.features.weight.detach().clone()
    steps(model, lambda _, given: plain_clswgan_step(net, optimisers, given, 3.0, 0.7))
    assert_alike([(net["generator"], network.generator), (net["critic"], network.critic)])
    assert_alike([(net["judge"], network.preclassifier)])
    assert not torch.equal(before, network.generator.features.weight)


def plain_tf_vaegan(network):
    net = {
        "encoder": alike(
            nn.Sequential(*layers(D + K, H, 2 * K)), network.encoder.hidden
        ),
        "mean": alike(nn.Linear(2 * K, K), network.encoder.mean),
        "log_variance": alike(nn.Linear(2 * K, K), network.encoder.log_variance),
        "generator": alike(layers(2 * K, H, D, last=nn.Sigmoid()), network.generator),
        "critic": alike(layers(D + K, H, 1), network.critic),
        "decoder": alike(layers(D, H, K), network.decoder),
        "feedback": alike(layers(H, H, H, last=nn.LeakyReLU(0.2)), network.feedback),
    }  # fmt: skip
    optimisers = {
        "encoder": adam_of([net["encoder"], net["mean"], net["log_variance"]], 1e-3, 0.9),
        "generator": adam_of([net["generator"]], 1e-3),
        "critic": adam_of([net["critic"]], 1e-3),
        "decoder": adam_of([net["decoder"]], 2e-3),
        "feedback": adam_of([net["feedback"]], 3e-3),
    }
    return net, optimisers


@pytest.mark.parametrize("feedback", [True, False])
def test_steps_of_tf_vaegan_equal_the_plain_loop(feedback):
    """One batch is a pass here: the second step is the first with feedback."""
    rates = {"decoder_lr": 2e-3, "feedback_lr": 3e-3}
    model = model_of(TFVAEGAN, **rates, feedback=feedback, recons=0.4, gamma=3.0)
    network, weights = model.network, [10.0]
    net, optimisers = plain_tf_vaegan(network)

    def plain(number, given):
        fed = feedback and number % 2 == 1
        raw = plain_tf_vaegan_step(
            net, optimisers, given, weights[-1], fed=fed, gamma=3.0, recons=0.4
        )
        weights.append(weights[-1] * (1.1 if raw > 1.05 else 1 / 1.1 if raw < 1.001 else 1))

    before = network.feedback[0].weight.detach().clone()
    steps(model, plain)
    ours = network.encoder.hidden, network.encoder.mean, network.encoder.log_variance
    assert_alike(zip((net["encoder"], net["mean"], net["log_variance"]), ours, strict=True))
    assert_alike((net[name], getattr(network, name)) for name in ("generator", "critic", "decoder"))
    assert_alike([(net["feedback"], network.feedback)])
    assert torch.equal(before, network.feedback[0].weight) == (not feedback)
    assert float(network.penalty) == pytest.approx(weights[-1]) and weights[-1] != 10


def moved(cls, **settings):
    """What a step of a method changes: the parts, by name."""
    model = model_of(cls, **settings)
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    model.step(cycle(batches(3)).__next__, 0)
    after = model.network.state_dict()
    return {name.split(".")[0] for name in after if not torch.equal(after[name], before[name])}


BOTH = {"encoder", "generator", "critic"}


@pytest.mark.parametrize(
    ("cls", "settings", "expected"),
    [
        (TFVAEGAN, {}, BOTH | {"decoder", "penalty"}),
        (TFVAEGAN, {"penalty_rule": "fixed"}, BOTH | {"decoder"}),
        (FREE, {"penalty_rule": "fixed"}, BOTH | {"refinement"}),
        (FREE, {"penalty_rule": "fixed", "nearest": True}, BOTH | {"refinement"}),
    ],
)
def test_a_step_moves_these_parts(cls, settings, expected):
    assert moved(cls, **settings) == expected


@pytest.mark.parametrize(("cls", "name"), [(TFVAEGAN, "decoder"), (FREE, "refinement")])
def test_a_frozen_decoder_learns_from_real_features_alone(cls, name):
    assert name in model_of(cls).trained(0)
    assert name not in model_of(cls, freeze_decoder=True).trained(0)


def test_the_critic_sees_fakes_of_encoded_features_or_of_noise():
    (batch,) = batches(1)
    for encoded in (True, False):
        model = model_of(TFVAEGAN, encoded_noise=encoded)
        torch.manual_seed(0)
        found = model.noise(batch).detach()
        torch.manual_seed(0)
        noise = torch.randn_like(batch.attributes)
        mean, log_variance = model.network.encoder(batch.features, batch.attributes)
        told = (mean + (log_variance / 2).exp() * noise).detach()
        torch.testing.assert_close(found, told if encoded else noise)
        assert torch.allclose(found, noise) != encoded


def test_feedback_adds_a_share_of_what_the_first_features_decode_to():
    network = model_of(TFVAEGAN).network
    noise, attributes = torch.randn(3, K).double(), torch.rand(3, K).double()
    with torch.no_grad():
        first = network.generator(noise, attributes)
        fed = network.feedback(network.decoder.hidden(first))
        expected = network.generator(noise, attributes, 0.3 * fed)
        torch.testing.assert_close(network.fed_back(noise, attributes, 0.3), expected)
        torch.testing.assert_close(network.fed_back(noise, attributes, 0.0), first)
        rows = torch.linalg.vector_norm(network.decoder(first), dim=1)
    torch.testing.assert_close(rows, torch.ones_like(rows))


@pytest.mark.parametrize("nearest", [True, False])
def test_the_center_loss_equals_loops(nearest):
    rng = np.random.default_rng(0)
    means, centres = rng.normal(size=(20, K)), rng.normal(size=(SEEN, K))
    labels = rng.integers(0, SEEN, 20)
    model = model_of(FREE, nearest=nearest)
    with torch.no_grad():
        model.network.refinement.centres.copy_(torch.from_numpy(centres))
    others = model.others(torch.from_numpy(means), torch.from_numpy(labels)).numpy()
    total = 0.0
    for mean, label, other in zip(means, labels, others, strict=True):
        distances = [sum((m - c) ** 2 for m, c in zip(mean, row, strict=True)) for row in centres]
        assert other != label
        wrong = [d if c != label else np.inf for c, d in enumerate(distances)]
        assert not nearest or other == np.argmin(wrong)
        total += max(0.0, 4.0 + 0.8 * distances[label] - 0.2 * distances[other])
    tensors = map(torch.from_numpy, (means, centres, labels, others))
    assert float(samc(*tensors, margin=4.0, balance=0.8)) == pytest.approx(total / 20)
    assert nearest or len(set(others - labels)) > 4


def test_refined_features_are_drawn_around_their_means():
    torch.manual_seed(0)
    mean, deviation = torch.full((40_000, 1), 0.4), torch.full((40_000, 1), 0.7)
    raw = torch.logit(drawn(mean, deviation))
    assert float(raw.mean()) == pytest.approx(0.4, abs=0.02)
    assert float(raw.std()) == pytest.approx(0.7, rel=0.02)


@pytest.mark.parametrize(("refined", "alone"), [("mean", True), ("sampled", False)])
def test_a_sampled_refinement_makes_scores_depend_on_the_batch(refined, alone):
    """As the released code has it; asked for twice, they are the same."""
    model, items = model_of(FREE, refined=refined), np.random.default_rng(0).random((4, D))
    model.network.float()
    model.network.table = model.network.table.double()
    table = model.network.table.numpy()
    together = model.scores(items, table)
    np.testing.assert_array_equal(together, model.scores(items, table))
    assert np.allclose(together[2:3], model.scores(items[2:3], table), atol=1e-5) == alone


def test_nearest_others_pass_over_the_own_class():
    centres = torch.tensor([[0.0], [1.0], [5.0]])
    means, labels = torch.tensor([[0.1], [0.1], [4.0]]), torch.tensor([0, 2, 2])
    assert nearest_others(means, centres, labels).tolist() == [1, 0, 1]
