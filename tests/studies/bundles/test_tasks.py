"""Runs along task sequences in bundles."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from fakes import centroid_spec, toy_with_source, use_centroid

from zslbench.protocol.run_tasks import run_tasks
from zslbench.store import Store, artifacts
from zslbench.studies.archive import pack, unpack
from zslbench.studies.bundles.contents import opened_bundle, write_bundle
from zslbench.studies.bundles.measure import PIXELS, verify_bundle
from zslbench.studies.bundles.merge import bring
from zslbench.studies.bundles.own_data import OwnData
from zslbench.studies.incremental.plan import write_course


@pytest.fixture
def lab(monkeypatch, tmp_path):
    """A store with a run, its bundle, and the data of whoever reads it."""
    use_centroid(monkeypatch)
    dataset, store = toy_with_source(), Store(tmp_path / "results", uri="")
    dataset = replace(dataset, backbone=dataset.source.record)
    course = run_tasks(centroid_spec(dataset), dataset, store.commit)
    store.commit(course.record, partial(write_course, course=course))
    write_bundle(tmp_path / "a.tar.xz", store, [course.record.key[:8]])
    own = OwnData(Path("nowhere"))
    own._found["toy"] = dataset
    return store, tmp_path / "a.tar.xz", own


def judged(path, own):
    with opened_bundle(path) as bundle:
        return verify_bundle(bundle, own).verdicts


def test_accuracies_are_recomputed_and_the_run_is_brought(lab, tmp_path):
    store, path, own = lab
    (verdict,) = judged(path, own)
    assert (verdict.status, verdict.reasons) == ("verified", (PIXELS,))
    assert not any(b"labels.npy" in content for content in unpack(path).values())
    there = Store(tmp_path / "there", uri="")
    with opened_bundle(path) as bundle:
        bring(bundle, verify_bundle(bundle, own), own, there)
    (mine,), (theirs,) = there.incremental(), store.incremental()
    assert mine.record == theirs.record
    name = artifacts.ANSWERS
    assert (mine.folder / name).read_bytes() == (theirs.folder / name).read_bytes()


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b'"last": ', b'"last": 1', "last: "),
        (b'"forgetting": ', b'"forgetting": 2', "forgetting: "),
        (b'"sizes": [\n  5', b'"sizes": [\n  4', "its tasks have "),
        (b'"increment": 5', b'"increment": 4', "key: "),
    ],
)
def test_a_changed_number_is_contradicted(lab, tmp_path, old, new, reason):
    _, path, own = lab
    members = unpack(path)
    changed = {name: content.replace(old, new, 1) for name, content in members.items()}
    assert changed != members
    pack(tmp_path / "b.tar.xz", changed)
    (verdict,) = judged(tmp_path / "b.tar.xz", own)
    assert verdict.status == "contradicted"
    assert verdict.reasons[0].startswith(reason)
