"""SVIP against its equations."""

import pytest
import torch

from zslbench.conformance import toy_for
from zslbench.nn.attention import ClassRow
from zslbench_methods.svip import SVIP, patch_targets, top


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
