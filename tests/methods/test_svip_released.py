"""The released SVIP: each of its ways, computed apart; and its checkpoints."""

import argparse
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax
from timm.models.vision_transformer import VisionTransformer
from torch.nn.functional import cross_entropy

from zslbench.backbones.vit import OpenViT
from zslbench.conformance import toy_for
from zslbench.errors import ZslbenchError
from zslbench.nn.attention import ClassRow
from zslbench_methods.svip import top
from zslbench_methods.svip_released import SVIPReleased, one_way_divergence

K, E = 47, 8


def vit():
    torch.manual_seed(0)
    return VisionTransformer(
        img_size=112, patch_size=8, embed_dim=64, depth=2, num_heads=1, num_classes=0
    )  # fmt: skip


class Grid14:
    mean, deviation, size = (0.5,) * 3, (0.5,) * 3, 112

    @staticmethod
    def build():
        return OpenViT(vit())


@pytest.fixture(scope="module")
def released():
    """The method on a grid of 14, four images, and class attributes."""
    train = toy_for(SVIPReleased).train_set(SVIPReleased)
    model = SVIPReleased(SVIPReleased.Config(epochs=2, M=30), 0)
    model.setup(replace(train, backbone=Grid14()))
    model.network.eval()
    torch.manual_seed(1)
    return model, torch.randn(4, 3, 112, 112), torch.from_numpy(train.class_attributes).float()


def test_scores_are_pooled_over_four_neighbours_in_raster_order(released):
    model, images, _ = released
    rows = []
    tokens = model.network.backbone.tokens(model.network.backbone.embed(images))
    model.network.backbone.encode(tokens, rows.append)
    product = torch.eye(197)
    for weights in rows:
        product = (weights.mean(1) + torch.eye(197)) / 2 @ product
    raster = product[:, 0, 1:].reshape(4, 49, 4).mean(-1)
    row = ClassRow("rollout")
    model.network.encode(model.network.embed(images), row)
    torch.testing.assert_close(model.network.patch_scores(row), raster)


def test_e_is_made_channel_by_channel_and_read_slot_by_slot(released):
    net = released[0].network
    by_attribute = net.word_to_width(net.words)
    e = torch.stack([
        net.attributes_to_slots.weight[slot] @ by_attribute[:, channel]
        + net.attributes_to_slots.bias[slot]
        for channel in range(64) for slot in range(4)
    ])  # fmt: skip
    torch.testing.assert_close(net.word_patch(), e, rtol=1e-4, atol=1e-5)


def test_losses_are_the_released_ones(released):
    model, images, table = released
    labels = torch.tensor([0, 1, 2, 3])
    found, net = model.losses(images, labels, table), model.network
    patches, row = net.embed(images), ClassRow("rollout")
    final = net.encode(patches, row)[1]
    kept = top(net.patch_scores(row), 30)

    def scores(final, kept):
        attributes = torch.stack(
            [net.to_attributes(f[k]).mean(0) for f, k in zip(final, kept, strict=True)]
        )
        return attributes, attributes @ table.T

    one = scores(final, kept)[1]
    final = net.encode(torch.where(kept[..., None], patches, patches + net.word_patch()))[1]
    near = torch.einsum("bnd,bd->bn", final, final.mean(1))
    attributes, two = scores(final, top(near, 30))
    classes = cross_entropy(5 * one, labels) + cross_entropy(5 * two, labels)
    unrelated = net.patch_classifier(patches)[..., 0].sigmoid()
    bce = -torch.where(kept, 1 - unrelated, unrelated).log().mean()
    norms = [attributes[:, model.groups == g].norm(dim=1).mean() for g in range(11)]
    for name, expected in (
        ("classes", classes), ("patches", 3 * bce), ("decorrelation", 0.09 * sum(norms) / 11),
    ):  # fmt: skip
        torch.testing.assert_close(found[name], expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found["consistency"], one_way_divergence(one, two))


def test_the_divergence_is_kl_of_two_from_one_at_temperature_20_over_all_elements():
    one, two = np.random.default_rng(0).normal(size=(2, 5, 7)) * 30
    p, log_p = softmax(two / 20, axis=1), log_softmax(two / 20, axis=1)
    expected = 400 * np.mean(p * (log_p - log_softmax(one / 20, axis=1)))
    found = one_way_divergence(torch.from_numpy(one), torch.from_numpy(two))
    assert float(found) == pytest.approx(expected)


def test_all_patches_count_at_test_and_the_least_unrelated_are_left_as_they_are(released):
    model, images, table = released
    net = model.network
    patches = net.embed(images)
    unrelated = net.patch_classifier(patches)[..., 0]
    kept = unrelated <= unrelated.sort(dim=1).values[:, 29:30]
    final = net.encode(torch.where(kept[..., None], patches, patches + net.word_patch()))[1]
    expected = 5 * net.to_attributes(final).mean(1) @ table.T
    torch.testing.assert_close(model.logits(images, table), expected)


def small(**settings):
    train = toy_for(SVIPReleased).train_set(SVIPReleased)
    few = replace(train, inputs=train.inputs[:96], labels=train.labels[:96])
    return SVIPReleased(SVIPReleased.Config(batch_size=32, M=30, **settings), 0), few


def test_warm_up_moves_the_heads_alone_and_piles_up_the_backbones_gradients():
    model, few = small(epochs=2, warm_epochs=1)
    epochs = model.fit(few)
    model.setup(few)
    before = {k: v.clone() for k, v in model.network.state_dict().items()}
    next(epochs)
    moved = {k for k, v in model.network.state_dict().items() if not torch.equal(v, before[k])}
    assert moved == {k for k in before if not k.startswith(("backbone.", "words"))}
    assert all(p.grad is not None for p in model.network.backbone.vit.patch_embed.parameters())
    first = model.optimiser
    next(epochs)
    assert model.optimiser is not first
    assert model.optimiser.param_groups[0]["lr"] == pytest.approx(3e-5)


def test_images_come_in_the_order_they_are_filed(monkeypatch):
    model, few = small(epochs=1)
    seen = []
    losses = SVIPReleased.losses

    def seeing(self, images, labels, table):
        seen.extend(labels)
        return losses(self, images, labels, table)

    monkeypatch.setattr(SVIPReleased, "losses", seeing)
    list(model.fit(few))
    assert seen == few.labels.tolist()


@pytest.mark.parametrize("killed_after", [1, 2])
def test_a_resumed_fit_gives_the_same_bits(killed_after):
    whole, few = small(epochs=3, warm_epochs=2)
    losses = [epoch.losses for epoch in whole.fit(few)]
    first, _ = small(epochs=3, warm_epochs=2)
    fit = first.fit(few)
    for _ in range(killed_after):
        next(fit)
    resumed, _ = small(epochs=3, warm_epochs=2)
    assert [e.losses for e in resumed.fit(few, first.checkpoint())] == losses[killed_after:]
    for name, value in whole.state().items():
        np.testing.assert_array_equal(resumed.state()[name], value)


@pytest.mark.slow
def test_64_images_can_be_learnt_by_heart():
    """At rates of a fresh network; the released ones are for one pretrained on ImageNet."""
    model, few = small(epochs=80, warm_epochs=0, lr=2e-3)
    few = replace(few, inputs=few.inputs[:64], labels=few.labels[:64])
    for _ in model.fit(few):
        pass
    found = model.scores(few.inputs, few.class_attributes).argmax(axis=1)
    assert np.mean(found == few.labels) > 0.95


def released_layout(width=64):
    """A state dict as the authors' code would save it."""
    state = {k: v for k, v in vit().state_dict().items() if not k.startswith("head")}
    torch.manual_seed(2)
    for name, shape in {
        "head_1": (K, 4 * width), "token_cls.0": (512, 4 * width), "token_cls.2": (1, 512),
        "v2p": (width, E), "p2t": (4, K),
    }.items():  # fmt: skip
        state |= {f"{name}.weight": torch.randn(shape), f"{name}.bias": torch.randn(shape[0])}
    return state


WORDS = np.random.default_rng(3).normal(size=(K, E))


@pytest.mark.parametrize("nested", [True, False])
def test_a_released_checkpoint_gives_its_scores(tmp_path, nested):
    state = released_layout()
    content = {"network": state, "opt": argparse.Namespace(seed=0)} if nested else state
    torch.save(content, tmp_path / "svip.pth")
    model = SVIPReleased.from_checkpoint(tmp_path / "svip.pth", WORDS, M=30)
    batch = np.random.default_rng(4).integers(0, 256, (2, 112, 112, 3), dtype=np.uint8)
    table = np.random.default_rng(5).random((6, K))
    assert model.scores(batch, table).shape == (2, 6)
    torch.testing.assert_close(
        model.network.to_attributes.weight, torch.nn.Parameter(state["head_1.weight"])
    )
    torch.testing.assert_close(
        model.network.patch_classifier[2].bias, torch.nn.Parameter(state["token_cls.2.bias"])
    )
    assert model.source.mean[0] == pytest.approx(0.485)
    assert model.source.size == 112


def test_a_checkpoint_is_one_epoch_that_trains_nothing(tmp_path):
    torch.save(released_layout(), tmp_path / "svip.pth")
    model = SVIPReleased.from_checkpoint(tmp_path / "svip.pth", WORDS, M=30)
    before = model.state()
    train = replace(toy_for(SVIPReleased).train_set(SVIPReleased), word_vectors=WORDS)
    assert [epoch.number for epoch in model.fit(train)] == [1]
    for name, value in model.state().items():
        np.testing.assert_array_equal(value, before[name])


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was executed",))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"network": {}, "opt": Bomb()}, "without executing code"),
        ({"network": {"a": torch.zeros(1)}}, "no ViT's patch embedding"),
    ],
)
def test_other_checkpoints_are_refused(tmp_path, content, said):
    torch.save(content, tmp_path / "bad.pth")
    with pytest.raises(ZslbenchError, match=said):
        SVIPReleased.from_checkpoint(tmp_path / "bad.pth", WORDS)


def test_added_parameters_are_as_many_as_released():
    """2,765,085 for CUB's K = 312 and ViT-B, words of 300."""
    from zslbench_methods.svip_released import ReleasedNetwork

    with torch.device("meta"):
        big = OpenViT(VisionTransformer(num_classes=0, depth=1))
        net = ReleasedNetwork(big, torch.zeros(312, 300), "output", "words", "mean")
    backbone = sum(p.numel() for p in net.backbone.parameters())
    assert sum(p.numel() for p in net.parameters()) - backbone == 2_765_085
