"""CLIP zero-shot and CoOp: their logits against an explicit computation, and who serves them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from zslbench.data.load import DataRequest
from zslbench.data.provide import DataSource, UnservedError
from zslbench.errors import ZslbenchError
from zslbench.method import TrainSet
from zslbench.method.conformance import toy_images
from zslbench.method.registry import load_method
from zslbench.nn.images import normalise
from zslbench.protocol.worlds import final_world
from zslbench.studies.plan import spec_of

CLIP, COOP = load_method("clip_zero_shot"), load_method("coop")
TOLD = np.array(
    [
        ["bird with red crown color, small size", "bird with cone bill shape"],
        ["bird with blue crown color", ""],
        ["bird with striped wing pattern, yellow wing color", "bird with large size"],
    ]
)


@pytest.fixture(scope="module")
def world():
    return final_world(toy_images(ending="pair"))


def fitted(method, world, **settings):
    config = method.Config.model_validate({"epochs": 1, **settings} if method is COOP else settings)
    model = method(config, 0)
    for _ in model.fit(world.train_set(method, "sentences")):
        pass
    return model


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def pooled_images(model, pair, batch):
    with torch.inference_mode():
        return pair.image_features(normalise(batch, model.source)).pooled.double().numpy()


def by_hand(images, pooled, owners, scale):
    """Logits in float64, class by class."""
    classes = [unit(unit(pooled[owners == c]).mean(axis=0)) for c in range(owners.max() + 1)]
    return scale * unit(images) @ np.array(classes).T


def test_clip_is_the_scaled_cosine_with_the_mean_of_a_class_s_prompts(world):
    model = fitted(CLIP, world)
    batch = world.dataset.inputs[world.test[:5]]
    prompts = [f"a photo of a {text}." for text in TOLD.ravel() if text]
    with torch.inference_mode():
        pooled = model.pair.text_features(prompts).pooled.double().numpy()
        scale = float(model.pair.logit_scale)
    images = pooled_images(model, model.pair, batch)
    expected = by_hand(images, pooled, np.array([0, 0, 1, 2, 2]), scale)
    np.testing.assert_allclose(model.scores(batch, TOLD), expected, atol=1e-4)


def test_the_template_is_the_prompt(world):
    batch = world.dataset.inputs[world.test[:5]]
    bare, given = fitted(CLIP, world, template="{}"), fitted(CLIP, world)
    written = np.array([[text and f"a photo of a {text}." for text in row] for row in TOLD])
    np.testing.assert_allclose(bare.scores(batch, written), given.scores(batch, TOLD), atol=1e-5)
    with pytest.raises(ZslbenchError, match="template="):
        CLIP.Config.parse({"template": "a photo"}, "clip_zero_shot")


def test_coop_with_the_words_of_a_template_as_context_is_clip(world):
    model, clip = fitted(COOP, world, M=4), fitted(CLIP, world, template="a photo of a {}")
    pair = model.network.backbone
    with torch.no_grad():
        ids = pair.tokenise(["a photo of a"])
        model.network.context.copy_(pair.embed(ids[:, 1:5])[0])
    batch = world.dataset.inputs[world.test[:5]]
    np.testing.assert_allclose(model.scores(batch, TOLD), clip.scores(batch, TOLD), atol=1e-4)


def test_coop_learns_its_context_and_nothing_else(world):
    fresh = COOP(COOP.Config(epochs=1), 0)
    fresh.setup(world.train_set(COOP, "sentences"))
    trained = fitted(COOP, world)
    before, after = fresh.state(), trained.state()
    moved = {name for name in before if not np.array_equal(before[name], after[name])}
    assert moved == {"context"}


def test_coop_s_context_starts_small_and_shared_by_all_classes(world):
    model = COOP(COOP.Config(), 0)
    model.setup(world.train_set(COOP, "sentences"))
    context = model.network.context.detach().numpy()
    assert context.shape == (16, model.network.backbone.text_width)
    assert context.std() == pytest.approx(0.02, rel=0.1)


def test_coop_leaves_room_for_its_context(world):
    model = COOP(COOP.Config(M=16), 0)
    model.setup(world.train_set(COOP, "sentences"))
    assert model.table(np.array([["bird " * 78]])).shape == (1, 1, 96)
    with pytest.raises(ZslbenchError, match="at most 78 words here, this has 79"):
        model.table(np.array([["bird " * 79]]))


@pytest.mark.long
def test_coop_learns_64_images_by_heart_where_clip_does_not_know_them(world):
    train = world.train_set(COOP, "sentences")
    items = np.flatnonzero(train.labels < 8)[:64]
    inputs, labels, table = train.inputs[items], train.labels[items], train.class_attributes[:8]
    few = TrainSet(inputs, labels, table, backbone=train.backbone)
    settings = {"epochs": 300, "batch_size": 16, "M": 32, "lr": 0.05, "weight_decay": 0.0}
    model = COOP(COOP.Config(**settings, augment=False), 0)
    losses = [epoch.losses["classes"] for epoch in model.fit(few)]
    found = model.scores(inputs, table).argmax(axis=1)
    untrained = fitted(CLIP, world).scores(inputs, table).argmax(axis=1)
    assert losses[-1] < losses[0] / 4
    assert np.mean(found == labels) > 0.95
    assert np.mean(untrained == labels) < 0.8


def serve(method, **request):
    request = DataRequest(**{"name": "plumage:classes=6,unseen=2,images_per_class=5",
                             "root": Path(), **request})  # fmt: skip
    return DataSource(request).for_method("m", method, method.Config())


def test_plumage_brings_its_own_pair_and_says_what_it_was_pretrained_on():
    dataset = serve(CLIP)
    spec = spec_of("clip_zero_shot", CLIP, CLIP.Config(), dataset)
    assert (spec.backbone.name, spec.backbone.exposure) == ("plumage_clip", "plumage")
    assert spec.descriptions.description == "attributes"
    assert spec_of("svip", load_method("svip"), load_method("svip").Config(), dataset
                   ).descriptions is None  # fmt: skip


@pytest.mark.parametrize(
    ("method", "request_", "said"),
    [
        (
            "coop",
            {"backbone": "plumage_vit"},
            "cannot run on plumage_vit. .*an image-text pair",
        ),
        (
            "coop",
            {"name": "tiny"},
            "needs a backbone for its images. .*an image-text pair",
        ),
        (
            "svip",
            {"backbone": "plumage_clip"},
            "cannot run on plumage_clip. .*a ViT of timm",
        ),
    ],
)
def test_a_method_without_the_backbone_it_needs_is_not_served(method, request_, said, tiny_root):
    with pytest.raises(UnservedError, match=said):
        serve(load_method(method), root=tiny_root, **request_)


def test_features_of_a_pair_serve_methods_on_features(tmp_path, monkeypatch):
    monkeypatch.setenv("ZSLBENCH_CACHE", str(tmp_path))
    dataset = serve(load_method("eszsl"), backbone="random:plumage_clip")
    assert dataset.inputs.shape == (30, 128)
    assert dataset.backbone.name == "features:random:plumage_clip"


def test_a_world_without_descriptions_says_so(world):
    bare = replace(world, dataset=replace(world.dataset, sentences=None))
    with pytest.raises(ValueError, match="loaded without class descriptions"):
        bare.attributes("sentences")
