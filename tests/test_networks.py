"""Networks and their training: equal to timm, equal to the equations, equal after a kill."""

import numpy as np
import pytest
import timm
import torch

from zslbench.backbones.create import find_backbone
from zslbench.backbones.vit import OpenViT
from zslbench.checkpoints import Progress, Slot
from zslbench.conformance import toy_for
from zslbench.errors import ZslbenchError
from zslbench.nn.attention import ClassRow
from zslbench.nn.losses import consistency
from zslbench.nn.patches import mean_blocks, merge_blocks, split_blocks
from zslbench_methods.svip import SVIP, patch_targets, top


def test_open_vit_gives_timms_tokens():
    vit = timm.create_model("vit_tiny_patch16_224", pretrained=False, num_classes=0).eval()
    images = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(OpenViT(vit).eval()(images), vit.forward_features(images))


def test_weights_that_cannot_be_had_are_refused_with_both_mends(monkeypatch):
    def no_hub(*_, **__):
        raise OSError("offline")

    monkeypatch.setattr(timm, "create_model", no_hub)
    with pytest.raises(ZslbenchError, match=r"--weights.*random:vit_tiny_patch16_224"):
        find_backbone("vit_tiny_patch16_224").build()


def test_random_start_is_had_only_by_name_and_is_marked():
    assert find_backbone("random:vit_tiny_patch16_224").record.exposure == "none"


def attention(layers=3, heads=2, tokens=5):
    weights = torch.rand(
        layers, 1, heads, tokens, tokens, generator=torch.Generator().manual_seed(1)
    )
    return weights / weights.sum(-1, keepdim=True)


@pytest.mark.parametrize("how", ["rollout", "eq4", "last"])
def test_class_row_equals_the_product_of_whole_matrices(how):
    weights, row = attention(), ClassRow(how)
    for layer in weights:
        row(layer)
    mixed = [(w.mean(dim=1)[0] + torch.eye(5)) / 2 for w in weights]
    expected = {
        "rollout": mixed[2] @ mixed[1] @ mixed[0],
        "eq4": mixed[0] @ mixed[1] @ mixed[2],
        "last": weights[2].mean(dim=1)[0],
    }[how]
    torch.testing.assert_close(row.patches()[0], expected[0, 1:])


@pytest.mark.parametrize("how", ["half_jeffreys", "js", "kl"])
def test_consistency_equals_its_definition(how):
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, 4, 6))
    p, q = (np.exp(x) / np.exp(x).sum(1, keepdims=True) for x in (one, other))

    def kl(a, b):
        return (a * np.log(a / b)).sum(1).mean()

    middle = (p + q) / 2
    expected = {
        "half_jeffreys": (kl(p, q) + kl(q, p)) / 2,
        "js": (kl(p, middle) + kl(q, middle)) / 2,
        "kl": kl(q, p),
    }[how]
    found = consistency(torch.from_numpy(one), torch.from_numpy(other), how)
    assert float(found) == pytest.approx(expected)


def test_blocks_hold_their_two_by_two_neighbours():
    grid = torch.arange(16.0).reshape(1, 16, 1)
    assert merge_blocks(grid)[0].tolist() == [
        [0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15],
    ]  # fmt: skip
    torch.testing.assert_close(split_blocks(merge_blocks(grid)), grid)
    assert mean_blocks(grid)[0, :, 0].tolist() == [2.5, 4.5, 10.5, 12.5]


@pytest.fixture(scope="module")
def svip():
    """SVIP just set up, its training batch, and the world it is for."""
    world = toy_for(SVIP)
    train = world.train_set(SVIP)
    model = SVIP(SVIP.Config(epochs=2, batch_size=32, M=30), 0)
    model.setup(train)
    images = torch.randn(4, 3, 56, 56, generator=torch.Generator().manual_seed(2))
    return model, images, torch.from_numpy(train.class_attributes).float()


def test_svip_keeps_exactly_m_patches_and_adds_e_to_the_others(svip):
    model, images, _ = svip
    patches = model.network.embed(images)
    chosen = top(model.network.patch_logits(patches), 30)
    changed = model._contextualise(patches, chosen) - patches
    assert chosen.sum(1).tolist() == [30] * 4
    torch.testing.assert_close(changed[chosen], torch.zeros_like(changed[chosen]))
    e = model.network.word_patch()
    torch.testing.assert_close(changed[~chosen], e.expand_as(changed[~chosen]))


def test_svip_losses_equal_the_equations(svip):
    model, images, table = svip
    model.network.eval()
    labels = torch.tensor([0, 1, 2, 3])
    found = model.losses(images, labels, table)
    net = model.network
    v, weights = net.embed(images), []
    z = net.backbone.encode(net.backbone.tokens(v), weights.append)[:, 1:]
    product = torch.eye(50)
    for layer in weights:
        product = (layer.mean(1) + torch.eye(50)) / 2 @ product
    chosen = top(product[:, 0, 1:], 30)

    def log_p(final):
        a = torch.stack(
            [net.patch_to_attributes(f[c]).amax(0) for f, c in zip(final, chosen, strict=True)]
        )
        cosine = torch.nn.functional.cosine_similarity(a[:, None], table[None], dim=-1)
        return (20 * cosine).log_softmax(-1)

    second = torch.where(chosen[..., None], v, v + net.word_patch())
    one, two = log_p(z), log_p(net.backbone.encode(net.backbone.tokens(second))[:, 1:])
    classes = -(one + two)[range(4), labels].mean()
    jeffreys = ((one.exp() - two.exp()) * (one - two)).sum(1).mean() / 2
    r = net.patch_logits(v).sigmoid()
    target = chosen.float()
    patch = -(target * r.log() + (1 - target) * (1 - r).log()).mean()
    for name, expected in (("classes", classes), ("consistency", jeffreys), ("patches", 3 * patch)):
        torch.testing.assert_close(found[name], expected, rtol=1e-4, atol=1e-5)


def test_svip_gradients_flow_where_the_paper_puts_them(svip):
    model, images, table = svip
    losses = model.losses(images, torch.tensor([0, 1, 2, 3]), table)
    for term, reached in (
        ("patches", "patch_classifier.0.weight"),
        ("classes", "word_to_width.weight"),
    ):
        model.network.zero_grad()
        losses[term].backward(retain_graph=True)
        with_gradient = {
            n for n, p in model.network.named_parameters() if p.grad is not None and p.grad.any()
        }
        assert reached in with_gradient
        assert "backbone.vit.patch_embed.proj.weight" in with_gradient
    assert not model.network.words.requires_grad


def test_svip_scores_images_by_the_classifier_alone(svip, monkeypatch):
    model, images, table = svip
    monkeypatch.setattr(ClassRow, "__call__", lambda *_: pytest.fail("attention was asked for"))
    assert model.logits(images, table).shape == (4, len(table))


@pytest.mark.parametrize("how", ["topm", "rank", "minmax"])
def test_patch_targets_keep_the_order_of_scores_and_lie_between_0_and_1(how):
    scores = torch.tensor([[0.1, 0.4, 0.2, 0.3]])
    target = patch_targets(scores, how, 2)
    assert target.min() == 0 and target.max() == 1
    assert target[0, 1] >= target[0, 3] >= target[0, 2] >= target[0, 0]


@pytest.mark.parametrize("killed_after", [1, 2])
def test_fit_resumed_from_a_checkpoint_gives_the_same_bits(tmp_path, killed_after):
    world, config = toy_for(SVIP), SVIP.Config(epochs=3, batch_size=64)
    train = world.train_set(SVIP)
    whole = SVIP(config, 5)
    losses = [epoch.losses for epoch in whole.fit(train)]
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
