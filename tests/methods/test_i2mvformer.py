"""I2MVFormer against numpy: views and their summaries; views that are not there; it overfits."""

import numpy as np
import pytest
import torch
from overfitting import documents_by_heart

from zslbench.arithmetic import tensor
from zslbench.method.conformance import toy_images
from zslbench.methods.i2mvformer import I2MVFormer, PooledScore
from zslbench.nn.images import normalise
from zslbench.protocol.worlds import final_world
from zslbench.seeding import generator

RNG = generator(0, "i2mvformer")
VIEWS = np.array([
    [["bird with red crown color", "small size"], ["bird with cone bill shape", ""]],
    [["bird with blue crown color", ""], ["", ""]],
    [["bird with striped wing pattern", ""], ["bird with large size", "yellow wing color"]],
])  # fmt: skip


@pytest.fixture(scope="module")
def model():
    world = final_world(toy_images(ending="pair"))
    config = I2MVFormer.Config(hidden=16, width=8, depth=1, summary_tokens=3, augment=False)
    model = I2MVFormer(config, 0)
    model.setup(world.train_set(I2MVFormer, "sentences"))
    model.network.eval()
    model.images = world.dataset.inputs[world.test[:4]]
    return model


def summed_up(summary, words):
    """The outputs of the learnt tokens before the words of one text, without any mask."""
    tokens = torch.cat([summary.tokens, words])[None]
    for block in summary.blocks:
        tokens = block(tokens)
    return summary.norm(tokens)[0, : len(summary.tokens)]


@torch.no_grad()
def test_views_are_summed_up_one_by_one_and_then_together(model):
    network = model.network
    documents, summaries, there = network.read(model.table(VIEWS))
    assert (documents.shape, summaries.shape, there.all()) == ((3, 8), (3, 3, 8), True)
    for row, views in enumerate(VIEWS):
        told = [model.words_of(view[None]) for view in views if view.any()]
        found = [summed_up(network.summary, network.documents(words)[0]) for words in told]
        expected = torch.stack([each[0] for each in found]).mean(dim=0)
        torch.testing.assert_close(documents[row], expected, atol=1e-5, rtol=1e-4)
        together = summed_up(network.all_views, torch.cat([each[1:] for each in found]))
        torch.testing.assert_close(summaries[row], together, atol=1e-5, rtol=1e-4)


def test_sentences_are_views_where_a_class_has_one_document(model):
    flat = np.array([["bird with red crown color", "bird with small size"]])
    torch.testing.assert_close(model.table(flat), model.table(flat[..., None]))
    assert model.table(flat).shape[:2] == (1, 2)


def test_patches_are_pooled_by_a_learnt_query():
    torch.manual_seed(0)
    score = PooledScore(8)
    torch.nn.init.normal_(score.query)
    layer = {k: v.detach().double().numpy() for k, v in score.named_parameters()}

    def linear(rows, name):
        return rows @ layer[f"{name}.weight"].T + layer.get(f"{name}.bias", 0)

    patches, words = RNG.normal(size=(2, 4, 8)), RNG.normal(size=(3, 5, 8))
    found = score(tensor(patches), tensor(words), torch.ones(3, 5, dtype=torch.bool)).detach()
    for b in range(2):
        for c in range(3):
            raised = np.exp(linear(patches[b], "queries") @ linear(words[c], "keys").T / 8**0.5)
            seen = raised / raised.sum(axis=1, keepdims=True) @ linear(words[c], "values")
            seen = linear(seen, "out")
            share = np.exp(linear(seen, "pool_keys") @ layer["query"] / 8**0.5)
            pooled = share / share.sum() @ linear(seen, "pool_values")
            normed = (pooled - pooled.mean()) / np.sqrt(pooled.var() + 1e-5)
            hidden = torch.from_numpy(linear(normed, "refine.1"))
            pooled = pooled + linear(torch.nn.functional.gelu(hidden).numpy(), "refine.3")
            expected = linear(pooled, "score")[0]
            assert float(found[b, c]) == pytest.approx(expected, rel=1e-4, abs=1e-5)


@torch.no_grad()
def test_scores_are_products_and_both_losses_are_cross_entropies(model):
    images, table = normalise(model.images, model.source), model.table(VIEWS)
    labels = torch.tensor([0, 1, 2, 0])
    encoded = model.encoded(images)
    documents, summaries, there = model.network.read(table)
    scores = encoded[:, 0] @ documents.T
    np.testing.assert_allclose(model.scores(model.images, VIEWS), scores, rtol=1e-3, atol=1e-4)
    local = model.network.local(encoded[:, 1:], summaries, there)
    losses = {name: float(value) for name, value in model.losses(images, labels, table).items()}
    expected = {
        name: float(-found.log_softmax(dim=1)[range(4), labels].mean())
        for name, found in (("global", scores), ("local", local))
    }
    assert losses == pytest.approx(expected, rel=1e-4)


@pytest.mark.slow
def test_it_overfits_a_few_images():
    config = I2MVFormer.Config(dropout=0.0, augment=False, depth=1, summary_tokens=4)
    assert documents_by_heart(I2MVFormer, config, images=16, lr=4e-3, steps=30) > 0.9
