"""I2DFormer against numpy: what a document is, local and global scores; it learns by heart."""

import numpy as np
import pytest
import torch
from overfitting import documents_by_heart

from zslbench.arithmetic import tensor
from zslbench.method.conformance import toy_images
from zslbench.methods.i2dformer import I2DFormer
from zslbench.nn.images import normalise
from zslbench.protocol.worlds import final_world
from zslbench.seeding import generator

RNG = generator(0, "i2dformer")
TOLD = np.array([
    ["bird with red crown color, small size", "bird with cone bill shape"],
    ["bird with blue crown color", ""],
    ["bird with striped wing pattern, yellow wing color", "bird with large size"],
])  # fmt: skip


@pytest.fixture(scope="module")
def model():
    world = final_world(toy_images(ending="pair"))
    model = I2DFormer(I2DFormer.Config(hidden=16, width=8, depth=1, augment=False), 0)
    model.setup(world.train_set(I2DFormer, "sentences"))
    model.network.eval()
    model.images = world.dataset.inputs[world.test[:6]]
    return model


def test_a_document_is_the_words_of_its_sentences_in_a_row(model):
    found = model.table(TOLD)
    pair = model.network.backbone
    for row, sentences in zip(found, TOLD, strict=True):
        with torch.no_grad():
            told = [pair.text_features([s]) for s in sentences if s]
            words = torch.cat([each.tokens[0][each.words[0]] for each in told])
        torch.testing.assert_close(row[: len(words)], words, atol=1e-5, rtol=1e-4)
        assert not row[len(words) :].any()


def test_what_a_shorter_document_is_filled_up_with_changes_nothing(model):
    with torch.no_grad():
        alone, *_ = model.network.read(model.table(TOLD[1:2]))
        together, *_ = model.network.read(model.table(TOLD))
    torch.testing.assert_close(alone[0], together[1], atol=1e-5, rtol=1e-4)


def test_local_scores_are_attention_of_patches_over_the_words_that_are_there(model):
    patches, words = RNG.normal(size=(2, 4, 8)), RNG.normal(size=(3, 5, 8))
    there = np.arange(5) < np.array([[5], [2], [3]])
    found = model.network.local(tensor(patches), tensor(words), torch.from_numpy(there)).detach()
    layer = {k: v.detach().double().numpy() for k, v in model.network.local.named_parameters()}
    for b in range(2):
        for c in range(3):
            rows = words[c][there[c]]
            pooled = np.zeros(8)
            for patch in patches[b] @ layer["queries.weight"].T:
                raised = np.exp(rows @ layer["keys.weight"].T @ patch / 8**0.5)
                pooled += (raised / raised.sum()) @ rows @ layer["values.weight"].T / 4
            out = layer["out.weight"] @ pooled + layer["out.bias"]
            expected = layer["score.weight"][0] @ out + layer["score.bias"][0]
            assert float(found[b, c]) == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_scores_are_products_of_image_and_document_and_losses_are_both(model):
    images = normalise(model.images, model.source)
    table = model.table(TOLD)
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    with torch.no_grad():
        encoded = model.network.images(model.network.backbone(images)).double().numpy()
        documents, words, there = model.network.read(table)
        local = model.network.local(tensor(encoded[:, 1:]), words, there).double().numpy()
        losses = {name: float(value) for name, value in model.losses(images, labels, table).items()}
    scores = encoded[:, 0] @ documents.double().numpy().T
    np.testing.assert_allclose(model.scores(model.images, TOLD), scores, rtol=1e-3, atol=1e-4)

    def cross_entropy(logits):
        shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        return -np.log(shares[np.arange(6), labels]).mean()

    expected = {"global": cross_entropy(scores), "local": cross_entropy(local)}
    assert losses == pytest.approx(expected, rel=1e-3)


@pytest.mark.slow
def test_it_learns_a_few_images_by_heart():
    config = I2DFormer.Config(dropout=0.0, augment=False)
    assert documents_by_heart(I2DFormer, config, images=32, lr=2e-3, steps=80) > 0.95
