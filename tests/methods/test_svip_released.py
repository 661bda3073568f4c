"""The released SVIP: each of its ways, computed apart; and its checkpoints."""

import argparse
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch
from overfitting import KNOWN, fitted_to_know
from scipy.special import log_softmax, softmax
from timm.models.vision_transformer import VisionTransformer
from torch.nn.functional import cross_entropy

from zslbench.backbones.vit import OpenViT
from zslbench.errors import ZslbenchError
from zslbench.method.conformance import toy_for
from zslbench.methods import svip_released
from zslbench.methods.svip import top
from zslbench.methods.svip_released import SVIPReleased, one_way_divergence
from zslbench.nn.attention import ClassRow

K, E = 47, 8


def vit(width=64):
    torch.manual_seed(0)
    return VisionTransformer(
        img_size=112, patch_size=8, embed_dim=width, depth=2, num_heads=width // 64, num_classes=0
    )  # fmt: skip


class Grid14:
    mean, deviation, size, grid = (0.5,) * 3, (0.5,) * 3, 112, 14

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


# ---------------------------------------------------------------- defects, one by one put right


def on_grid_14(**settings):
    """The method on a grid of 14 with the parameters of the fixture."""
    train = toy_for(SVIPReleased).train_set(SVIPReleased)
    model = SVIPReleased(SVIPReleased.Config(epochs=2, M=30, **settings), 0)
    model.setup(replace(train, backbone=Grid14()))
    model.network.eval()
    return model


TERMS = {"classes", "consistency", "patches", "decorrelation"}
FELT_IN = {
    "score_pooling": TERMS,
    "layout": {"classes", "consistency", "decorrelation", "scores"},
    "reselection": {"classes", "consistency", "decorrelation"},
    "test_patches": {"scores"},
    "pooling": {"classes", "consistency", "decorrelation", "scores"},
    "divergence": {"consistency"},
    "warm_up": set(),
    "adam": set(),
    "order": set(),
}


def test_every_defect_can_be_mended():
    named = get_args(SVIPReleased.Config.model_fields["mended"].annotation)
    assert set(named) == {"none", *FELT_IN}


@pytest.mark.parametrize(("defect", "felt_in"), FELT_IN.items(), ids=FELT_IN)
def test_mending_a_defect_changes_what_it_touches_and_no_more(released, defect, felt_in):
    _, images, table = released
    found = []
    for mended in ("none", defect):
        model = on_grid_14(mended=mended)
        with torch.no_grad():
            model.network.attributes_to_slots.weight.mul_(50)  # so that e weighs in
            terms = model.losses(images, torch.tensor([0, 1, 2, 3]), table)
            found.append({**terms, "scores": model.logits(images, table)})
    changed = {name for name, value in found[0].items() if not torch.equal(value, found[1][name])}
    assert changed == felt_in


def test_mended_merging_is_that_of_svip(released):
    _, images, _ = released
    row = ClassRow("last")
    model = on_grid_14(mended="score_pooling")
    model.network.encode(model.network.embed(images), row)
    blocks = row.patches().reshape(4, 49, 4)  # tokens enter block by block
    torch.testing.assert_close(model.network.patch_scores(row), blocks.mean(dim=-1))
    net = on_grid_14(mended="layout").network
    by_attribute = net.word_to_width(net.words)
    slots = [net.attributes_to_slots.weight[i] @ by_attribute for i in range(4)]
    e = torch.cat([s + b for s, b in zip(slots, net.attributes_to_slots.bias, strict=True)])
    torch.testing.assert_close(net.word_patch(), e, rtol=1e-4, atol=1e-5)


def test_mended_scores_count_the_kept_patches_or_take_their_maximum(released):
    _, images, table = released
    model = on_grid_14(mended="test_patches")
    _, kept, attributes = model.look(images)
    of_kept = torch.stack([a[k].mean(0) for a, k in zip(attributes, kept, strict=True)])
    torch.testing.assert_close(model.logits(images, table), 5 * of_kept @ table.T)
    highest = attributes.amax(dim=1)
    found = on_grid_14(mended="pooling").logits(images, table)
    torch.testing.assert_close(found, 5 * highest @ table.T)


def test_mended_divergence_is_half_jeffreys_of_the_scaled_logits(released, monkeypatch):
    _, images, table = released
    given = []
    monkeypatch.setattr(svip_released, "consistency", lambda *pair: given.append(pair) or pair[0])
    model = on_grid_14(mended="divergence")
    model.losses(images, torch.tensor([0, 1, 2, 3]), table)
    ((one, two),) = given
    assert one.shape == two.shape == (4, len(table))
    patches, row = model.network.embed(images), ClassRow("rollout")
    final = model.network.encode(patches, row)[1]
    kept = top(model.network.patch_scores(row), 30)
    attributes = model.network.to_attributes(final)
    pooled = torch.stack([a[k].mean(0) for a, k in zip(attributes, kept, strict=True)])
    torch.testing.assert_close(one, 5 * pooled @ table.T)


def small(images=96, **settings):
    train = toy_for(SVIPReleased).train_set(SVIPReleased)
    few = replace(train, inputs=train.inputs[:images], labels=train.labels[:images])
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


@pytest.mark.parametrize("mended", ["none", "adam"])
def test_the_rate_falls_by_a_fifth_every_five_epochs_counted_from_0(mended, monkeypatch):
    """The first main epoch of CUB, the fifth, is number 4 there: no decay yet."""
    model, few = small(epochs=11, warm_epochs=4, mended=mended)
    monkeypatch.setattr(SVIPReleased, "losses", untrained)
    rates, optimisers = [], []
    for _ in model.fit(few):
        rates.append(model.optimiser.param_groups[0]["lr"])
        optimisers.append(model.optimiser)
    expected = [5e-5] * 4 + [3e-5] + [0.8 * 3e-5] * 5 + [0.64 * 3e-5]
    assert rates == pytest.approx(expected)
    assert optimisers[0] is optimisers[3] is not optimisers[4]
    assert (optimisers[4] is optimisers[5]) == (mended == "adam")
    assert optimisers[5].defaults["betas"] == (0.5, 0.999)


def untrained(self, images, labels, table):
    """A loss that costs nothing and moves every parameter's gradient."""
    return {"all": sum(parameter.sum() for parameter in self.network.parameters())}


@pytest.mark.parametrize(("mended", "limited"), [("none", False), ("warm_up", True)])
def test_piled_up_gradients_shrink_those_of_the_heads_unless_mended(mended, limited, monkeypatch):
    """Heads' gradients are of norm 1 after the clip only if the backbone's are left out of it."""
    model, few = small(epochs=1, warm_epochs=1, mended=mended)
    monkeypatch.setattr(SVIPReleased, "losses", untrained)
    list(model.fit(few))
    heads, every = (
        torch.stack([p.grad.norm() for p in parameters if p.grad is not None]).norm()
        for parameters in (model.heads, model.network.parameters())
    )
    assert float(heads if limited else every) == pytest.approx(1.0, rel=1e-3)
    assert (float(every) > 1.1) == limited


def test_images_are_flipped_half_of_the_time():
    torch.manual_seed(0)
    images = torch.arange(4.0).expand(200, 3, 4, 4)
    flipped = (svip_released._flipped(images) == images.flip(-1)).all(dim=(1, 2, 3))
    assert 70 < int(flipped.sum()) < 130


@pytest.mark.parametrize("mended", ["none", "order"])
def test_images_come_in_the_order_they_are_filed_unless_mended(monkeypatch, mended):
    """Of 100 images, the last 4 make no whole batch and are left out."""
    model, few = small(epochs=1, mended=mended, images=100)
    seen = []
    losses = SVIPReleased.losses

    def seeing(self, images, labels, table):
        seen.extend(labels)
        return losses(self, images, labels, table)

    monkeypatch.setattr(SVIPReleased, "losses", seeing)
    list(model.fit(few))
    filed = few.labels[:96].tolist()
    assert (seen == filed) == (mended == "none")
    assert len(seen) == 96


def test_a_resumed_fit_gives_the_same_bits():
    """In its warm-up, and where the warm-up has just ended."""
    once = {"images": 40, "epochs": 3, "warm_epochs": 2}
    whole, few = small(**once)
    losses = [epoch.losses for epoch in whole.fit(few)]
    for killed_after in (1, 2):
        first, _ = small(**once)
        fit = first.fit(few)
        for _ in range(killed_after):
            next(fit)
        resumed, _ = small(**once)
        assert [e.losses for e in resumed.fit(few, first.checkpoint())] == losses[killed_after:]
        for name, value in whole.state().items():
            np.testing.assert_array_equal(resumed.state()[name], value)


@pytest.mark.slow
def test_64_images_can_be_learnt_by_heart():
    """At rates of a fresh network; the released ones are for one pretrained on ImageNet."""
    model, few = small(epochs=80, warm_epochs=0, lr=2e-3)
    items = np.linspace(0, len(few.labels) - 1, 64).astype(int)  # of all classes
    few = replace(few, inputs=few.inputs[items], labels=few.labels[items])
    assert fitted_to_know(model, few) > KNOWN


def released_layout(width=64):
    """A state dict as the authors' code would save it."""
    state = {k: v for k, v in vit(width).state_dict().items() if not k.startswith("head")}
    torch.manual_seed(2)
    for name, shape in {
        "head": (K, width), "head_1": (K, 4 * width), "token_cls.0": (512, 4 * width),
        "token_cls.2": (1, 512), "v2p": (width, E), "p2t": (4, K),
    }.items():  # fmt: skip
        state |= {f"{name}.weight": torch.randn(shape), f"{name}.bias": torch.randn(shape[0])}
    return state


WORDS = np.random.default_rng(3).normal(size=(K, E))


def scored_by_timm(state, batch, table, kept):
    """The released test forward, step by step, with timm's ViT and the state's own names."""
    plain = vit(128)
    plain.load_state_dict({k: v for k, v in state.items() if k in plain.state_dict()})

    def linear(name, x):
        return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]

    def blocks(tokens):
        grid = tokens.reshape(len(tokens), 14, 14, -1)
        places = [(r, c) for r in range(0, 14, 2) for c in range(0, 14, 2)]
        return torch.stack([
            torch.cat([grid[:, r + i, c + j] for i in (0, 1) for j in (0, 1)], dim=1)
            for r, c in places
        ], dim=1)  # fmt: skip

    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    images = ((torch.from_numpy(batch) / 255 - mean) / deviation).permute(0, 3, 1, 2)
    raw = plain.patch_embed(images)
    unrelated = linear("token_cls.2", linear("token_cls.0", blocks(raw)).relu())[..., 0]
    e = linear("p2t", linear("v2p", torch.from_numpy(WORDS).float()).T).flatten()
    rows = []
    for image, order in enumerate(unrelated.argsort(dim=1)):
        merged = blocks(raw[image : image + 1])[0].clone()
        for place in order[kept:]:
            merged[place] += e
        grid = torch.empty(14, 14, 128)
        for place, four in enumerate(merged.reshape(49, 4, 128)):
            r, c = 2 * (place // 7), 2 * (place % 7)
            grid[r, c], grid[r, c + 1], grid[r + 1, c], grid[r + 1, c + 1] = four
        tokens = torch.cat([plain.cls_token[0], grid.reshape(196, 128)]) + plain.pos_embed[0]
        final = plain.norm(plain.blocks(tokens[None]))[:, 1:]
        attributes = linear("head_1", blocks(final))[0].mean(dim=0)
        rows.append(5 * attributes @ torch.from_numpy(table).float().T)
    return torch.stack(rows).detach().numpy()


@pytest.mark.parametrize("nested", [True, False])
def test_a_released_checkpoint_gives_its_scores(tmp_path, nested):
    state = released_layout(128)
    beside = {
        "epoch": 14, "args": argparse.Namespace(att_group={1: [0, 1]}), "semantic_lists": None,
        "best_stacked_accs": {"gzs-H": torch.tensor(76.1), "best-info": "[014/030]"},
    }  # fmt: skip
    content = {"network": state, **beside} if nested else state
    torch.save(content, tmp_path / "svip.pth")
    model = SVIPReleased.from_checkpoint(tmp_path / "svip.pth", WORDS, M=30)
    batch = np.random.default_rng(4).integers(0, 256, (2, 112, 112, 3), dtype=np.uint8)
    table = np.random.default_rng(5).random((6, K))
    expected = scored_by_timm(state, batch, table, 30)
    np.testing.assert_allclose(model.scores(batch, table), expected, rtol=1e-3, atol=1e-3)
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


def test_a_checkpoint_that_is_not_there_is_said_so(tmp_path):
    with pytest.raises(ZslbenchError, match=r"svip.pth: there is no such file"):
        SVIPReleased.from_checkpoint(tmp_path / "svip.pth", WORDS)


@pytest.mark.parametrize(
    ("lacking", "words", "said"),
    [("v2p", WORDS, "word_to_width.weight"), ("none", WORDS[:40], "these have 40 attributes")],
)
def test_a_checkpoint_that_does_not_fit_is_refused_with_what_differs(
    tmp_path, lacking, words, said
):
    state = {k: v for k, v in released_layout().items() if not k.startswith(lacking)}
    torch.save(state, tmp_path / "other.pth")
    with pytest.raises(ZslbenchError, match=said):
        SVIPReleased.from_checkpoint(tmp_path / "other.pth", words, M=30)


@pytest.mark.parametrize(("k", "added"), [(312, 2_765_085), (102, 2_118_915), (85, 2_066_606)])
def test_added_parameters_are_as_many_as_released(k, added):
    """For CUB, SUN and AwA2, with ViT-B and words of 300."""
    from zslbench.methods.svip_released import ReleasedNetwork

    with torch.device("meta"):
        big = OpenViT(VisionTransformer(num_classes=0, depth=1))
        net = ReleasedNetwork(big, torch.zeros(k, 300), "output", "words", "mean")
    backbone = sum(p.numel() for p in net.backbone.parameters())
    assert sum(p.numel() for p in net.parameters()) - backbone == added
