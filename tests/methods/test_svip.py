"""SVIP against its equations."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from zslbench.backbones.create import find_backbone
from zslbench.backbones.vit import OpenViT
from zslbench.conformance import toy_for
from zslbench.localisation import score_view
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
            [net.to_attributes(f[c]).amax(0) for f, c in zip(final, chosen, strict=True)]
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


@pytest.mark.parametrize("target", ["topm", "minmax", "rank"])
def test_svip_gradients_flow_where_the_paper_puts_them_and_nowhere_else(target):
    """L_patch: the classifier and the patch embedding it reads. The others: all but the former.

    With one slot the bias of e shifts all channels alike, which every layer norm takes away:
    whether rounding leaves it a gradient is not asked.
    """
    world = toy_for(SVIP)
    model = SVIP(SVIP.Config(M=30, target=target), 0)
    model.setup(world.train_set(SVIP))
    shift = {"attributes_to_slots.bias"}
    names = {n for n, _ in model.network.named_parameters()} - shift
    classifier = {n for n in names if n.startswith("patch_classifier.")}
    embedding = {n for n in names if ".patch_embed." in n}
    expected = {
        "patches": classifier | embedding,
        "classes": names - classifier,
        "consistency": names - classifier,
    }
    torch.manual_seed(0)
    images = torch.randn(4, 3, 56, 56)
    table = torch.from_numpy(world.train_set(SVIP).class_attributes).float()
    for term, reached in expected.items():
        model.network.zero_grad()
        model.losses(images, torch.tensor([0, 1, 2, 3]), table)[term].backward()
        parameters = model.network.named_parameters()
        moved = {n for n, p in parameters if p.grad is not None and p.grad.any()}
        assert moved - shift == reached, term
    assert not model.network.words.requires_grad


@pytest.mark.parametrize("unselected", ["contextualise", "drop"])
def test_svip_shows_where_it_looks_when_norms_are_float32_and_layers_bfloat16(
    monkeypatch, unselected
):
    """As autocast has it on a GPU: the head's output is of another type than the final tokens."""
    model, world = set_up(unselected=unselected)
    head = model.network.to_attributes
    monkeypatch.setattr(head, "forward", lambda final: final.bfloat16() @ head.weight.bfloat16().T)
    assert model.view(world.dataset.inputs[world.test[:3]]).attributes.shape == (3, 49, 47)


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


# ---------------------------------------------------------------- ablations and alternatives


def set_up(**settings):
    world = toy_for(SVIP)
    model = SVIP(SVIP.Config(epochs=1, batch_size=32, **{"M": 30, **settings}), 0)
    model.setup(world.train_set(SVIP))
    model.network.eval()
    return model, world


SWITCHES = [
    {"selection": "random"},
    {"selection": "all"},
    {"selection": "classifier"},
    {"unselected": "drop"},
    {"lambda1": 0.0},
    {"embedding": "random"},
    {"pooling": "class_token"},
    {"pooling": "mean"},
    {"selection": "random", "unselected": "drop"},
    *({"aggregation": how} for how in ("eq4", "last")),
    *({"target": how} for how in ("minmax", "rank")),
    *({"consistency": how} for how in ("js", "kl")),
    {"logits": "dot", "scale": 5.0},
]


@pytest.mark.parametrize(
    "settings", SWITCHES, ids=lambda s: ",".join(f"{k}={v}" for k, v in s.items())
)
def test_every_variant_trains_scores_each_image_alone_and_shows_where_it_looks(settings):
    model, world = set_up(**settings)
    train = world.train_set(SVIP)
    few = replace(train, inputs=train.inputs[:64], labels=train.labels[:64])
    (epoch,) = model.fit(few)
    assert np.isfinite(list(epoch.losses.values())).all()
    images, attributes = world.dataset.inputs[world.test[:6]], world.attributes()
    together = model.scores(images, attributes)
    alone = np.concatenate([model.scores(images[i : i + 1], attributes) for i in range(6)])
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-4)
    view = model.view(images)
    kept = 49 if settings.get("selection") == "all" else 30
    assert view.kept.sum(axis=1).tolist() == [kept] * 6
    assert (view.attributes is None) == (settings.get("pooling") == "class_token")
    found = score_view(view, world.dataset.parts, world.test[:6])
    assert 0 < found["patch_precision"] <= found["patch_precision_best"] + 1e-9


@pytest.mark.parametrize("selection", ["random", "all"])
def test_without_patch_selection_there_is_no_patch_loss(selection):
    model, world = set_up(selection=selection)
    train = world.train_set(SVIP)
    table = torch.from_numpy(train.class_attributes).float()
    images = torch.randn(4, 3, 56, 56)
    assert "patches" not in model.losses(images, torch.tensor([0, 1, 2, 3]), table)


def test_indiscriminate_contextualising_adds_e_to_every_patch():
    model, _ = set_up(selection="all")
    patches = model.network.embed(torch.randn(2, 3, 56, 56))
    _, chosen = model._select(patches)
    changed = model._contextualise(patches, chosen) - patches
    torch.testing.assert_close(changed, model.network.word_patch().expand_as(changed))


def test_dropped_patches_do_not_reach_the_blocks():
    """Their contents may be anything: what is dropped changes no score."""
    model, world = set_up(unselected="drop")
    table = torch.from_numpy(world.attributes()).float()
    patches = model.network.embed(torch.randn(2, 3, 56, 56))
    chosen = top(torch.randn(2, 49), 30)
    noise = torch.where(chosen[..., None], 0.0, torch.randn_like(patches))
    found, disturbed = (
        model._second_pass(some, chosen, table) for some in (patches, patches + noise)
    )
    torch.testing.assert_close(found, disturbed)


def test_a_random_patch_is_learnt_and_words_are_not_asked():
    model, _ = set_up(embedding="random")
    assert model.network.word_patch() is model.network.random_patch
    assert model.network.random_patch.requires_grad
    assert not hasattr(model.network, "word_to_width")


class Grid14:
    """A ViT of 14 x 14 patches, so that there is something to merge."""

    mean, deviation = (0.5,) * 3, (0.5,) * 3

    @staticmethod
    def build():
        from timm.models.vision_transformer import VisionTransformer

        torch.manual_seed(0)
        return OpenViT(VisionTransformer(
            img_size=112, patch_size=8, embed_dim=16, depth=2, num_heads=2, num_classes=0
        ))  # fmt: skip


@pytest.mark.parametrize(("merge", "width", "tokens"), [("input", 16, 49), ("output", 64, 196)])
def test_a_grid_of_14_is_merged_at_the_input_or_at_both_ends(merge, width, tokens):
    world = toy_for(SVIP)
    model = SVIP(SVIP.Config(epochs=1, merge=merge), 0)
    model.setup(replace(world.train_set(SVIP), backbone=Grid14()))
    images, seen = torch.randn(3, 3, 112, 112), []
    patches = model.network.embed(images)
    assert patches.shape == (3, 49, width)
    row = ClassRow("rollout")

    def hook(weights):
        seen.append(weights.shape[-1])
        row(weights)

    class_token, final = model.network.encode(patches, hook)
    assert seen == [tokens + 1] * 2
    assert final.shape == (3, 49, width)
    assert class_token.shape == (3, 16)
    assert model.network.patch_scores(row).shape == (3, 49)
    assert model.network.word_patch().shape == (width,)


def test_merging_at_both_ends_leaves_the_vit_as_it_is():
    """Blocks run on all 196 tokens: final tokens are the plain ViT's, two by two."""
    world, images = toy_for(SVIP), torch.randn(2, 3, 112, 112)
    model = SVIP(SVIP.Config(epochs=1, merge="output"), 0)
    model.setup(replace(world.train_set(SVIP), backbone=Grid14()))
    model.network.eval()
    plain = model.network.backbone(images)
    class_token, final = model.network.encode(model.network.embed(images))
    torch.testing.assert_close(class_token, plain[:, 0])
    grid = plain[:, 1:].reshape(2, 14, 14, 16)
    torch.testing.assert_close(final[:, 9, :16], grid[:, 2, 4])
    torch.testing.assert_close(final[:, 9, 16:32], grid[:, 2, 5])
    torch.testing.assert_close(final[:, 9, 48:], grid[:, 3, 5])


def test_more_patches_than_there_are_cannot_be_kept():
    world, source = toy_for(SVIP), find_backbone("random:vit_tiny_patch16_224")
    model = SVIP(SVIP.Config(M=48), 0)
    model.setup(replace(world.train_set(SVIP), backbone=source))
    source = find_backbone("random:vit_small_patch32_384")
    with pytest.raises(ValueError, match="M=48, but this backbone has 36 patches"):
        model.setup(replace(world.train_set(SVIP), backbone=source))
