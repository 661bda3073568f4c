"""Steps of f-CLSWGAN, TF-VAEGAN and FREE against plain loops, on the same weights and noise."""

import numpy as np
import pytest
import torch
from generators import SEEN, D, K, assert_alike, batches, model_of, moved, steps
from plain import (
    plain_clswgan,
    plain_clswgan_step,
    plain_free,
    plain_free_step,
    plain_tf_vaegan,
    plain_tf_vaegan_step,
)

from zslbench.method.registry import load_method
from zslbench.methods.f_clswgan import FCLSWGAN
from zslbench.methods.free import FREE, drawn
from zslbench.methods.tf_vaegan import TFVAEGAN
from zslbench.nn.losses import center_loss, other_classes


def test_steps_of_f_clswgan_equal_the_plain_loop():
    model = model_of(FCLSWGAN, penalty=3.0, beta=0.7)
    network = model.network
    net, optimisers = plain_clswgan(network, 1e-3)
    before = network.generator.features.weight.detach().clone()
    steps(model, lambda _, given: plain_clswgan_step(net, optimisers, given, 3.0, 0.7))
    assert_alike([(net["generator"], network.generator), (net["critic"], network.critic)])
    assert_alike([(net["judge"], network.preclassifier)])
    assert not torch.equal(before, network.generator.features.weight)


@pytest.mark.parametrize("encoded", [True, False])
@pytest.mark.parametrize("feedback", [True, False])
def test_steps_of_tf_vaegan_equal_the_plain_loop(feedback, encoded):
    """One batch is a pass here: the second step is the first with feedback."""
    told = {"recons": 0.4, "gamma": 3.0, "a1": 0.3}
    given = {"decoder_lr": 2e-3, "feedback_lr": 3e-3, "a2": 0.9, "encoded_noise": encoded}
    model = model_of(TFVAEGAN, **given, **told, feedback=feedback)
    network, weights = model.network, [10.0]
    net, optimisers = plain_tf_vaegan(network, 1e-3, 2e-3, 3e-3)

    def plain(number, given):
        fed = feedback and number % 2 == 1
        raw = plain_tf_vaegan_step(
            net, optimisers, given, weights[-1], fed=fed, encoded=encoded, **told
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


@pytest.mark.parametrize("nearest", [True, False])
def test_steps_of_free_equal_the_plain_loop(nearest):
    told = {"gamma": 3.0, "recons": 0.4, "center_weight": 0.6, "margin": 9.0, "balance": 0.7}
    model = model_of(FREE, **told, nearest=nearest, decoder_lr=2e-3)
    network, weights = model.network, [10.0]
    net, optimisers = plain_free(network, 1e-3, 2e-3)

    def plain(_, given):
        raw = plain_free_step(
            net, optimisers, given, weights[-1], nearest=nearest, settings=tuple(told.values())
        )
        weights.append(weights[-1] * (1.1 if raw > 1.05 else 1 / 1.1 if raw < 1.001 else 1))

    before = network.refinement.centres.detach().clone()
    steps(model, plain)
    ours = network.encoder.hidden, network.encoder.mean, network.encoder.log_variance
    assert_alike(zip((net["encoder"], net["mean"], net["log_variance"]), ours, strict=True))
    assert_alike((net[name], getattr(network, name)) for name in ("generator", "critic"))
    part = network.refinement
    assert_alike([(net["refinement"], torch.nn.ModuleList([part.first, part.last]))])
    torch.testing.assert_close(net["centres"][0], part.centres, rtol=1e-9, atol=1e-11)
    assert not torch.equal(before, part.centres)
    assert float(network.penalty) == pytest.approx(weights[-1]) and weights[-1] != 10


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


@pytest.mark.parametrize("feedback", [True, False])
def test_features_of_unseen_classes_are_corrected_by_the_share_of_synthesis(feedback):
    model = model_of(TFVAEGAN, a1=0.3, a2=0.9, feedback=feedback)
    network, attributes = model.network, torch.rand(3, K).double()
    with torch.no_grad():
        torch.manual_seed(0)
        found = model.synthesise(attributes)
        torch.manual_seed(0)
        noise = torch.randn_like(attributes)
        features = network.generator(noise, attributes)
        if feedback:
            fed = network.feedback(network.decoder.hidden(features))
            features = network.generator(noise, attributes, 0.9 * fed)
        parts = features, network.decoder.hidden(features), network.decoder(features)
    torch.testing.assert_close(found, torch.cat(parts, dim=1))


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
    drawn_from = map(torch.from_numpy, (means, centres, labels))
    others = other_classes(*drawn_from, nearest).numpy()
    total = 0.0
    for mean, label, other in zip(means, labels, others, strict=True):
        distances = [sum((m - c) ** 2 for m, c in zip(mean, row, strict=True)) for row in centres]
        assert other != label
        wrong = [d if c != label else np.inf for c, d in enumerate(distances)]
        assert not nearest or other == np.argmin(wrong)
        total += max(0.0, 4.0 + 0.8 * distances[label] - 0.2 * distances[other])
    tensors = map(torch.from_numpy, (means, centres, labels, others))
    assert float(center_loss(*tensors, 4.0, 0.8, 0.2)) == pytest.approx(total / 20)
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
    assert other_classes(means, centres, labels, nearest=True).tolist() == [1, 0, 1]


ALL = {"hidden": 4096, "penalty": 10, "classifier_epochs": 25}
SCRIPTS = {  # batches of an epoch, times passes, epochs; what else the released scripts say
    ("f_clswgan", "CUB"): (111, 1, 56, {"lr": 1e-4, "syn_num": 300, "beta": 0.01}),
    ("f_clswgan", "AWA1"): (310, 1, 30, {"lr": 1e-5, "syn_num": 1800, "beta": 0.01}),
    ("f_clswgan", "AWA2"): (368, 1, 30, {"lr": 1e-5, "syn_num": 1800, "beta": 0.01}),
    ("f_clswgan", "SUN"): (162, 1, 40, {"lr": 2e-4, "syn_num": 400, "beta": 0.01}),
    ("f_clswgan", "FLO"): (88, 1, 80, {"lr": 1e-4, "syn_num": 1200, "beta": 0.1}),
    ("tf_vaegan", "CUB"): (111, 2, 300, {
        "lr": 1e-4, "syn_num": 300, "feedback_lr": 1e-5, "a1": 1, "a2": 1, "recons": 0.01,
        "gamma": 10, "freeze_decoder": False, "classifier_lr": 1e-3, "encoded_noise": True,
    }),
    ("tf_vaegan", "AWA2"): (368, 2, 120, {
        "lr": 1e-5, "syn_num": 1800, "feedback_lr": 1e-4, "a1": 0.01, "a2": 0.01, "recons": 0.1,
        "gamma": 10, "freeze_decoder": True, "classifier_lr": 1e-3, "encoded_noise": True,
    }),
    ("tf_vaegan", "SUN"): (162, 2, 400, {
        "lr": 1e-3, "syn_num": 400, "feedback_lr": 1e-4, "a1": 0.1, "a2": 0.01, "recons": 0.01,
        "gamma": 1, "freeze_decoder": False, "classifier_lr": 5e-4, "encoded_noise": True,
    }),
    ("tf_vaegan", "FLO"): (88, 2, 500, {
        "lr": 1e-4, "syn_num": 1200, "feedback_lr": 1e-5, "a1": 0.5, "a2": 0.5, "recons": 0.01,
        "gamma": 10, "freeze_decoder": False, "classifier_lr": 1e-3, "encoded_noise": False,
    }),
    ("free", "CUB"): (111, 2, 500, {
        "lr": 1e-4, "syn_num": 700, "margin": 200, "balance": 0.8, "recons": 0.001, "gamma": 10,
        "nearest": False, "freeze_decoder": False, "critic_steps": 1, "classifier_lr": 1e-3,
    }),
    ("free", "AWA1"): (310, 2, 300, {
        "lr": 1e-5, "syn_num": 4600, "margin": 50, "balance": 0.1, "recons": 0.001, "gamma": 10,
        "nearest": True, "freeze_decoder": True, "critic_steps": 1, "classifier_lr": 1e-3,
    }),
    ("free", "AWA2"): (368, 2, 400, {
        "lr": 1e-5, "syn_num": 4600, "margin": 50, "balance": 0.5, "recons": 0.001, "gamma": 10,
        "nearest": True, "freeze_decoder": True, "critic_steps": 1, "classifier_lr": 1e-3,
    }),
    ("free", "SUN"): (21, 2, 600, {
        "lr": 2e-4, "syn_num": 300, "margin": 120, "balance": 0.8, "recons": 0.1, "gamma": 1,
        "nearest": False, "freeze_decoder": False, "critic_steps": 1, "classifier_lr": 5e-4,
    }),
    ("free", "FLO"): (22, 2, 500, {
        "lr": 1e-4, "syn_num": 2400, "margin": 200, "balance": 0.8, "recons": 0.001, "gamma": 10,
        "nearest": False, "freeze_decoder": False, "critic_steps": 5, "classifier_lr": 1e-3,
        "encoded_noise": False,
    }),
    ("rff", "CUB"): (14, 1, 208, {
        "lr": 1e-4, "syn_num": 400, "margin": 190, "beta": 0.2, "bound": 0.1, "center_weight": 0.1,
        "latent": 1024, "nearest": False, "critic_steps": 5, "classifier_lr": 1e-3,
    }),
}  # fmt: skip
BATCHES = {("free", "SUN"): 512, ("free", "FLO"): 256, ("rff", "CUB"): 512}


@pytest.mark.parametrize(("name", "preset"), SCRIPTS)
def test_presets_are_what_the_released_scripts_say(name, preset):
    batches_an_epoch, passes, epochs, expected = SCRIPTS[name, preset]
    config = load_method(name).Config.parse({"preset": preset}, name)
    assert config.epochs * config.steps == batches_an_epoch * passes * epochs
    assert {key: getattr(config, key) for key in ALL | expected} == ALL | expected
    assert config.classifier_batch == config.syn_num
    assert config.batch_size == BATCHES.get((name, preset), 64)
    assert getattr(config, "decoder_lr", 1e-4) == 1e-4


OTHERS = {  # steps of an epoch times epochs, and the settings, of README, scripts and authors
    ("ce_gzsl", "CUB"): (4 * 450, {"syn_num": 100, "comparator": 2048, "batch_size": 2048}),
    ("ce_gzsl", "AWA1"): (5 * 130, {"syn_num": 1800, "comparator": 2048, "batch_size": 4096}),
    ("ce_gzsl", "AWA2"): (6 * 130, {"syn_num": 2400, "comparator": 2048, "batch_size": 4096}),
    ("ce_gzsl", "SUN"): (6 * 1000, {
        "syn_num": 100, "comparator": 1024, "lr": 5e-5, "instance_weight": 0.01,
        "class_weight": 0.01, "batch_size": 2048,
    }),
    ("ce_gzsl", "FLO"): (3 * 750, {
        "syn_num": 600, "comparator": 1024, "lr": 1e-4, "instance_weight": 0.01,
        "class_weight": 0.01, "batch_size": 2048,
    }),
    ("sdgzsl", "CUB"): (110 * 600, {
        "syn_num": 1000, "semantic": 2048, "relation": 5, "correlation_weight": 0.003,
        "discriminator": 0.3, "lr": 1e-4, "classifier_lr": 2e-3, "kl_end": 0.001 * 600,
        "correlation_end": 0.0001 * 600, "weight_decay": 1e-8, "encoder_dropout": 0.1,
        "decoder_dropout": 0.1, "generator_steps": 3, "autoencoder_dropout": 0,
    }),
    ("sdgzsl", "AWA2"): (367 * 220, {
        "syn_num": 5000, "semantic": 1024, "relation": 0.5, "correlation_weight": 1,
        "discriminator": 0.3, "lr": 3e-5, "classifier_lr": 3e-3, "kl_end": 0.01 * 220,
        "correlation_end": 0.001 * 220, "weight_decay": 1e-6, "encoder_dropout": 0.4,
        "decoder_dropout": 0.5, "generator_steps": 2, "autoencoder_dropout": 0.2,
    }),
    ("sdgzsl", "SUN"): (161 * 400, {
        "syn_num": 400, "semantic": 2048, "relation": 30, "correlation_weight": 0.3,
        "discriminator": 0.5, "lr": 3e-4, "classifier_lr": 1e-3, "kl_end": 0.001 * 400,
        "correlation_end": 0.0003 * 400, "weight_decay": 1e-6, "encoder_dropout": 0.4,
        "decoder_dropout": 0.2, "generator_steps": 3, "autoencoder_dropout": 0.4,
    }),
    ("hsva", "CUB"): (142 * 500, {"classifier_epochs": 23, "latent": 64, "coarse": 2048}),
    ("hsva", "AWA1"): (397 * 500, {"classifier_epochs": 33, "latent": 64, "coarse": 2048}),
    ("hsva", "AWA2"): (471 * 500, {"classifier_epochs": 50, "latent": 64, "coarse": 2048}),
    ("hsva", "SUN"): (207 * 500, {"classifier_epochs": 21, "latent": 128, "coarse": 2048}),
}  # fmt: skip


@pytest.mark.parametrize(("name", "preset"), OTHERS)
def test_presets_are_what_else_was_released(name, preset):
    steps_in_all, expected = OTHERS[name, preset]
    config = load_method(name).Config.parse({"preset": preset}, name)
    assert config.epochs * config.steps == steps_in_all
    assert {key: getattr(config, key) for key in expected} == pytest.approx(expected)


def test_every_preset_has_its_source():
    names = ("f_clswgan", "tf_vaegan", "free", "rff", "ce_gzsl", "sdgzsl", "hsva")
    presets = {(name, key) for name in names for key in load_method(name).Config.presets}
    assert presets == SCRIPTS.keys() | OTHERS.keys()
