"""Incremental methods: floor and ceiling, overfitting, and SPA against its equations."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

from zslbench.backbones.features import Frozen
from zslbench.backbones.registry import find_backbone
from zslbench.data.cache import default_cache_dir
from zslbench.data.load import DataRequest
from zslbench.data.provide import DataSource
from zslbench.method.registry import load_incremental, load_method
from zslbench.methods.incremental._aligner import select
from zslbench.methods.incremental._described import tokens
from zslbench.nn.transport import even, plans
from zslbench.protocol.run_tasks import run_tasks
from zslbench.protocol.tasks import TaskSequence
from zslbench.records import IncrementalSpec

BIRDS = "plumage:classes=10,unseen=2,images_per_class=10,clutter=0,spurious=0,seed=5"
QUICK = {"epochs": 1, "batch_size": 16, "patches": 8, "tokens": 4, "iterations": 10, "mix": 0.3}
LONG = {"epochs": 40, "batch_size": 16, "augment": False}
ALL_TRAINED = {**LONG, "backbone_lr": 5e-4}
ONE_PROJECTOR = {**LONG, "epochs": 100, "weight_decay": 0.0, "iterations": 20}


@pytest.fixture(scope="module")
def birds():
    """Small birds with an image-text pair that nothing has trained."""
    request = DataRequest(BIRDS, default_cache_dir(), backbone="random:plumage_clip")
    return DataSource(request).images


def learnt_spa(birds, tasks):
    """SPA after its first tasks."""
    cls = load_incremental("spa")
    method = cls(cls.Config(**QUICK), 0, birds.source)
    sequence = TaskSequence.of(birds, 0, 4, 0)
    for number in range(1, tasks + 1):
        list(method.learn(sequence.task(number, cls.needs)))
    return method, sequence


@pytest.mark.parametrize("epsilon", [0.05, 0.1, 1.0])
def test_plans_have_uniform_marginals(epsilon):
    generator = torch.Generator().manual_seed(0)
    cosines = torch.rand(6, 32, 8, generator=generator) * 2 - 1
    found = plans(cosines, epsilon, 500)
    assert (found >= 0).all()
    torch.testing.assert_close(found.sum(1), torch.full((6, 8), 1 / 8), atol=1e-5, rtol=0)
    torch.testing.assert_close(found.sum(2), torch.full((6, 32), 1 / 32), atol=1e-4, rtol=0)


def test_the_default_iterations_come_near_enough():
    config = load_incremental("spa").Config()
    cosines = torch.rand(
        6, config.patches, config.tokens, generator=torch.Generator().manual_seed(2)
    )
    found = plans(cosines, config.epsilon, config.iterations)
    uniform = torch.full((6, config.patches), 1 / config.patches)
    torch.testing.assert_close(found.sum(2), uniform, atol=1e-2 / config.patches, rtol=0)


def test_a_plan_does_not_depend_on_the_others_of_its_batch():
    cosines = torch.rand(5, 12, 4, generator=torch.Generator().manual_seed(3))
    alone = torch.cat([plans(each[None], 0.05, 50) for each in cosines])
    torch.testing.assert_close(plans(cosines, 0.05, 50), alone)


def test_plans_are_those_of_an_independent_solver_and_align_unlike_even_ones():
    import ot

    generator = torch.Generator().manual_seed(1)
    cosines = torch.rand(3, 6, 4, generator=generator)
    found = plans(cosines, 0.1, 500)
    uniform = [np.full(size, 1 / size) for size in (6, 4)]
    for plan, similarity in zip(found, cosines, strict=True):
        expected = ot.sinkhorn(*uniform, 1 - similarity.double().numpy(), 0.1)
        np.testing.assert_allclose(plan.numpy(), expected, atol=1e-5)
    assert ((found * cosines).sum((1, 2)) > (even(cosines) * cosines).sum((1, 2))).all()
    torch.testing.assert_close(plans(cosines, 100.0, 500), even(cosines), atol=1e-3, rtol=0)


def test_the_gradient_of_the_patch_score_is_the_plan():
    cosines = torch.rand(2, 5, 3, requires_grad=True)
    plan = plans(cosines, 0.1, 100)
    (plan * cosines).sum().backward()
    torch.testing.assert_close(cosines.grad, plan)


def test_selected_patches_are_those_nearest_to_any_phrase():
    patches = torch.nn.functional.normalize(torch.randn(3, 10, 6), dim=-1)
    phrases = torch.nn.functional.normalize(torch.randn(2, 4, 6), dim=-1)
    chosen = select(patches, phrases, 3)
    for image, kept in zip(patches, chosen, strict=True):
        relevance = [max(float(p @ t) for t in phrases.flatten(0, 1)) for p in image]
        best = sorted(range(10), key=lambda n: -relevance[n])[:3]
        torch.testing.assert_close(kept, image[best])
    assert select(patches, phrases, 10) is patches


def test_a_class_with_few_phrases_repeats_them_in_turn():
    pair = find_backbone("random:plumage_clip").build()
    rows = tokens(pair, [["bird with red crown color, striped wing pattern"]], 5)
    torch.testing.assert_close(rows[0, 0], rows[0, 2])
    torch.testing.assert_close(rows[0, 1], rows[0, 3])
    assert not torch.allclose(rows[0, 0], rows[0, 1])
    torch.testing.assert_close(rows.norm(dim=-1), torch.ones(1, 5))


def test_spa_keeps_old_projectors_and_old_scores_and_carries_no_image(birds):
    method, sequence = learnt_spa(birds, tasks=1)
    images = sequence.test[np.arange(4)]
    before, first = method.scores(images), method.state()
    list(method.learn(sequence.task(2, method.needs)))
    second = method.state()
    np.testing.assert_array_equal(second["projectors"][0], first["projectors"][0])
    assert np.abs(second["projectors"][1]).max() > 0
    np.testing.assert_allclose(method.scores(images)[:, :4], before, rtol=1e-4, atol=1e-4)
    assert set(second) == {"spans", "heads", "tokens", "projectors", "means", "deviations"}
    assert second["means"].shape == second["deviations"].shape == (8, 5, 128)


def lengthened(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def plan_of(cosines):
    """The plan by another solver, stopped where SPA stops."""
    import ot

    uniform = [np.full(size, 1 / size) for size in cosines.shape]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it has not converged
        return ot.sinkhorn(*uniform, 1 - cosines, 0.1, numItermax=QUICK["iterations"], stopThr=0)


def nearest(patches, phrases):
    """The patches `[m, D]` of one image that are nearest to any of some phrases."""
    best = (patches @ phrases.T).max(axis=1).argsort()[::-1]
    return patches[best[: QUICK["patches"]]]


def test_scores_mix_the_pooled_token_with_patches_carried_to_phrases(birds):
    """Class by class, in numpy and POT, each class through its own task's projector."""
    method, sequence = learnt_spa(birds, tasks=2)
    images = sequence.test[np.arange(3)]
    memory = {name: array.astype(np.float64) for name, array in method.state().items()}
    expected = np.empty((3, 8))
    for i, features in enumerate(lengthened(method.frozen.tokens(images).astype(np.float64))):
        for c in range(8):
            mine = slice(4 * (c // 4), 4 * (c // 4) + 4)
            project = np.eye(128) + memory["projectors"][c // 4].T
            pooled = lengthened(features[0] @ project) @ memory["heads"][c]
            chosen = nearest(features[1:], memory["tokens"][mine].reshape(-1, 128))
            cosines = lengthened(chosen @ project) @ memory["tokens"][c].T
            expected[i, c] = 0.3 * pooled + 0.7 * (plan_of(cosines) * cosines).sum()
    expected *= float(method.frozen.network.logit_scale)
    np.testing.assert_allclose(method.scores(images), expected, rtol=1e-3, atol=1e-3)


def test_gaussians_are_those_of_the_pooled_token_and_of_what_is_carried_to_phrases(birds):
    method, sequence = learnt_spa(birds, tasks=1)
    task, memory, shrink = sequence.task(1, method.needs), method.state(), method.config.shrink
    for c in range(4):
        tokens_of = memory["tokens"][c].astype(np.float64)
        found = []
        images = task.inputs[np.flatnonzero(task.labels == c)]
        for features in lengthened(method.frozen.tokens(images).astype(np.float64)):
            chosen = nearest(features[1:], tokens_of)
            carried = lengthened(plan_of(chosen @ tokens_of.T).T @ chosen)
            found.append(np.concatenate([features[:1], carried]))
        variance = np.var(found, axis=0)
        shrunk = (1 - shrink) * variance + shrink * variance.mean(axis=1, keepdims=True)
        np.testing.assert_allclose(memory["means"][c], np.mean(found, axis=0), atol=1e-4)
        np.testing.assert_allclose(memory["deviations"][c], np.sqrt(shrunk), atol=1e-4)


def test_pseudo_features_are_drawn_from_their_classes_gaussians(birds):
    method, _ = learnt_spa(birds, tasks=1)
    wide = {"deviations": np.full_like(method.state()["deviations"], 1e-3)}
    method.load_state({**method.state(), **wide})
    torch.manual_seed(0)
    drawn = method.model.draw(torch.tensor([2] * 500 + [0] * 500))
    for first, c in ((0, 2), (500, 0)):
        rows = torch.cat([drawn.pooled[:, None], drawn.patches], dim=1)[first : first + 500]
        mean = torch.from_numpy(method.state()["means"][c])
        direction = torch.nn.functional.normalize(mean, dim=-1)
        torch.testing.assert_close(rows.mean(0), direction, atol=1e-3, rtol=0)
        across = (rows - direction).std(0).mean(-1) * mean.norm(dim=-1)
        torch.testing.assert_close(across, torch.full_like(across, 1e-3), rtol=0.05, atol=0)


def test_a_sequence_builds_its_pair_once(birds):
    built = []

    def build():
        built.append(1)
        return birds.source.build()

    config = load_incremental("spa").Config(**QUICK)
    spec = IncrementalSpec(
        method="spa", method_version=2, config=config.model_dump(), dataset=BIRDS,
        data_digest=birds.digest, backbone=birds.backbone, seed=0, precision="float32",
        base=0, increment=4,
    )  # fmt: skip
    counted = replace(birds, source=replace(birds.source, build=build))
    course = run_tasks(spec, counted, lambda opening: None)
    assert course.record.sizes == (4, 4)
    assert built == [1]


def test_a_pair_that_training_was_cut_off_around_is_as_pretrained(birds):
    method, sequence = learnt_spa(birds, tasks=1)
    next(method.learn(sequence.task(2, method.needs)))
    assert method.model.network.training
    assert not method.model.pair.training
    assert not method.frozen.network.training
    fresh = Frozen(birds.source).network.state_dict()
    for name, tensor in method.frozen.network.state_dict().items():
        assert torch.equal(tensor, fresh[name]), name
    assert method.frozen is load_incremental("nearest_mean")(None, 0, birds.source).frozen


def test_zero_shot_compares_images_with_the_template_around_each_description(birds):
    cls, sequence = load_incremental("zero_shot"), TaskSequence.of(birds, 0, 4, 0)
    task, images = sequence.task(1, cls.needs), sequence.test[np.arange(5)]
    for template in ("a photo of a {}.", "{}"):
        method = cls(cls.Config(template=template), 0, birds.source)
        list(method.learn(task))
        pair, expected = method.frozen.network, []
        for each in task.descriptions:
            prompts = [template.replace("{}", sentence) for sentence in each if sentence]
            rows = np.stack([pair.text_features([p]).pooled[0].detach().numpy() for p in prompts])
            expected.append(lengthened(lengthened(rows).mean(axis=0)))
        cosines = lengthened(method.frozen(images)) @ np.stack(expected).T
        np.testing.assert_allclose(method.scores(images), cosines, atol=1e-5)
    assert cls.Config().template == load_method("clip_zero_shot").Config().template


def test_calibration_adds_a_loss_from_the_second_task_on(birds):
    cls = load_incremental("spa")
    sequence = TaskSequence.of(birds, 0, 4, 0)
    for calibration, expected in ((True, {"calibration"}), (False, set())):
        settings = {**QUICK, "calibration": calibration}
        method = cls(cls.Config(**settings), 0, birds.source)
        losses = [
            set(epoch.losses) - {"classes", "total"}
            for number in (1, 2)
            for epoch in method.learn(sequence.task(number, cls.needs))
        ]
        assert losses == [set(), expected]


@pytest.mark.parametrize(
    ("name", "settings", "share", "loss"),
    [
        # On one task joint training is fine-tuning.
        pytest.param("joint", ALL_TRAINED, 0.95, 0.25, marks=pytest.mark.long),
        pytest.param("fine_tuning", ALL_TRAINED, 0.95, 0.25, marks=pytest.mark.slow),
        # The pair's phrases have cosines of 0.93 among themselves: no projector parts them more.
        pytest.param("spa", ONE_PROJECTOR, 0.95, 0.6, marks=pytest.mark.slow),
        pytest.param("nearest_mean", {}, 0.85, 0.25, marks=pytest.mark.slow),
    ],
)
def test_64_images_are_learnt_by_heart(name, settings, share, loss):
    birds = DataSource(DataRequest(BIRDS, default_cache_dir(), backbone="plumage_clip")).images
    cls = load_incremental(name)
    task = TaskSequence(birds, birds.seen, (8,)).task(1, cls.needs)
    assert len(task.labels) == 64
    method = cls(cls.Config(**settings), 0, birds.source)
    losses = [epoch.losses.get("classes", 0.0) for epoch in method.learn(task)]
    right = method.scores(task.inputs[:]).argmax(axis=1) == task.labels
    assert np.mean(right) > share
    assert losses[-1] <= loss * losses[0]


@pytest.mark.long
def test_the_ceiling_is_above_the_floor_on_small_birds():
    name = "plumage:classes=12,unseen=4,images_per_class=20,clutter=0,spurious=0,seed=5"
    birds = DataSource(DataRequest(name, default_cache_dir(), backbone="plumage_clip")).images
    found = {}
    for method in ("joint", "fine_tuning", "nearest_mean"):
        cls = load_incremental(method)
        shared = {} if method == "nearest_mean" else {"epochs": 20, "batch_size": 16}
        spec = IncrementalSpec(
            method=method, method_version=1, config=cls.Config(**shared).model_dump(),
            dataset=name, data_digest=birds.digest, backbone=birds.backbone, seed=0,
            precision="float32", base=0, increment=4,
        )  # fmt: skip
        found[method] = run_tasks(spec, birds, lambda opening: None).record
    assert found["joint"].last > found["fine_tuning"].last + 15
    assert found["joint"].forgetting < found["fine_tuning"].forgetting
    assert found["nearest_mean"].last > found["fine_tuning"].last
    assert found["joint"].keeps_images


class Watched:
    """Images that remember the largest batch that was asked of them."""

    def __init__(self, images):
        self.images, self.largest = images, 0

    def __len__(self):
        return len(self.images)

    def __getitem__(self, items):
        self.largest = max(self.largest, len(items))
        return self.images[items]


@pytest.mark.parametrize("name", ["spa", "nearest_mean", "fine_tuning"])
def test_no_task_is_read_into_memory_whole(birds, monkeypatch, name):
    from zslbench.backbones import features
    from zslbench.methods.incremental import spa

    for module in (features, spa):
        monkeypatch.setattr(module, "BATCH", 5)
    cls, watched = load_incremental(name), Watched(birds.inputs)
    sequence = TaskSequence.of(replace(birds, inputs=watched), 0, 4, 0)
    task = sequence.task(1, cls.needs)
    quick = {"epochs": 1, "batch_size": 5, "patches": 8, "tokens": 4, "iterations": 2}
    config = cls.Config(**{k: v for k, v in quick.items() if k in cls.Config.model_fields})
    list(cls(config, 0, birds.source).learn(task))
    assert len(task.inputs) > 20 and watched.largest == 5
