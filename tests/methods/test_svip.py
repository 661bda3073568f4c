"""SVIP against its equations."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import expit, log_softmax, rel_entr, softmax
from scipy.stats import rankdata

from zslbench.backbones.registry import find_backbone
from zslbench.backbones.vit import OpenViT
from zslbench.method.conformance import toy_for
from zslbench.methods.svip import SVIP, patch_targets, top
from zslbench.metrics.localisation import score_view
from zslbench.nn.attention import ClassRow


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


# ---------------------------------------------------------------- equations, computed naively


def aggregated(how, layers):
    """Return the class row of whole matrices `[T, T]`, in float64, without its own entry."""
    product = np.eye(50)
    for layer in layers:
        product = (layer.mean(axis=0) + np.eye(50)) / 2 @ product
    literal = layers[0].sum(axis=0)
    for layer in layers[1:]:
        literal = literal + literal @ layer.sum(axis=0)
    found = {"rollout": product, "eq4": literal, "last": layers[-1].mean(axis=0)}[how]
    return found[0, 1:]


def semantic_patch(net, embedding):
    """Eq. 7, an attribute and a channel at a time."""
    if embedding == "random":
        return net.random_patch.detach().double().numpy()
    values = {name: p.detach().double().numpy() for name, p in net.named_parameters()}
    words = net.words.double().numpy()
    by_attribute = words @ values["word_to_width.weight"].T + values["word_to_width.bias"]
    weights, bias = values["attributes_to_slots.weight"], values["attributes_to_slots.bias"]
    return sum(weights[0, k] * by_attribute[k] for k in range(len(words))) + bias[0]


def final_tokens(vit, patches, kept):
    """Return the plain ViT's normed tokens of one image's patches, of those in `kept`."""
    tokens = [vit.cls_token[0, 0] + vit.pos_embed[0, 0]]
    tokens += [patches[i] + vit.pos_embed[0, 1 + i] for i in kept]
    return vit.norm(vit.blocks(torch.stack(tokens)[None]))[0].detach().double().numpy()


def class_scores(config, net, tokens, counted, table):
    """Eq. 10 and 11 for one image; `tokens` has the class token first."""
    weight, bias = (p.detach().double().numpy() for p in net.to_attributes.parameters())
    seen = tokens @ weight.T + bias
    patches = seen[1:][counted]
    pooled = {"max": patches.max(0), "mean": patches.mean(0), "class_token": seen[0]}[
        config.pooling
    ]
    if config.logits == "dot":
        return config.scale * table @ pooled
    lengths = np.linalg.norm(table, axis=1) * np.linalg.norm(pooled)
    return config.scale * table @ pooled / lengths


def divergence(how, p, q):
    middle = (p + q) / 2
    return {
        "half_jeffreys": (rel_entr(p, q) + rel_entr(q, p)).sum() / 2,
        "js": (rel_entr(p, middle) + rel_entr(q, middle)).sum() / 2,
        "kl": rel_entr(q, p).sum(),
    }[how]


def second_pass(config, net, patches, chosen, table):
    """Eq. 9 on one image, or the unselected removed; then the blocks and Eq. 10 and 11."""
    e = torch.from_numpy(semantic_patch(net, config.embedding)).float()
    changed = torch.stack([v if i in chosen else v + e for i, v in enumerate(patches)])
    if config.unselected == "drop":
        tokens = final_tokens(net.backbone.vit, patches, sorted(chosen))
        return class_scores(config, net, tokens, slice(None), table)
    tokens = final_tokens(net.backbone.vit, changed, range(49))
    return class_scores(config, net, tokens, sorted(chosen), table)


def expected_losses(model, images, labels, table):
    """The terms of Eq. 14 and the scores, image by image."""
    config, net = model.config, model.network
    shown = []
    net.backbone.encode(net.backbone.tokens(net.backbone.embed(images)), shown.append)
    totals, scores = dict.fromkeys(("classes", "consistency", "patches"), 0.0), []
    for i, label in enumerate(labels.tolist()):
        v = net.backbone.embed(images[i : i + 1])[0].detach()
        logits = net.patch_classifier(v)[:, 0].detach().double().numpy()
        r = aggregated(config.aggregation, [w[i].detach().double().numpy() for w in shown])
        ranked = logits if config.selection == "classifier" else r
        chosen = set(np.argsort(-ranked)[: config.M])
        tokens = final_tokens(net.backbone.vit, v, range(49))
        one = class_scores(config, net, tokens, sorted(chosen), table)
        two = second_pass(config, net, v, chosen, table)
        totals["classes"] -= (log_softmax(one) + log_softmax(two))[label] / 4
        totals["consistency"] += divergence(config.consistency, softmax(one), softmax(two)) / 4
        target = {
            "topm": (rankdata(-r) <= config.M) * 1.0,
            "minmax": (r - r.min()) / (r.max() - r.min()),
            "rank": (rankdata(r) - 1) / 48,
        }[config.target]
        likely = target * np.log(expit(logits)) + (1 - target) * np.log(expit(-logits))
        totals["patches"] -= likely.mean() / 4
        chosen = set(np.argsort(-logits)[: config.M])
        scores.append(second_pass(config, net, v, chosen, table))
    totals["consistency"] *= config.lambda1
    totals["patches"] *= config.lambda2
    return totals, np.stack(scores)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"M": 17, "lambda1": 0.3, "lambda2": 0.7, "scale": 7.0},
        {"aggregation": "eq4", "target": "minmax"},
        {"aggregation": "last", "target": "rank"},
        {"target": "minmax"},
        {"selection": "classifier"},
        {"consistency": "js"},
        {"consistency": "kl"},
        {"pooling": "mean", "logits": "dot", "scale": 5.0},
        {"pooling": "class_token"},
        {"logits": "dot", "scale": 5.0},
        {"unselected": "drop"},
        {"unselected": "drop", "pooling": "mean"},
        {"embedding": "random"},
    ],
    ids=lambda s: ",".join(f"{k}={v}" for k, v in s.items()) or "as the paper",
)
def test_losses_and_scores_equal_the_equations(settings):
    model, world = set_up(**settings)
    with torch.no_grad():
        for name, parameter in model.network.named_parameters():
            if name in ("attributes_to_slots.weight", "random_patch"):
                parameter.mul_(20)  # so that e weighs in
    table = world.train_set(SVIP).class_attributes
    images = torch.randn(4, 3, 56, 56, generator=torch.Generator().manual_seed(2))
    labels = torch.tensor([0, 1, 2, 3])
    found = model.losses(images, labels, torch.from_numpy(table).float())
    losses, scores = expected_losses(model, images, labels, table)
    assert {name: float(value.detach()) for name, value in found.items()} == pytest.approx(
        losses, rel=1e-3, abs=1e-5
    )
    with torch.no_grad():
        logits = model.logits(images, torch.from_numpy(table).float())
    np.testing.assert_allclose(logits, scores, rtol=1e-3, atol=1e-3)


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


def test_a_drawn_selection_is_another_for_each_image_and_step_but_one_for_all_scores(monkeypatch):
    model, world = set_up(selection="random")
    table, drawn = torch.from_numpy(world.attributes()).float(), []
    second_pass = model._second_pass

    def seeing(patches, chosen, table):
        drawn.append(chosen)
        return second_pass(patches, chosen, table)

    monkeypatch.setattr(model, "_second_pass", seeing)
    images = torch.randn(3, 3, 56, 56)
    for _ in range(2):
        model.losses(images, torch.tensor([0, 1, 2]), table)
    masks = torch.cat(drawn)
    assert len(torch.unique(masks, dim=0)) == 6
    assert (masks.sum(dim=1) == 30).all()
    drawn.clear()
    for _ in range(2):
        model.logits(images, table)
    assert len(torch.unique(torch.cat(drawn), dim=0)) == 1


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

    mean, deviation, grid = (0.5,) * 3, (0.5,) * 3, 14

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


def on_grid_14(merge):
    model = SVIP(SVIP.Config(epochs=1, merge=merge), 0)
    model.setup(replace(toy_for(SVIP).train_set(SVIP), backbone=Grid14()))
    model.network.eval()
    return model.network


def test_merging_at_the_input_averages_patches_and_their_positions():
    network, images = on_grid_14("input"), torch.randn(2, 3, 112, 112)
    vit = network.backbone.vit
    whole = vit.patch_embed(images) + vit.pos_embed[:, 1:]
    means = whole.reshape(2, 7, 2, 7, 2, 16).mean(dim=(2, 4)).reshape(2, 49, 16)
    tokens = torch.cat([(vit.cls_token + vit.pos_embed[:, :1]).expand(2, -1, -1), means], dim=1)
    expected = vit.norm(vit.blocks(tokens))
    class_token, final = network.encode(network.embed(images))
    torch.testing.assert_close(class_token, expected[:, 0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(final, expected[:, 1:], rtol=1e-4, atol=1e-5)


def test_merging_at_both_ends_scores_two_by_two_blocks_and_makes_e_slot_by_slot():
    network, images = on_grid_14("output"), torch.randn(2, 3, 112, 112)
    plain, merged = ClassRow("rollout"), ClassRow("rollout")
    backbone = network.backbone
    backbone.encode(backbone.tokens(backbone.embed(images)), plain)
    network.encode(network.embed(images), merged)
    blocks = plain.patches().reshape(2, 7, 2, 7, 2).mean(dim=(2, 4)).reshape(2, 49)
    torch.testing.assert_close(network.patch_scores(merged), blocks)
    by_attribute = network.word_to_width(network.words)
    layer = network.attributes_to_slots
    for slot in range(4):
        expected = layer.weight[slot] @ by_attribute + layer.bias[slot]
        found = network.word_patch()[16 * slot : 16 * (slot + 1)]
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_more_patches_than_there_are_cannot_be_kept():
    world, source = toy_for(SVIP), find_backbone("random:vit_tiny_patch16_224")
    model = SVIP(SVIP.Config(M=48), 0)
    model.setup(replace(world.train_set(SVIP), backbone=source))
    source = find_backbone("random:vit_small_patch32_384")
    with pytest.raises(ValueError, match="M=48, but there are 36 patches"):
        model.setup(replace(world.train_set(SVIP), backbone=source))
