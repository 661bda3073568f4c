"""A run along a task sequence: what is seen, carried, opened, and gone on from."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from fakes import Centroid, centroid_spec, toy_with_source, use_centroid

from zslbench.data.load import DataRequest
from zslbench.data.types import SealedLabels
from zslbench.errors import DataError, ZslbenchError
from zslbench.protocol.run import no_tick
from zslbench.protocol.run_tasks import run_tasks
from zslbench.records import IncrementalSpec, RunSpec
from zslbench.store import Store
from zslbench.store.checkpoints import Slot
from zslbench.studies.incremental import plan as sequences


@pytest.fixture(autouse=True)
def centroid(monkeypatch):
    use_centroid(monkeypatch)


CHANGES_BY_NATURE = {"created", "cost", "opening", "environment"}


def told(course):
    return course.record.model_dump(exclude=CHANGES_BY_NATURE)


def test_a_record_tells_what_was_predicted():
    data = toy_with_source()
    course = run_tasks(centroid_spec(data), data, lambda opening: None)
    record = course.record
    assert record.sizes == (5, 5, 2)
    assert [len(row) for row in record.tasks] == [1, 2, 3]
    assert record.accuracy == tuple(course.history.accuracy.tolist())
    assert record.average == pytest.approx(np.mean(record.accuracy))
    assert record.last == record.accuracy[-1] > 50
    assert course.history.predicted.shape == (3, len(data.splits.test_seen))
    assert (course.history.predicted.max(axis=1) < np.cumsum(record.sizes)).all()
    assert not record.keeps_images


def test_labels_are_opened_once_when_all_is_predicted_and_the_ledger_knows_before():
    data = toy_with_source()
    noted = []

    def announce(opening):
        assert Centroid.seen[-1][0] == 3
        assert data.test_labels.openings == 0
        noted.append(opening)

    record = run_tasks(centroid_spec(data), data, announce).record
    assert data.test_labels.openings == 1
    assert [opening.key for opening in noted] == [record.opening]


def test_nothing_but_the_state_goes_from_one_task_to_the_next():
    data = toy_with_source()
    record = run_tasks(centroid_spec(data, hides=True), data, lambda opening: None).record
    row = data.inputs[:1].nbytes
    assert record.carried == (5 * row, 10 * row, 12 * row)


def test_a_killed_run_goes_on_after_its_last_task_to_the_same_end(tmp_path):
    data = toy_with_source()
    spec = centroid_spec(data, breaks_at=3)
    slot = Slot(tmp_path / "slot")
    with pytest.raises(KeyboardInterrupt):
        run_tasks(spec, data, lambda opening: None, slot=slot)
    assert data.test_labels.openings == 0
    resumed = run_tasks(spec, data, lambda opening: None, slot=slot)
    assert [number for number, _ in Centroid.seen] == [1, 2, 3, 3]
    whole = run_tasks(spec, data, lambda opening: None)
    assert told(resumed) == told(whole)


def test_keys_of_the_two_kinds_of_run_never_meet():
    data = toy_with_source()
    spec = centroid_spec(data)
    common = spec.model_dump(exclude={"base", "increment", "descriptions"})
    run = RunSpec.model_validate(common)
    assert spec.key != run.key
    changed = [{"base": 2}, {"increment": 4}, {"seed": 1}, {"data_digest": "other"}]
    keys = {IncrementalSpec.model_validate({**spec.model_dump(), **c}).key for c in changed}
    assert len(keys | {spec.key}) == 5
    other = spec.model_copy(update={"seed": 7})
    assert other.seeds_key == spec.seeds_key


def test_a_class_without_test_images_is_refused_before_anything_is_learnt_or_opened(monkeypatch):
    data = toy_with_source()
    labels = data.test_labels.open(lambda: None)
    lost = data.seen[1]
    seen = len(data.splits.test_seen)
    here = np.flatnonzero(labels[:seen] != lost)
    left = np.concatenate([labels[here], labels[seen:]])
    poor = replace(
        data,
        splits=replace(data.splits, test_seen=data.splits.test_seen[here]),
        test_labels=SealedLabels(left),
    )
    said = f"no image of {data.classes.names[lost]} in test_seen"
    with pytest.raises(DataError, match=said):
        run_tasks(centroid_spec(poor), poor, lambda opening: pytest.fail("opened"))
    assert not Centroid.seen
    request = DataRequest("poor", root=Path())
    with monkeypatch.context() as patch, pytest.raises(DataError, match=said):
        patch.setattr(sequences, "source_of", lambda _: SimpleNamespace(images=poor))
        sequences.plan_incremental([], [request], base=0, increment=5)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"precision": "bfloat16"}, "planned in bfloat16 and would run in float32"),
        ({"data_digest": "0" * 64}, "has data of the digest"),
        ({"backbone": {"name": "a", "weights_digest": "0" * 64}}, "has backbone of the digest"),
        ({"descriptions": {"digest": "0" * 64, "description": "b"}}, "has class descriptions of"),
    ],
    ids=lambda x: str(x)[:20],
)
def test_another_machine_refuses_what_would_be_another_run(change, said, tmp_path, monkeypatch):
    """Data, weights, texts and arithmetic are looked at where the run is."""
    data = toy_with_source()
    monkeypatch.setattr(sequences, "source_of", lambda _: SimpleNamespace(images=data))
    spec = IncrementalSpec.model_validate({**centroid_spec(data).model_dump(), **change})
    request = DataRequest("toy", tmp_path)
    store = Store(tmp_path / "results")
    with pytest.raises(ZslbenchError, match=said):
        sequences.do_incremental(sequences.IncrementalJob(spec, request), store, tick=no_tick)
    assert not Centroid.seen
