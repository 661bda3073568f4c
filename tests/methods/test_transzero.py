"""TransZero's transformer against its formulas in loops; what is minimised; what presets set."""

import math

import numpy as np
import pytest
import torch
from overfitting import KNOWN, learnt_by_heart
from plain import Shown, calibrated, entropy_of, linear, noise, normed, relu, stirred
from scipy.special import softmax
from torch import nn

from zslbench.methods.transzero import Decoder, Encoder, Network, TransZero, pair_geometry

SEEN, LABELS, WIDTH = 5, torch.tensor([0, 1, 4]), 8
WORDS, TABLE = 3 * noise(7, 3, seed=5), noise(SEEN + 3, 7, seed=2).abs()
MAPS = noise(3, 4, 6, seed=3)  # of 2 x 2 places
SMALL = {"width": WIDTH, "hidden": 9}
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def transzero(**settings):
    """TransZero on maps that are shown to it, its parameters drawn, without dropout."""
    config = TransZero.Config(calibration=2.0, regression=3.0, **SMALL, **settings)
    model = TransZero(config, 0)
    model.network = stirred(Network(Shown(MAPS.shape[-1]), WORDS, config))
    model.unseen = TABLE[SEEN:]
    return model


# ---------------------------------------------------------------- layers, in loops


def geometry(grid, one, other):
    """The 64 numbers of one pair of places, from the corners of their boxes."""
    boxes = []
    for place in (one, other):
        row, column = divmod(place, grid)
        boxes.append([(low / grid + (low + 1) / grid) / 2 for low in (row, column)])
    side = 1 / grid + 1
    numbers = [math.log(max(abs(a - b) / side, 1e-3)) for a, b in zip(*boxes, strict=True)]
    angles = [100 * x / 1000 ** (i / 8) for x in (*numbers, 0.0, 0.0) for i in range(8)]
    return [math.sin(x) for x in angles] + [math.cos(x) for x in angles]


def fed(layers, x):
    return linear(layers[3], relu(linear(layers[0], x)))


def encoded(layer, places):
    grid = math.isqrt(len(places))
    found = []
    for one, place in enumerate(places):
        query, scores = linear(layer.query, place), []
        for other, key in enumerate(places):
            lowered = relu(linear(layer.pairs, np.array(geometry(grid, one, other)))[0])
            scores.append(query @ linear(layer.key, key) / np.sqrt(len(query)) - lowered)
        values = np.array([linear(layer.value, x) for x in places])
        x = normed(layer.norms[0], place + linear(layer.out, softmax(scores) @ values))
        x = normed(layer.norms[1], place + x)
        found.append(normed(layer.norms[2], x + fed(layer.feed, x)))
    return np.array(found)


def attended(layer, queries, source):
    """torch's attention of one head: findings and weights, query by query."""
    parts = [p.detach().numpy() for p in layer.in_proj_weight.chunk(3)]
    shifts = [p.detach().numpy() for p in layer.in_proj_bias.chunk(3)]
    keys, values = ([parts[i] @ x + shifts[i] for x in source] for i in (1, 2))
    rows = []
    for query in queries:
        q = parts[0] @ query + shifts[0]
        rows.append(softmax([q @ k / np.sqrt(len(q)) for k in keys]))
    return [linear(layer.out_proj, row @ np.array(values)) for row in rows], np.array(rows)


def decoded(layer, queries, places, talk):
    if talk:
        heard, _ = attended(layer.talk, queries, queries)
        queries = [normed(layer.talked, q + h) for q, h in zip(queries, heard, strict=True)]
    found, attention = attended(layer.look, queries, places)
    found = [normed(layer.norms[0], q + f) for q, f in zip(queries, found, strict=True)]
    return np.array([normed(layer.norms[1], x + fed(layer.feed, x)) for x in found]), attention


def predicted(network, found, talk=True, unit_words=False):
    """Attributes of one map."""
    words, score = network.words.detach().numpy(), network.score.detach().numpy()
    if unit_words:
        words = words / np.linalg.norm(words, axis=1, keepdims=True)
    places = [linear(network.places, f / np.linalg.norm(f)) for f in found]
    queries = [linear(network.queries, v) for v in words]
    out, _ = decoded(network.decode, queries, encoded(network.encode, places), talk)
    return np.array([v @ score @ x for v, x in zip(words, out, strict=True)])


@pytest.mark.parametrize("grid", [2, 3])
def test_geometry_equals_a_loop_over_pairs_of_places(grid):
    count = grid**2
    expected = [[geometry(grid, a, b) for b in range(count)] for a in range(count)]
    np.testing.assert_allclose(pair_geometry(grid, CPU), expected, atol=1e-5)


def test_encoder_equals_a_loop_over_pairs_of_places():
    layer, places = stirred(Encoder(WIDTH, 5, 0.4)), noise(2, 9, WIDTH)
    found = layer(places).detach()
    for image in range(2):
        expected = encoded(layer, places[image].numpy())
        np.testing.assert_allclose(found[image], expected, rtol=1e-4, atol=1e-5)


def test_geometry_that_scoring_has_asked_for_first_serves_training_too():
    layer, places = Encoder(WIDTH, 5, 0.4), noise(2, 25, WIDTH)
    with torch.inference_mode():
        layer(places)
    layer(places).sum().backward()
    assert layer.pairs.weight.grad is not None


@pytest.mark.parametrize(
    ("talk", "dropout", "training"), [(True, 0.4, False), (False, 0.4, False), (True, 0.0, True)]
)
def test_decoder_equals_a_loop_over_attributes_and_places(talk, dropout, training):
    layer = stirred(Decoder(WIDTH, 5, dropout, talk=talk)).train(training)
    queries, places = noise(7, WIDTH), noise(2, 4, WIDTH, seed=1)
    out, attention = layer(queries, places)
    for image in range(2):
        expected = decoded(layer, queries.numpy(), places[image].numpy(), talk)
        for got, wanted in zip((out, attention), expected, strict=True):
            np.testing.assert_allclose(got[image].detach(), wanted, rtol=1e-4, atol=1e-5)


def test_images_of_a_training_batch_are_dropped_from_apart():
    layer, queries, places = (
        Decoder(WIDTH, 5, 0.4, talk=True).train(),
        noise(7, WIDTH),
        noise(1, 4, WIDTH),
    )
    layer.look.dropout = 0.0  # what is apart before attributes look stays so
    torch.manual_seed(0)
    _, attention = layer(queries, places.expand(2, -1, -1))
    assert not torch.allclose(attention[0], attention[1])
    alone = layer.eval()(queries, places.expand(2, -1, -1))[1]
    torch.testing.assert_close(alone[0], alone[1])


@pytest.mark.parametrize("settings", [{}, {"unit_words": True}, {"talk": False}])
def test_attributes_are_read_from_what_their_queries_find(settings):
    network = transzero(**settings).network
    found, _ = network(MAPS)
    for image, shown in enumerate(MAPS.numpy()):
        expected = predicted(network, shown, **settings)
        np.testing.assert_allclose(found[image].detach(), expected, rtol=1e-4, atol=1e-4)


def test_at_the_start_words_and_places_are_unit_vectors():
    network = Network(Shown(6), WORDS, TransZero.Config(**SMALL)).eval()
    torch.testing.assert_close(network.words.norm(dim=1), torch.ones(7))
    torch.testing.assert_close(network(5 * MAPS), network(MAPS))


# ---------------------------------------------------------------- what is minimised


@pytest.mark.parametrize("over", ["all", "seen"])
def test_losses_equal_loops_over_images_and_attributes(over):
    model = transzero(cross_entropy=over)
    found = model.losses(MAPS, LABELS, TABLE[:SEEN])
    table, rows = TABLE.numpy(), [predicted(model.network, shown) for shown in MAPS.numpy()]
    logits = np.array([table @ row for row in rows])
    classes = regression = 0.0
    for row, scored, label in zip(rows, logits, LABELS, strict=True):
        known = scored if over == "all" else scored[:SEEN]
        classes += entropy_of(known, label) / 3
        regression += sum((row - table[label]) ** 2) / len(row) / 3
    expected = {
        "classes": classes, "calibration": 2.0 * calibrated(logits, SEEN),
        "regression": 3.0 * regression,
    }  # fmt: skip
    assert {name: float(v.detach()) for name, v in found.items()} == pytest.approx(expected, 1e-3)
    shown = model.logits(MAPS, TABLE).detach().numpy()
    np.testing.assert_allclose(shown, logits, rtol=1e-3, atol=1e-3)


def test_unseen_attributes_can_be_kept_out_of_the_cross_entropy():
    changed = {}
    for over in ("all", "seen"):
        model = transzero(cross_entropy=over)
        before = model.losses(MAPS, LABELS, TABLE[:SEEN])
        model.unseen = model.unseen.flip(1)
        after = model.losses(MAPS, LABELS, TABLE[:SEEN])
        changed[over] = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"all": {"classes", "calibration"}, "seen": {"calibration"}}


def test_every_parameter_of_the_transformer_is_trained():
    model = transzero()
    nn.init.constant_(model.network.encode.pairs.bias, 9.0)  # above 0: it lowers all attention
    sum(model.losses(MAPS, LABELS, TABLE[:SEEN]).values()).backward()
    still = {n for n, p in model.network.named_parameters() if p.grad is None or not p.grad.any()}
    assert still <= {"encode.key.bias"}  # a shift of all keys changes no attention


def test_an_attribute_is_seen_where_it_looks_in_the_decoder():
    model = transzero()
    patches, maps = model.look(MAPS)
    torch.testing.assert_close(maps.mT, model.network(MAPS)[1])
    torch.testing.assert_close(patches, maps.mean(dim=-1))


SHAPES = {"CUB": (300, 512, 0.4), "AWA2": (300, 512, 0.5), "SUN": (128, 2048, 0.3)}


@pytest.mark.parametrize(("name", "shape"), SHAPES.items())
def test_each_dataset_has_the_released_settings(name, shape):
    config = TransZero.Config.parse({"preset": name}, "transzero")
    assert (config.width, config.hidden, config.dropout) == shape
    assert config.talk == (name != "SUN")
    assert config.unit_words == (name == "AWA2")


@pytest.mark.slow
def test_64_images_can_be_learnt_by_heart():
    small = {"width": 64, "hidden": 128, "dropout": 0.0}
    assert learnt_by_heart(TransZero, lr=5e-3, steps=80, **small) > KNOWN
