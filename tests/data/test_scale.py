"""CUB, SUN and AwA2 in full size: the worlds that are cut from them, and a run on each."""

import math
import time

import numpy as np
import pytest
from datasets import DIMENSIONS, write_full_size

from zslbench.data.load import DataRequest, load_dataset
from zslbench.protocol import final_world, tuning_worlds
from zslbench.protocol.run import evaluate, select
from zslbench.studies.plan import plan

pytestmark = pytest.mark.slow


COUNTS = {
    "CUB": (7057, 1764, 2967, 150, 50),
    "SUN": (10320, 2580, 1440, 645, 72),
    "AWA2": (23527, 5882, 7913, 40, 10),
}


@pytest.fixture(scope="module", params=COUNTS)
def request_(request, real_data, tmp_path_factory):
    """Ask for one dataset of full size, which is deleted afterwards."""
    root = tmp_path_factory.mktemp("full_size")
    folder = write_full_size(real_data / "xlsa17" / request.param, root / request.param)
    yield DataRequest(request.param, root)
    (folder / "res101.mat").unlink()


@pytest.fixture(scope="module")
def dataset(request_):
    return load_dataset(request_)


def test_final_world_has_the_published_counts(dataset):
    trainval, test_seen, test_unseen, seen, unseen = COUNTS[dataset.name]
    world = final_world(dataset)
    assert len(world.train) == len(world.train_labels) == trainval
    assert len(world.test) == test_seen + test_unseen
    assert (world.seen, len(world.classes)) == (seen, seen + unseen)
    assert dataset.inputs[world.test[:3]].shape == (3, DIMENSIONS)
    assert not np.intersect1d(world.train, world.test).size


def test_tuning_worlds_divide_trainval_and_nothing_else(dataset):
    worlds = tuning_worlds(dataset, 3)
    assert len(worlds) == 3
    for world in worlds:
        items = np.concatenate([world.train, world.test])
        np.testing.assert_array_equal(np.sort(items), np.sort(dataset.splits.trainval))


def test_tuning_worlds_hold_the_officially_listed_classes(dataset, real_data):
    for number, world in enumerate(tuning_worlds(dataset, 3), start=1):
        sides = world.classes[: world.seen], world.classes[world.seen :]
        for kind, side in zip(("train", "val"), sides, strict=True):
            path = real_data / "xlsa17" / dataset.name / f"{kind}classes{number}.txt"
            assert {dataset.classes.names[c] for c in side} == set(path.read_text().split())


def test_tuning_worlds_hold_out_a_fifth_of_every_training_class(dataset):
    for world in tuning_worlds(dataset, 3):
        labels = world.open_labels()
        assert set(world.train_labels) == set(range(world.seen))
        assert set(labels) == set(range(len(world.classes)))
        kept = np.bincount(world.train_labels, minlength=world.seen)
        held = np.bincount(labels, minlength=len(world.classes))[: world.seen]
        assert np.abs(held - 0.2 * (kept + held)).max() <= 0.5


def test_eszsl_ends_at_chance_on_random_features(request_):
    (job,) = plan(["eszsl"], [request_], settings={}, seeds=None, worlds=3)
    start = time.perf_counter()
    choice = select(job.spec, job.dataset)
    record = evaluate(job.spec, choice, job.dataset, announce=lambda opening: None).record
    print(f"\nESZSL on {request_.name}: {time.perf_counter() - start:.0f} s")
    scores, chance = record.rules["validation"].scores, 100 / COUNTS[request_.name][-1]
    assert abs(scores.t1 - chance) < 0.5 * chance
    assert all(math.isfinite(value) for value in (scores.u, scores.s, scores.h, scores.ausuc))
