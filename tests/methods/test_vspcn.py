"""VSPCN against its equations computed naively; what trains and what not; what switches remove."""

import functools
from dataclasses import replace

import numpy as np
import pytest
import torch
from overfitting import KNOWN, fitted_to_know

from zslbench.backbones.registry import find_backbone
from zslbench.method.conformance import toy_for
from zslbench.methods.vspcn import (
    VSPCN,
    Config,
    Network,
    PromptAttention,
    StrongFusion,
    cross_entropy_divergence,
)

BLOCKS, WIDTH, PATCHES = 6, 128, 49
LABELS = torch.tensor([0, 1, 2, 3])


@functools.cache
def toy():
    return toy_for(VSPCN)


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def stirred(module, seed=7):
    """The module with noise on what trains, so that no part is near its neutral start."""
    chance = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=chance))
    return module.eval()


def built(**settings):
    """VSPCN just set up on the toy world, and stirred."""
    model = VSPCN(Config(epochs=1, batch_size=32, **settings), 0)
    model.setup(toy().train_set(VSPCN))
    stirred(model.network)
    return model


@pytest.fixture(scope="module")
def table():
    return torch.from_numpy(toy().train_set(VSPCN).class_attributes).float()


@pytest.fixture(scope="module")
def images():
    return drawn(4, 3, 56, 56)


def softmax(x):
    return np.exp(x - x.max()) / np.exp(x - x.max()).sum()


def norm(x):
    return (x - x.mean()) / np.sqrt(x.var() + 1e-5)


def attended(attention, queries, source, alpha=1.0, norm=norm):
    """The equation for one image, place by place: keys and values formed one at a time."""
    by_query, by_key, by_value = (
        layer.weight.detach().numpy() for layer in (attention.query, attention.key, attention.value)
    )
    keys = [by_key @ norm(x) for x in source]
    values = [by_value @ norm(x) for x in source]
    out = []
    for query in queries:
        q = by_query @ norm(query)
        weights = softmax(np.array([q @ k for k in keys]) / np.sqrt(len(q)))
        if attention.bias is not None:
            bias = softmax(attention.bias.detach().numpy())
            weights = alpha * weights + (1 - alpha) * bias
        out.append(sum(w * v for w, v in zip(weights, values, strict=True)))
    return np.array(out)


@pytest.mark.parametrize(
    ("queries", "source", "alpha"),
    [
        pytest.param((1, 1), (3, 5), None, id="weak visual: one query for all images"),
        pytest.param((1, 1), (1, 7), None, id="weak semantic: nothing of the image"),
        pytest.param((3, 1), (3, 5), 0.05, id="strong visual"),
        pytest.param((3, 1), (1, 7), 0.8, id="strong semantic, words not adapted"),
        pytest.param((1, 7), (3, 5), None, id="adapter, first layer"),
        pytest.param((3, 7), (3, 5), None, id="adapter, later layers"),
    ],
)
def test_attention_equals_a_loop_over_places(queries, source, alpha):
    width, places = 8, source[1]
    attention = stirred(
        PromptAttention(width) if alpha is None else PromptAttention(width, places, alpha)
    )
    q, x = drawn(*queries, width), drawn(*source, width, seed=1)
    found = attention(q, x).detach().numpy()
    for image, row in enumerate(found):
        one_q, one_x = (part[min(image, len(part) - 1)].numpy() for part in (q, x))
        np.testing.assert_allclose(row, attended(attention, one_q, one_x, alpha), atol=1e-5)


def test_bias_alone_remains_at_alpha_0_and_attention_alone_at_1():
    query, source = drawn(2, 1, 8), drawn(2, 5, 8, seed=1)
    attention = stirred(PromptAttention(8, 5, 0.0))
    torch.testing.assert_close(attention(query, source), attention(-query, source))
    attention.alpha = 1.0
    before = attention(query, source)
    with torch.no_grad():
        attention.bias[2] += 5
    torch.testing.assert_close(attention(query, source), before)


@pytest.mark.parametrize(("norms", "normed"), [("all", norm), ("weak", lambda x: x)])
def test_strong_fusion_adds_to_prompts_what_they_attend_to_and_adapts_words_by_image(norms, normed):
    config = Config(alpha_v=0.3, alpha_s=0.6, alpha_a=0.4, norms=norms)
    fusion = stirred(StrongFusion(8, {"visual": 5, "semantic": 7}, config))
    prompts, patches, words = drawn(2, 2, 8), drawn(2, 5, 8, seed=1), drawn(1, 7, 8, seed=2)
    found, sources = fusion(prompts, {"visual": patches, "semantic": words})
    for image in range(2):
        x, s = patches[image].numpy(), words[0].numpy()
        s = 0.4 * attended(fusion.adapter, s, x, norm=normed) + 0.6 * s
        np.testing.assert_allclose(sources["semantic"][image].detach(), s, atol=1e-5)
        for place, (name, source, alpha) in enumerate((("visual", x, 0.3), ("semantic", s, 0.6))):
            prompt = prompts[image, place].numpy()
            added = attended(fusion.prompts[name], prompt[None], source, alpha, normed)[0]
            np.testing.assert_allclose(found[image, place].detach(), prompt + added, atol=1e-5)


@pytest.mark.parametrize(("fusion", "norms"), [(True, "all"), (True, "weak"), (False, "all")])
def test_prompts_enter_once_behind_the_class_token(images, fusion, norms):
    network = built(fusion=fusion, norms=norms).network
    backbone = network.backbone
    patches = backbone.embed(images[:2])
    plain, sources = backbone.tokens(patches), network.sources(patches)
    tokens = network.insert(plain, sources)
    torch.testing.assert_close(tokens[:, [0, *range(3, 3 + PATCHES)]], plain)
    for place, name in enumerate(("visual", "semantic")):
        prompt = network.prompts[name].detach()[0].numpy()
        for image in range(2):
            position = network.positions[0, place].detach().numpy()
            expected = prompt[0]
            if fusion:
                source = sources[name][min(image, len(sources[name]) - 1)].detach().numpy()
                expected = attended(network.weak[name], prompt, source)[0]
            np.testing.assert_allclose(
                tokens[image, 1 + place].detach(), expected + position, atol=1e-4
            )


@pytest.mark.parametrize(
    ("name", "size", "depth", "width", "patches"),
    [
        ("plumage_vit", 56, BLOCKS, WIDTH, PATCHES),
        ("random:vit_tiny_patch16_224", 224, 12, 192, 196),
    ],
)
def test_fusion_is_weak_at_the_input_and_strong_in_the_deep_half(name, size, depth, width, patches):
    network = Network(find_backbone(name).build(), drawn(9, 5), Config()).eval()
    calls = []

    def note(module, inputs, _, label):
        calls.append((label, tuple(inputs[0].shape)))

    for kind, modules in (
        ("weak", network.weak.values()),
        ("strong", network.strong),
        ("block", [block.attn.qkv for block in network.backbone.vit.blocks]),
    ):
        for module in modules:
            module.register_forward_hook(functools.partial(note, label=kind))
    found = network.encode(drawn(2, 3, size, size))
    weak, strong = ("weak", (1, 1, width)), ("strong", (2, 2, width))
    block = ("block", (2, 3 + patches, width))
    half = depth // 2
    assert calls == [weak, weak, *half * [block], *half * [strong, block]]
    assert {name: tuple(token.shape) for name, token in found.items()} == {
        "class": (2, width), "visual": (2, width), "semantic": (2, width),
    }  # fmt: skip


def test_tokens_pass_fusion_and_block_in_turn_and_come_out_under_their_names(images):
    network = built().network
    backbone = network.backbone
    patches = backbone.embed(images)
    sources = network.sources(patches)
    tokens = network.insert(backbone.tokens(patches), sources)
    for index, block in enumerate(backbone.vit.blocks):
        if index >= BLOCKS // 2:
            sources = {**sources, "visual": tokens[:, 3:]}
            prompts, sources = network.strong[index - BLOCKS // 2](tokens[:, 1:3], sources)
            tokens = torch.cat([tokens[:, :1], prompts, tokens[:, 3:]], dim=1)
        tokens = block(tokens)
    expected = backbone.vit.norm(tokens)
    found = network.encode(images)
    for place, name in enumerate(("class", "visual", "semantic")):
        torch.testing.assert_close(found[name], expected[:, place], rtol=1e-4, atol=1e-4)


def test_no_gradient_goes_through_the_patches_that_are_attended_to(images):
    network, sources = built().network, []
    for strong in network.strong:
        strong.register_forward_hook(lambda _, inputs, __: sources.append(inputs[1]))
    network.encode(images)
    assert [s["visual"].requires_grad for s in sources] == [False] * (BLOCKS // 2)
    assert all(s["semantic"].requires_grad for s in sources)


def log_softmax(x):
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


def divergence(log_p, log_q):
    return (np.exp(log_p) * (log_p - log_q)).sum(axis=1).mean()


@pytest.mark.parametrize("logits", ["dot", "cosine"])
def test_losses_equal_the_equations(images, table, logits):
    settings = {"lambda_ar": 0.3, "lambda_ced": 0.7, "lambda_skd": 0.2, "eta1": 0.4, "eta2": 0.6}
    model = built(logits=logits, scale=3.0, **settings)
    found = model.losses(images, LABELS, table)
    tokens = {name: t.detach().double().numpy() for name, t in
              model.network.encode(images).items()}  # fmt: skip
    layer = model.network.project_attributes
    prototypes = (table @ layer.weight.T + layer.bias).detach().double().numpy()
    own = prototypes[LABELS]

    def log_p(token):
        if logits == "cosine":
            unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (token, prototypes)]
            return log_softmax(3 * unit[0] @ unit[1].T)
        return log_softmax(3 * token @ prototypes.T)

    by_class, by_visual = log_p(tokens["class"]), log_p(tokens["visual"])
    ce_class, ce_visual = (-p[range(4), LABELS].mean() for p in (by_class, by_visual))
    ratio = (ce_visual + ce_class) / divergence(by_visual, by_class)
    p, q = log_softmax(tokens["semantic"]), log_softmax(own)
    jeffreys = (divergence(p, q) + divergence(q, p)) / 2
    distance = np.sqrt(((tokens["semantic"] - own) ** 2).sum(axis=1)).mean()
    expected = {
        "classes": ce_class,
        "regression": 0.3 * ((tokens["class"] - own) ** 2).mean(),
        "divergence": 0.7 * (0.4 * np.log(ratio + 1) + 0.6 * ce_visual),
        "distillation": 0.2 * (jeffreys + distance),
    }
    assert {name: value.item() for name, value in found.items()} == pytest.approx(
        expected, rel=1e-3
    )


def test_divergence_of_equal_predictions_is_finite_and_so_is_its_gradient():
    logits = drawn(4, 5).requires_grad_()
    value = cross_entropy_divergence(logits, logits, LABELS, 1.0, 0.0)
    value.backward()
    assert value.isfinite() and logits.grad.isfinite().all()


def test_all_that_is_new_gets_gradients_and_the_backbone_none(images, table):
    model = built()
    torch.stack(list(model.losses(images, LABELS, table).values())).sum().backward()
    parameters = dict(model.network.named_parameters())
    reached = {n for n, p in parameters.items() if p.grad is not None and p.grad.any()}
    new = {n for n in parameters if not n.startswith("backbone.")}
    assert reached == new
    assert {n.split(".")[0] for n in new} == {
        "project_attributes", "project_words", "prompts", "positions", "weak", "strong",
    }  # fmt: skip
    trained = {id(p) for group in model.parameter_groups() for p in group["params"]}
    assert trained == {id(parameters[n]) for n in new}


def test_training_leaves_the_backbone_as_it_was():
    train = toy().train_set(VSPCN)
    model = VSPCN(Config(epochs=1, batch_size=64), 0)
    model.setup(train)
    start = {name: value.copy() for name, value in model.state().items()}
    list(model.fit(train))
    frozen = train.backbone.build().state_dict()
    for name, value in model.state().items():
        if name.startswith("backbone."):
            np.testing.assert_array_equal(value, frozen[name.removeprefix("backbone.")])
        else:
            assert np.array_equal(value, start[name]) == (name == "words"), name


@pytest.mark.parametrize("adapter", [True, False])
def test_scores_of_an_image_do_not_depend_on_its_company(adapter):
    model, world = built(adapter=adapter), toy()
    items = np.sort(world.test)[:40]
    attributes = world.attributes(model.config.class_attributes)

    def scores(order):
        return model.scores(world.dataset.inputs[order], attributes)

    by_class = scores(items)
    order = np.random.default_rng(0).permutation(len(items))
    alone = np.concatenate([scores(items[i : i + 1]) for i in range(len(items))])
    np.testing.assert_allclose(scores(items[order]), by_class[order], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(alone, by_class, rtol=1e-4, atol=1e-4)
    assert by_class.std(axis=0).min() > 1e-2


def of_deep_half(*parts):
    return {f"strong.{layer}.{part}" for layer in range(BLOCKS // 2) for part in parts}


ABLATION = {
    "visual": ({"visual": False},
               {"prompts.visual", "weak.visual", *of_deep_half("prompts.visual")},
               {"divergence"}),
    "semantic": ({"semantic": False},
                 {"prompts.semantic", "weak.semantic", "words", "project_words",
                  *of_deep_half("prompts.semantic", "adapter")},
                 {"distillation"}),
    "both": ({"visual": False, "semantic": False},
             {"prompts", "positions", "weak", "strong", "words", "project_words"},
             {"divergence", "distillation"}),
    "fusion": ({"fusion": False}, {"weak", "strong", "words", "project_words"}, set()),
    "adapter": ({"adapter": False}, of_deep_half("adapter"), set()),
}  # fmt: skip


@pytest.mark.parametrize(("settings", "parts", "losses"), ABLATION.values(), ids=ABLATION)
def test_a_switch_removes_what_it_names_and_nothing_else(images, table, settings, parts, losses):
    full, ablated = built(), built(**settings)
    names = set(full.network.state_dict())
    gone = {n for n in names if any(f"{n}.".startswith(f"{part}.") for part in parts)}
    assert len(gone) >= len(parts)
    assert set(ablated.network.state_dict()) == names - gone
    found = ablated.losses(images, LABELS, table)
    assert set(found) == set(full.losses(images, LABELS, table)) - losses
    assert ablated.view(np.zeros((2, 56, 56, 3), np.uint8)).patches.shape == (2, PATCHES)
    torch.stack(list(found.values())).sum().backward()
    for name, parameter in ablated.network.named_parameters():
        assert (parameter.grad is not None) == (not name.startswith("backbone.")), name


def test_without_prompts_the_class_token_is_the_plain_vits(images, table):
    model = built(visual=False, semantic=False)
    plain = model.network.backbone(images)[:, 0]
    expected = plain @ model.network.project_attributes(table).T
    torch.testing.assert_close(model.logits(images, table), expected)


def test_the_adapter_is_felt_in_the_scores(images, table):
    model = built()
    before = model.logits(images, table)
    for strong in model.network.strong:
        strong.alpha_a = 0.0
    assert (model.logits(images, table) - before).abs().max() > 1e-3


def test_a_view_is_the_attention_of_the_very_pass_that_scores():
    model, batch = built(), toy().dataset.inputs[np.arange(2)]
    before = model.view(batch).patches
    with torch.no_grad():
        model.network.positions += drawn(1, 2, WIDTH)
    assert before.shape == (2, PATCHES) and (before > 0).all() and (before.sum(axis=1) < 1).all()
    assert np.abs(model.view(batch).patches - before).max() > 1e-5


def test_an_attribute_is_seen_where_the_last_adapter_looks_for_its_words():
    """By hand: softmax over patches of (W_q words)(W_k patches) / sqrt(D), both layer-normed."""
    model, batch = built(), toy().dataset.inputs[np.arange(2)]
    given = []
    adapter = model.network.strong[-1].adapter
    hook = adapter.register_forward_hook(lambda _, words, __: given.append(words))
    found = model.view(batch).attributes
    hook.remove()
    words, patches = (torch.nn.functional.layer_norm(x, x.shape[-1:]) for x in given[0])
    queries, keys = words @ adapter.query.weight.T, patches @ adapter.key.weight.T
    expected = (queries @ keys.transpose(1, 2) / WIDTH**0.5).softmax(dim=-1)
    assert found.shape == (2, PATCHES, expected.shape[1])
    np.testing.assert_allclose(found, expected.detach().numpy().swapaxes(1, 2), atol=1e-5)
    assert built(adapter=False).view(batch).attributes is None


@pytest.mark.slow
def test_64_images_are_learnt_by_heart():
    train = toy().train_set(VSPCN)
    items = np.random.default_rng(0).permutation(len(train.labels))[:64]
    few = replace(train, inputs=train.inputs[items], labels=train.labels[items])
    model = VSPCN(Config(epochs=40, batch_size=32, lr=5e-3, augment=False), 0)
    assert fitted_to_know(model, few) > KNOWN
