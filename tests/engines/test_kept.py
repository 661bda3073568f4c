"""What is never trained is computed once: the same numbers as with the network in each fit."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from zslbench.backbones import features
from zslbench.data.load import DataRequest
from zslbench.errors import DataError
from zslbench.method.registry import load_method
from zslbench.protocol import final_world
from zslbench.protocol.run import select
from zslbench.studies.plan import Entry, plan

STILL = {"backbone_lr": 0.0, "augment": False, "epochs": 1}
TRAINED = {"augment": False, "epochs": 1}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ZSLBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def job_of(method="dazle", settings=STILL, frozen_blocks=None):
    config = load_method(method).Config.parse(settings, method)
    birds = "plumage:classes=12,unseen=3,images_per_class=5"
    backbone = "plumage_vit" if frozen_blocks else None
    data = DataRequest(birds, Path(), backbone=backbone, frozen_blocks=frozen_blocks)
    (job,) = plan([Entry(method, config)], [data], settings={}, seeds=[0], worlds=1)
    return job


@pytest.mark.parametrize(
    ("method", "job", "width"),
    [
        ("dazle", {}, 192),
        ("zeromamba", {}, 192),  # it also reads the network's own norm and classifier
        ("svip", {"settings": TRAINED, "frozen_blocks": 2}, 128),
        *(pytest.param(method, {"settings": TRAINED, "frozen_blocks": 2}, 128,
                       marks=pytest.mark.slow)
          for method in ("vit_attr_head", "vspcn", "zslvit", "psvma")),
    ],
)  # fmt: skip
def test_fits_on_what_was_kept_choose_as_fits_with_the_network_do(cache, method, job, width):
    job = job_of(method, **job)
    kept, live = job.read(), job.dataset
    assert kept.source.kept
    assert kept.inputs.shape[1:] == (49, width)
    ours, theirs = select(job.spec, kept), select(job.spec, live)
    assert ours.epoch == theirs.epoch
    for one, other in zip(ours.worlds, theirs.worlds, strict=True):
        assert one.scores.ausuc == pytest.approx(other.scores.ausuc, abs=1e-4)


def test_what_was_learnt_on_kept_maps_fits_the_network(cache):
    """As a figure of a finished run needs it: it looks at the images."""
    job = job_of()
    kept, live = (final_world(dataset) for dataset in (job.read(), job.dataset))
    method, config = load_method("dazle"), load_method("dazle").Config.parse(STILL, "dazle")
    fitted, other = method(config, 0), method(config, 1)
    for _ in fitted.fit(kept.train_set(method, "unit")):
        pass
    other.setup(live.train_set(method, "unit"))
    other.load_state(fitted.state())
    table = live.attributes("unit")
    scores = [
        m.scores(w.dataset.inputs[w.test[:9]], table) for m, w in ((fitted, kept), (other, live))
    ]
    np.testing.assert_allclose(*scores, atol=1e-4)


@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("dazle", {**STILL, "augment": True}),
        ("dazle", {**STILL, "backbone_lr": 1e-4}),
        ("vit_attr_head", STILL),
        ("eszsl", {}),
    ],
    ids=["augmented", "trained", "tokens", "features"],
)
def test_only_what_stays_the_same_is_kept(cache, method, settings):
    job = job_of(method, settings)
    assert job.read() is job.dataset
    assert not list(cache.glob("kept-*"))


def test_a_random_start_is_another_one_in_every_fit(cache):
    job = job_of()
    record = job.dataset.source.record.model_copy(update={"weights_digest": ""})
    source = replace(job.dataset.source, record=record)
    job = replace(job, dataset=replace(job.dataset, source=source))
    assert job.read() is job.dataset


def test_it_is_computed_once_for_all_methods(cache, monkeypatch):
    first = job_of().read().inputs
    (kept,) = cache.glob("kept-*.npy")
    monkeypatch.setattr(features, "frozen", None)  # whoever computed them again would call it
    again = job_of("msdn").read().inputs
    assert np.array_equal(first, again)
    assert [kept] == list(cache.glob("kept-*.npy"))
    assert not list(cache.glob("*.part*"))


def test_a_full_disk_is_one_clear_error(cache, monkeypatch):
    def full(*args, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("numpy.lib.format.open_memmap", full)
    with pytest.raises(DataError, match="the cache cannot be written"):
        job_of().read()
