"""A run fitted again: the same parameters, kept small, resumed, refused where it differs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from zslbench.data.load import DataRequest
from zslbench.errors import ZslbenchError
from zslbench.protocol.run import select
from zslbench.records import WordVectors
from zslbench.studies.explain.refit import STATE, job_of, refit
from zslbench.studies.plan import plan

BIRDS = DataRequest("plumage:classes=9,unseen=3,images_per_class=5", Path("data"))
FEW = {"epochs": 3, "batch_size": 16}


def planned(method="vit_attr_head", **settings):
    (job,) = plan([method], [BIRDS], settings=FEW | settings, seeds=[0], worlds=1)
    return job


@pytest.fixture(scope="module")
def choice():
    """A choice whose epoch is neither the first nor the last."""
    job = planned()
    return select(job.spec, job.dataset).model_copy(update={"epoch": 2})


def state_of(model):
    return {name: value.copy() for name, value in model.state().items()}


def same(one, other):
    return one.keys() == other.keys() and all(np.array_equal(one[k], other[k]) for k in one)


def test_a_refit_stops_at_the_chosen_epoch_and_is_kept(choice, tmp_path):
    job, ticks = planned(), []
    model = refit(job, choice, tmp_path, lambda *done: ticks.append(done))
    assert ticks == [(1, 2), (2, 2)]
    again = refit(job, choice, tmp_path, lambda *_: pytest.fail("fitted again"))
    assert same(state_of(model), state_of(again))
    assert [path.name for path in tmp_path.iterdir()] == [STATE]
    assert job.dataset.test_labels.openings == 0


def test_a_refit_that_was_killed_goes_on_and_ends_with_the_same_bits(choice, tmp_path):
    def kill(done, _):
        if done == 2:
            raise KeyboardInterrupt

    expected = state_of(refit(planned(), choice, tmp_path / "undisturbed", lambda *_: None))
    with pytest.raises(KeyboardInterrupt):
        refit(planned(), choice, tmp_path / "killed", kill)
    assert not (tmp_path / "killed" / STATE).exists()
    ticks = []
    found = refit(planned(), choice, tmp_path / "killed", lambda *done: ticks.append(done))
    assert ticks == [(2, 2)]
    assert same(state_of(found), expected)


def test_a_frozen_backbone_is_not_kept_again(choice, tmp_path):
    frozen = choice.model_copy(update={"config": choice.config | {"backbone_lr": 0.0}})
    model = refit(planned(backbone_lr=0.0), frozen, tmp_path, lambda *_: None)
    kept = load_file(tmp_path / STATE)
    assert set(kept) == {"head.weight", "head.bias"}
    again = refit(planned(backbone_lr=0.0), frozen, tmp_path, lambda *_: None)
    assert same(state_of(model), state_of(again))


def test_what_was_fitted_behind_kept_blocks_can_be_shown_images(choice, tmp_path, monkeypatch):
    monkeypatch.setenv("ZSLBENCH_CACHE", str(tmp_path / "cache"))
    birds = replace(BIRDS, backbone="plumage_vit", frozen_blocks=4)
    (job,) = plan(
        ["vit_attr_head"], [birds], settings=FEW | {"augment": False}, seeds=[0], worlds=1
    )
    still = choice.model_copy(update={"config": choice.config | {"augment": False}})
    model = refit(job, still, tmp_path / "refit", lambda *_: None)
    assert list((tmp_path / "cache").glob("kept-*.npy"))
    assert model.view(job.dataset.inputs[:2]).patches.shape == (2, 49)


def test_a_finished_run_is_found_again_as_a_job():
    spec = planned().spec
    assert job_of(spec, BIRDS, lambda *_: None).spec == spec


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"data_digest": "0" * 64}, "the data (digest 000000000000, here"),
        ({"precision": "float8"}, "the arithmetic (float8, here"),
        ({"method_version": 99}, "version 99 of svip"),
        ({"protocol_version": 0}, "protocol version 0"),
        ({"words": WordVectors(digest="0", description="glove")}, "the word vectors (glove)"),
        ({"method": "nothing"}, "no method here"),
        ({"method": "eszsl"}, "eszsl has no view"),
    ],
)
def test_a_run_made_with_something_else_is_refused(changes, said):
    spec = planned("svip").spec.model_copy(update=changes)
    with pytest.raises(ZslbenchError) as refusal:
        job_of(spec, BIRDS, lambda *_: None)
    assert said in str(refusal.value)


def test_methods_that_can_say_where_they_look_are_named():
    spec = planned("svip").spec.model_copy(update={"method": "eszsl"})
    with pytest.raises(ZslbenchError) as refusal:
        job_of(spec, BIRDS, lambda *_: None)
    named = str(refusal.value).partition("Methods that can: ")[2].rstrip(".").split(", ")
    assert {"apn", "dazle", "msdn", "psvma", "svip", "transzero", "vit_attr_head"} <= {*named}
    assert {"svip_released", "vspcn", "zeromamba", "zslvit"} <= {*named}
    assert "sae" not in named


def test_a_run_on_other_weights_is_refused():
    spec = planned().spec
    backbone = spec.backbone.model_copy(update={"weights_digest": "f" * 64})
    with pytest.raises(ZslbenchError, match="name its file with --weights"):
        job_of(spec.model_copy(update={"backbone": backbone}), BIRDS, lambda *_: None)
