"""ZSLViT: what is kept, what is fused, what the label may reach, and what is minimised."""

import math

import numpy as np
import pytest
import timm
import torch
from overfitting import KNOWN, learnt_by_heart
from torch import nn

from zslbench.arithmetic import tensor
from zslbench.backbones.embedded import embedded_architecture
from zslbench.backbones.vit import OpenViT, attend
from zslbench.method.conformance import toy_for, toy_images
from zslbench.methods.zslvit import Network, Pass, ZSLViT, follow, fuse

K = 10
LABELS = torch.tensor([0, 1, 2, 3])


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def attention_rows(batch, length, seed=1):
    rows = torch.rand(batch, length, generator=torch.Generator().manual_seed(seed))
    return rows / (rows.sum(1, keepdim=True) + 0.3)


@pytest.fixture(scope="module")
def zslvit():
    """ZSLViT just set up, four images, and the seen classes' attributes."""
    train = toy_for(ZSLViT).train_set(ZSLViT)
    model = ZSLViT(ZSLViT.Config(semantic=3.0, attributes=0.5), 0)
    model.setup(train)
    return model, noise(4, 3, 56, 56), tensor(train.class_attributes)


def vit_tiny(config=None):
    vit = timm.create_model("vit_tiny_patch16_224", pretrained=False, num_classes=0)
    return Network(OpenViT(vit), K, config or ZSLViT.Config()).eval()


# ---------------------------------------------------------------- which tokens are left


def test_196_tokens_become_178_then_162_then_147():
    with torch.inference_mode():
        out = vit_tiny()(noise(1, 3, 224, 224))
    assert [ranks.shape[1] for ranks in out.ranks] == [196, 178, 162]
    assert [sources.shape[1] for sources in out.sources] == [178, 162, 147]


@pytest.mark.parametrize(("depth", "places"), [(12, [3, 6, 9]), (6, [2, 3, 4]), (24, [6, 12, 18])])
def test_fusing_blocks_lie_at_the_quarters_of_the_depth(depth, places):
    backbone = embedded_architecture()
    blocks = [backbone.vit.blocks[0]] * depth
    backbone.vit.blocks = nn.Sequential(*blocks)
    assert Network(backbone, K, ZSLViT.Config()).places == places


def test_added_parameters_are_those_released_but_for_the_second_head():
    """11.0 M for CUB on ViT-B, of which the head of 768 -> 1536 -> 512 that no loss reads."""
    with torch.device("meta"):
        vit = timm.create_model("vit_base_patch16_224", pretrained=False, num_classes=0)
        network = Network(OpenViT(vit), 312, ZSLViT.Config())
    added = sum(p.numel() for p in network.parameters()) - sum(p.numel() for p in vit.parameters())
    assert added == 9_058_320
    assert added + 768 * 1536 + 1536 * 512 == pytest.approx(11.0e6, abs=0.05e6)
    assert network.head.weight.numel() == 239_616


@pytest.mark.parametrize("how", ["raw", "normalised"])
@pytest.mark.parametrize(("length", "keep"), [(49, 0.9), (20, 0.33), (5, 0.1)])
def test_fused_token_equals_a_loop_over_the_tokens_left_out(how, length, keep):
    tokens, ranks = noise(3, 1 + length, 6), attention_rows(3, length)
    found, sources = fuse(tokens, ranks, keep, how)
    count = -int(-(keep * length) // 1)
    for image in range(3):
        best = sorted(range(length), key=lambda i: -float(ranks[image, i]))[:count]
        fused, total = torch.zeros(6), 0.0
        for i in range(length):
            if i not in best:
                fused = fused + ranks[image, i] * tokens[image, 1 + i]
                total += float(ranks[image, i])
        if how == "normalised":
            fused = fused / total
        expected = torch.stack([tokens[image, 1 + i] for i in sorted(best)])
        torch.testing.assert_close(found[image, 0], tokens[image, 0])
        torch.testing.assert_close(found[image, 1:-1], expected)
        torch.testing.assert_close(found[image, -1], fused)
        assert sources[image].tolist() == [*sorted(best), length]


@pytest.mark.parametrize("how", ["raw", "normalised"])
def test_tokens_are_fused_between_attention_and_mlp_of_the_fusing_blocks(how):
    """A whole pass, image by image, with half of the tokens kept each time, best first."""
    network = Network(embedded_architecture(), K, ZSLViT.Config(keep=0.5, fusing=how)).eval()
    backbone, images = network.backbone, noise(2, 3, 56, 56)
    with torch.no_grad():
        found = network(images).feature
        for image in range(2):
            tokens = backbone.tokens(backbone.embed(images[image : image + 1]))
            for number, block in enumerate(backbone.vit.blocks):
                normed = block.norm1(tokens)
                tokens = tokens + block.attn(normed)
                if number in (2, 3, 4):
                    q, k, _ = block.attn.qkv(normed).reshape(1, -1, 3, 4, 32).permute(2, 0, 3, 1, 4)
                    row = (q[0, :, :1] @ k[0].mT / 32**0.5).softmax(-1).mean(0)[0, 1:]
                    order = row.argsort(descending=True)
                    kept, left = order.split([-(-len(row) // 2), len(row) // 2])
                    share = row[left] / (row[left].sum() if how == "normalised" else 1)
                    parts = tokens[0, :1], tokens[0, 1 + kept], share[None] @ tokens[0, 1 + left]
                    tokens = torch.cat(parts)[None]
                tokens = tokens + block.mlp(block.norm2(tokens))
            expected = backbone.vit.norm(tokens)[0, 0]
            torch.testing.assert_close(found[image], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("keep", [1.0, 0.99])
def test_nothing_is_fused_where_all_tokens_are_kept(keep):
    tokens, ranks = noise(2, 8, 4), attention_rows(2, 7)
    found, sources = fuse(tokens, ranks, keep, "raw")
    assert torch.equal(found, tokens)
    assert sources.tolist() == [list(range(7))] * 2


def test_a_network_that_keeps_all_tokens_is_the_plain_vit():
    network = vit_tiny(ZSLViT.Config(keep=1.0))
    images = noise(2, 3, 224, 224)
    with torch.inference_mode():
        torch.testing.assert_close(network(images).feature, network.backbone(images)[:, 0])


def test_tokens_are_ranked_by_the_class_row_averaged_over_heads(zslvit):
    model, images, _ = zslvit
    backbone, rows = model.network.backbone, []
    tokens = backbone.tokens(backbone.embed(images))
    first, second, fusing = backbone.vit.blocks[:3]
    tokens = second(first(tokens))
    q, k, _ = fusing.attn.qkv(fusing.norm1(tokens)).reshape(4, 50, 3, 4, 32).permute(2, 0, 3, 1, 4)
    for head in range(4):
        logits = torch.einsum("bd,btd->bt", q[:, head, 0], k[:, head]) / 32**0.5
        rows.append(logits.softmax(-1)[:, 1:])
    expected = sum(rows) / 4
    torch.testing.assert_close(model.network(images).ranks[0], expected, rtol=1e-4, atol=1e-6)


def test_view_keeps_the_patches_that_survive_every_fusion_and_ranks_by_survival():
    """Of patches 0..3: 1 falls first, then 3 and the token of 1; the last row decides the rest."""
    out = Pass(
        torch.zeros(1, 4, 2), [], [],
        [torch.tensor([[0.3, 0.1, 0.4, 0.2]]), torch.tensor([[0.2, 0.4, 0.1, 0.05]])],
        [torch.tensor([[0, 2, 3, 4]]), torch.tensor([[0, 1, 4]])],
    )  # fmt: skip
    matter, left, maps = follow(out, torch.tensor([[[5.0], [7.0], [9.0]]]))
    torch.testing.assert_close(matter, torch.tensor([[1.2, 0.1, 1.4, 1.1]]))
    assert left.tolist() == [[1, 0, 1, 0]]
    assert maps[0, :, 0].tolist() == [5.0, -math.inf, 7.0, -math.inf]


def test_view_shows_as_many_patches_as_tokens_are_left(zslvit):
    model, _, _ = zslvit
    view = model.view(toy_images().inputs[np.arange(5)])
    assert view.patches.shape == view.kept.shape == (5, 49)
    assert set(view.kept.sum(axis=1)) <= {37, 38, 39}
    assert view.attributes.shape[:2] == (5, 49)
    assert (np.isfinite(view.attributes).all(axis=2) == view.kept).all()
    for scores, kept in zip(view.patches, view.kept, strict=True):
        assert scores[kept].min() > scores[~kept].max()


# ---------------------------------------------------------------- semantics, in training alone


def test_attend_without_hooks_is_timms_attention_and_a_query_hook_changes_it():
    block = embedded_architecture().vit.blocks[0].eval()
    normed = noise(2, 50, 128)
    torch.testing.assert_close(attend(block.attn, normed), block.attn(normed))
    halved = attend(block.attn, normed, on_query=lambda query: query / 2)
    assert not torch.allclose(halved, block.attn(normed))


def test_class_query_takes_a_tenth_of_the_embedded_attributes(zslvit):
    """Checked on what the decoders are shown: the query before its scale, heads side by side."""
    model, images, table = zslvit
    network, shown = model.network, []
    hook = network.decoders[0].register_forward_hook(lambda _, given, __: shown.append(given[0]))
    out = network(images, table[LABELS])
    hook.remove()
    backbone = network.backbone
    tokens = backbone.vit.blocks[:2](backbone.tokens(backbone.embed(images)))
    block = backbone.vit.blocks[2]
    own = block.attn.qkv(block.norm1(tokens))[:, 0, :128]
    expected = 0.9 * own + 0.1 * out.semantic[0]
    torch.testing.assert_close(shown[0], expected, rtol=1e-4, atol=1e-5)


def test_scores_know_no_label_and_use_nothing_of_the_semantic_part(zslvit, monkeypatch):
    model, images, table = zslvit
    with torch.no_grad():
        expected = model.logits(images, table)
        for part in (*model.network.embedders, *model.network.decoders):
            monkeypatch.setattr(part, "forward", lambda *_: pytest.fail("semantics at the test"))
        torch.testing.assert_close(model.logits(images, table), expected, rtol=0, atol=0)
        changed = table.clone()
        changed[1:] = changed[1:].flip(0)
        torch.testing.assert_close(model.logits(images, changed)[:, 0], expected[:, 0])


def test_training_does_know_the_label(zslvit):
    model, images, table = zslvit
    one, other = (model.network(images, table[labels]) for labels in (LABELS, LABELS + 4))
    assert not torch.allclose(one.feature, other.feature)
    with torch.no_grad():
        plain = model.network(images).feature
    assert not torch.allclose(one.feature, plain)


def test_without_mixing_the_label_reaches_no_feature(zslvit):
    _, images, table = zslvit
    network = Network(embedded_architecture(), table.shape[1], ZSLViT.Config(mixing=0.0)).eval()
    with torch.no_grad():
        guided, plain = network(images, table[LABELS]).feature, network(images).feature
    torch.testing.assert_close(guided, plain)


# ---------------------------------------------------------------- what is minimised


def test_losses_equal_loops_over_images_blocks_and_entries(zslvit):
    model, images, table = zslvit
    found = model.losses(images, LABELS, table)
    with torch.no_grad():
        out = model.network(images, table[LABELS])
        predicted = out.feature @ model.network.head.weight.T
    rows, a = predicted.double().numpy(), table.double().numpy()
    classes = semantic = attributes = 0.0
    for image, label in enumerate(LABELS.tolist()):
        cosines = [
            20 * rows[image] @ c / np.linalg.norm(rows[image]) / np.linalg.norm(c) for c in a
        ]
        classes += (np.log(np.sum(np.exp(cosines))) - cosines[label]) / 4
        for block in range(3):
            feature, embedded = out.feature[image], out.semantic[block][image]
            semantic += sum(abs(float(s - f)) for s, f in zip(embedded, feature, strict=True)) / (
                4 * 128
            )
            decoded = out.decoded[block][image].double().numpy()
            attributes += sum(abs(decoded - a[label])) / (4 * len(a[label]))
    assert float(found["classes"].detach()) == pytest.approx(classes, rel=1e-4)
    assert float(found["semantic"].detach()) == pytest.approx(3.0 * semantic, rel=1e-4)
    assert float(found["attributes"].detach()) == pytest.approx(0.5 * attributes, rel=1e-4)


def test_embedders_and_decoders_are_the_mlps_of_the_released_code(zslvit):
    """Embedders end in a sigmoid, decoders in a ReLU, so that attributes are not negative."""
    model, images, table = zslvit

    def linear(layer, x):
        return x @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()

    truth, out = table[LABELS].numpy(), model.network(images, table[LABELS])
    queries = np.random.default_rng(0).normal(size=(4, 128)).astype(np.float32)
    for embed, decode, found in zip(
        model.network.embedders, model.network.decoders, out.semantic, strict=True
    ):
        hidden = np.maximum(linear(embed[2], np.maximum(linear(embed[0], truth), 0)), 0)
        expected = 1 / (1 + np.exp(-linear(embed[4], hidden)))
        np.testing.assert_allclose(found.detach().numpy(), expected, atol=1e-5)
        decoded = np.maximum(linear(decode[2], np.maximum(linear(decode[0], queries), 0)), 0)
        np.testing.assert_allclose(
            decode(torch.from_numpy(queries)).detach().numpy(), decoded, atol=1e-5
        )
        assert (decoded == 0).any() and (decoded > 0).any()


@pytest.mark.parametrize(
    ("term", "trained"),
    [
        ("classes", {"embedders", "head"}),
        ("semantic", {"embedders"}),
        ("attributes", {"embedders", "decoders"}),
    ],
)
def test_each_term_trains_all_of_these_and_nothing_of_the_others(zslvit, term, trained):
    """All of the backbone but, for decoded attributes, what lies behind the last fusion."""
    model, images, table = zslvit
    model.network.zero_grad()
    model.losses(images, LABELS, table)[term].backward()
    reached, missed = set(), set()
    for name, parameter in model.network.named_parameters():
        felt = parameter.grad is not None and bool(parameter.grad.any())
        (reached if felt else missed).add(name)
    own = {name for name in reached | missed if not name.startswith("backbone")}
    assert {name for name in reached if name in own} == {
        name for name in own if name.split(".")[0] in trained
    }
    last = model.network.places[-1]
    behind = {n for n in missed - own if not n.startswith("backbone.vit.norm")}
    assert behind == set() or term == "attributes"
    assert all(int(name.split(".")[3]) >= last for name in behind)


def test_gradients_of_the_fused_token_reach_the_tokens_in_it_and_their_attention():
    """With half of 7 kept, 4, three are fused: no other token or weight is felt in it."""
    tokens = noise(2, 8, 4).requires_grad_()
    ranks = attention_rows(2, 7).requires_grad_()
    found, _ = fuse(tokens, ranks, 0.5, "raw")
    found[:, -1].sum().backward()
    assert ((ranks.grad != 0).sum(1) == 3).all()
    assert ((tokens.grad[..., 0] != 0).sum(1) == 3).all()


def test_an_image_is_scored_alike_alone_and_in_any_batch(zslvit):
    model, _, table = zslvit
    pixels = toy_images().inputs[np.arange(40)]
    together = model.scores(pixels, table.numpy())
    order = np.random.default_rng(0).permutation(40)
    np.testing.assert_allclose(
        model.scores(pixels[order], table.numpy()), together[order], rtol=1e-4, atol=1e-4
    )
    alone = np.concatenate([model.scores(pixels[i : i + 1], table.numpy()) for i in range(8)])
    np.testing.assert_allclose(alone, together[:8], rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_64_images_can_be_learnt_by_heart():
    assert learnt_by_heart(ZSLViT, lr=3e-4, steps=50) > KNOWN
