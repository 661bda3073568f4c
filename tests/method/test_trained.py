"""The training loop: schedule, what it moves, what it repeats, and where it goes on."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from overfitting import KNOWN, fitted_to_know

from zslbench.method import TrainSet
from zslbench.method.conformance import FEW_BIRDS, toy_for
from zslbench.method.trained import class_logits
from zslbench.methods.svip import SVIP
from zslbench.methods.vit_attr_head import ViTAttributeHead
from zslbench.methods.zeromamba import ZeroMamba
from zslbench.methods.zslvit import ZSLViT
from zslbench.nn.images import augment, normalise
from zslbench.seeding import generator
from zslbench.store.checkpoints import Progress, Slot


@pytest.fixture(scope="module")
def world():
    return toy_for(SVIP)


def few(world, number):
    """A train set of a few images, spread over all classes."""
    train = world.train_set(SVIP)
    items = np.linspace(0, len(train.labels) - 1, number).astype(int)
    return replace(train, inputs=train.inputs[items], labels=train.labels[items])


def fitted(world, epochs=1, number=64, method=ViTAttributeHead, **settings):
    model = method(method.Config(epochs=epochs, batch_size=16, **settings), 0)
    losses = [dict(epoch.losses) for epoch in model.fit(few(world, number))]
    return model, losses


@pytest.fixture(scope="module")
def undisturbed(world):
    """A config, its train set, the model fitted in one go, and the losses of its epochs."""
    config, train = SVIP.Config(epochs=4, frozen_epochs=2, batch_size=16), few(world, 40)
    model = SVIP(config, 5)
    return config, train, model, [epoch.losses for epoch in model.fit(train)]


@pytest.mark.parametrize("killed_after", [1, 2, 3])
def test_fit_resumed_from_a_checkpoint_gives_the_same_bits(undisturbed, tmp_path, killed_after):
    config, train, whole, losses = undisturbed
    first, slot = SVIP(config, 5), Slot(tmp_path / "slot")
    for epoch in first.fit(train):
        slot.save(epoch.number, first.checkpoint(), Progress())
        if epoch.number == killed_after:
            break
    state, _ = slot.load()
    resumed = SVIP(config, 5)
    assert [epoch.losses for epoch in resumed.fit(train, state)] == losses[killed_after:]
    for name, value in whole.state().items():
        np.testing.assert_array_equal(resumed.state()[name], value, err_msg=name)


def test_the_rate_rises_over_the_warm_up_and_falls_as_a_cosine(world):
    model, _ = fitted(world, lr=1e-3, backbone_lr=1e-4, warmup=0.2)
    rates = []
    for step in range(20):
        model._set_rate(step, 20)
        rates.append([group["lr"] for group in model.optimiser.param_groups])
    head, backbone = np.array(rates).T
    np.testing.assert_allclose(head[:4], 1e-3 * np.array([0.25, 0.5, 0.75, 1]))
    half = [(1 + math.cos(math.pi * k / 16)) / 2 for k in range(16)]
    np.testing.assert_allclose(head[4:], 1e-3 * np.array(half))
    np.testing.assert_allclose(backbone, head / 10)


def moved(world, method, **settings):
    """Names of parameters that one epoch changes."""
    model = method(method.Config(epochs=1, batch_size=32, warmup=0.0, **settings), 0)
    model.setup(few(world, 64))
    before = {k: v.clone() for k, v in model.network.state_dict().items()}
    for _ in model.fit(few(world, 64)):
        pass
    after = model.network.state_dict()
    return {name for name in before if not torch.equal(before[name], after[name])}, set(before)


@pytest.mark.parametrize("method", [ViTAttributeHead, SVIP])
def test_a_frozen_backbone_does_not_move_and_all_else_does(world, method):
    changed, names = moved(world, method, backbone_lr=0.0)
    assert changed == {n for n in names if not n.startswith("backbone.") and n != "words"}


@pytest.mark.parametrize("method", [ViTAttributeHead, SVIP, ZSLViT, ZeroMamba])
def test_the_backbone_rests_in_frozen_epochs_and_is_trained_after_them(method):
    train = few(toy_for(method, birds=FEW_BIRDS), 32)
    model = method(method.Config(epochs=3, frozen_epochs=2, batch_size=16), 0)
    model.setup(train)
    start = {name: value.clone() for name, value in model.network.state_dict().items()}
    for epoch in model.fit(train):
        state = model.network.state_dict()
        moved = {name for name in start if not torch.equal(start[name], state[name])}
        frozen = epoch.number <= 2
        assert any(name.startswith("backbone.") for name in moved) != frozen
        assert any(not name.startswith("backbone.") for name in moved)
        assert all((p.grad is None) == frozen for p in model.tunable)
    assert model.tunable


def test_a_schedule_that_is_frozen_throughout_equals_a_frozen_backbone(world):
    throughout, never = (
        fitted(world, 2, 32, **settings)[0].state()
        for settings in ({"frozen_epochs": 2}, {"backbone_lr": 0.0})
    )
    assert throughout.keys() == never.keys()
    for name, value in never.items():
        np.testing.assert_array_equal(throughout[name], value, err_msg=name)


@pytest.mark.parametrize("method", [ViTAttributeHead, SVIP])
def test_fine_tuning_moves_everything_but_the_words(world, method):
    changed, names = moved(world, method)
    assert changed == names - {"words"}


def test_without_clipping_large_gradients_reach_the_parameters(world, monkeypatch):
    called = []
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", lambda *a: called.append(a[1]))
    fitted(world, clip=0.0)
    assert not called
    fitted(world, clip=0.5)
    assert set(called) == {0.5}


def test_losses_are_reported_by_term_and_in_total(world):
    _, (losses,) = fitted(world, method=SVIP)
    assert losses.keys() == {"classes", "consistency", "patches", "total"}
    assert losses["total"] == pytest.approx(sum(losses.values()) - losses["total"], rel=1e-5)


def test_a_loss_that_is_not_finite_stops_the_fit_and_says_which(world, monkeypatch):
    def diverge(self, images, labels, table):
        return {"classes": self.logits(images, table).sum() * torch.nan}

    monkeypatch.setattr(ViTAttributeHead, "losses", diverge)
    with pytest.raises(FloatingPointError, match="classes"):
        fitted(world)


def test_classes_are_read_once_for_all_batches_of_scores_in_evaluation_mode(world, monkeypatch):
    model, _ = fitted(world, number=16)
    train, read = few(world, 40), []  # three batches

    def doubled(class_attributes):
        read.append(model.network.training)
        return 2 * class_attributes

    expected = model.scores(train.inputs, 2 * train.class_attributes)
    monkeypatch.setattr(model, "read", doubled)
    model.network.train()
    np.testing.assert_allclose(model.scores(train.inputs, train.class_attributes), expected)
    assert read == [False]


def test_seeds_part_ways(world):
    one, other = (SVIP(SVIP.Config(epochs=1, batch_size=16), seed) for seed in (0, 1))
    first, second = (next(iter(m.fit(few(world, 32)))).losses for m in (one, other))
    assert first != second


def test_augmentation_flips_and_shifts_and_is_drawn_image_by_image():
    image = torch.arange(56 * 56 * 3, dtype=torch.int64).remainder(251).to(torch.uint8)
    images = image.reshape(1, 3, 56, 56).repeat(64, 1, 1, 1)
    seen = augment(images, generator(0, "test"))
    assert seen.shape == images.shape and seen.dtype == torch.uint8
    for one in seen:
        candidates = [
            shifted(base, down, right)
            for base in (images[0], images[0].flip(-1))
            for down in range(-4, 5) for right in range(-4, 5)
        ]  # fmt: skip
        assert any(torch.equal(one, candidate) for candidate in candidates)
    assert len({one.numpy().tobytes() for one in seen}) > 40


def shifted(image, down, right):
    padded = torch.nn.functional.pad(image, (4, 4, 4, 4))
    return padded[:, 4 + down : 60 + down, 4 + right : 60 + right]


def test_images_are_normalised_by_the_backbones_own_statistics():
    class Source:
        mean, deviation = (0.5, 0.25, 0.0), (0.5, 0.25, 1.0)

    batch = np.full((2, 4, 4, 3), 255, dtype=np.uint8)
    found = normalise(batch, Source())
    assert found.shape == (2, 3, 4, 4)
    assert found[0, :, 0, 0].tolist() == [1.0, 3.0, 1.0]


@pytest.mark.parametrize(("how", "expected"), [("cosine", [[2.0, 0.0]]), ("dot", [[20.0, 0.0]])])
def test_logits_are_scaled_cosines_or_dot_products(how, expected):
    found = class_logits(torch.tensor([[5.0, 0.0]]), torch.tensor([[2.0, 0], [0, 3]]), how, 2.0)
    assert found.tolist() == expected


def test_a_trained_method_without_a_backbone_says_so():
    nothing = TrainSet(np.zeros((2, 56, 56, 3), np.uint8), np.zeros(2, np.int64), np.eye(2))
    with pytest.raises(ValueError, match="needs a backbone"):
        ViTAttributeHead(ViTAttributeHead.Config(), 0).setup(nothing)


@pytest.mark.slow
@pytest.mark.parametrize("method", [ViTAttributeHead, SVIP])
def test_64_images_can_be_learnt_by_heart(world, method):
    config = method.Config(
        epochs=60, batch_size=16, augment=False, lr=3e-3, backbone_lr=1e-3, weight_decay=0.0
    )
    train, model = few(world, 64), method(config, 0)
    assert fitted_to_know(model, train) > KNOWN
