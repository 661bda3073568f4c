"""Verdicts: what follows is verified, what does not is named."""

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from zslbench.data.load import DataRequest, load_dataset
from zslbench.errors import DataError
from zslbench.store import Store
from zslbench.studies.archive import pack
from zslbench.studies.bundles.contents import opened_bundle, write_bundle
from zslbench.studies.bundles.measure import verify_bundle
from zslbench.studies.bundles.own_data import MOST_DRAWN, OwnData
from zslbench.studies.submit.measure import submit
from zslbench.studies.submit.submission import Submission

NOWHERE = OwnData(Path("nowhere"))


def statuses(found):
    return {verdict.status for verdict in found.verdicts}


def test_what_a_lab_exports_is_verified_by_anothers_labels(lab, verified):
    found = verified(lab.members)
    assert [(v.status, v.reasons, v.by) for v in found.verdicts] == 2 * [("verified", (), "Lab A")]
    assert found.openings == {"tiny": 2}
    assert "2 verified: every number recomputed" in str(found)


def test_a_bundle_holds_no_label_no_photo_and_no_path(lab):
    for name, content in lab.members.items():
        assert str(lab.root).encode() not in content
        if name.endswith(".npz"):
            assert set(np.load(io.BytesIO(content))) == {"items", "classes", "seen", "names"}


def test_without_labels_runs_are_consistent_and_the_dataset_is_named(lab, verified):
    found = verified(lab.members, NOWHERE)
    assert statuses(found) == {"consistent"}
    assert "labels are not here: nowhere: there is no such folder" in found.verdicts[0].reasons[0]


def set_at(*path, value):
    def change(content):
        for step in path[:-1]:
            content = content[step]
        last = content[path[-1]]
        content[path[-1]] = value(last) if callable(value) else value

    return change


RECORDS = {
    "digit": ("run", set_at("rules", "validation", "scores", "h", value=lambda h: h + 0.1),
              "validation.scores.h: "),
    "T1": ("run", set_at("rules", "last", "t1_best", value=99.0), "last.t1_best: 99 stated, "),
    "gamma": ("run", set_at("rules", "validation", "gamma", value=1.0), "validation.gamma: 1 st"),
    "published": ("run", set_at("rules", "published", "scores", "ausuc", value=0.999),
                  "published.scores.ausuc: 0.999 stated, "),
    "hidden": ("run", set_at("rules", "published", "selected_on_test", value=True),
               "published.selected_on_test: True stated, False recomputed"),
    "gamma 0": ("run", set_at("plain", "u", value=12.5), "gamma_zero.u: 12.5 stated, "),
    "oracle": ("run", set_at("oracle_h", value=float("nan")), "oracle_h: nan stated, "),
    "transductive": ("run", set_at("transductive", value=True), "about.transductive: True stat"),
    "seed": ("run", set_at("spec", "seed", value=7), "key: "),
    "cost": ("run", set_at("cost", "fit_seconds", value=1e300), "a cost or what it says"),
    "odd": ("run", set_at("localisation", value={"a": float("nan")}), "what it says of localisa"),
    "config": ("run", set_at("spec", "config", "rate", value=float("nan")), "no key can be made"),
    "settings": ("run", set_at("spec", "settings", value={"rate": 5.0}), "its settings say rate"),
    "environment": ("run", set_at("environment", value={}), "names no commit"),
    "escape": ("run", set_at("spec", "dataset", value="\x1b[31m"), "cannot be printed"),
    "opening": ("run", set_at("opening", value="f" * 32), "the ledger has no entry"),
    "labels": ("run", set_at("test_digest", value="0" * 64), "names another test digest"),
    "epoch": ("choice", set_at("epoch", value=lambda e: e % 4 + 1), "choice: epoch "),
    "T1 epoch": ("choice", set_at("t1_epoch", value=lambda e: e % 4 + 1), "for T1 stated"),
    "curve": ("choice", set_at("candidates", -1, "ausuc", value=0.9), "of the best curve"),
    "no curve": ("choice", set_at("candidates", value=[]), "its curves are not whole"),
    "a world's": ("choice", set_at("worlds", 0, "plain", "t1", value=1.5), "t1 "),
    "gain": ("choice", set_at("gain", value=50.0), "choice: ga"),
    "worlds": ("choice", set_at("worlds", value=lambda w: w[:1]), "made in 1 worlds, 2 asked"),
    "world": ("choice", set_at("worlds", 0, "train_classes", value=3), "choice: tuning world"),
    "other config": ("choice", set_at("config", "passes", value=9), "passes = 9 stated, 4 asked"),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "change", "reason"), RECORDS.values(), ids=RECORDS)
def test_a_record_with_one_value_changed_is_contradicted(verified, edited, kind, change, reason):
    found = verified(edited(kind, change))
    assert any(reason in said for v in found.of("contradicted") for said in v.reasons), found


def rewritten(members, ending, change):
    """Return members with the arrays of the first run changed."""
    name = next(name for name in sorted(members) if name.endswith(ending))
    with io.BytesIO(members[name]) as content:
        arrays = np.load(content)
        arrays = dict(arrays) if ending == "test.npz" else arrays
    out = io.BytesIO()
    save = np.savez if ending == "test.npz" else np.save
    changed = change(arrays)
    save(out, **changed) if ending == "test.npz" else save(out, changed)
    return {**members, name: out.getvalue()}


def shuffled(arrays):
    """The same scores, of other items."""
    arrays["images"] = arrays["images"][:, ::-1]
    return arrays


def mirrored(arrays):
    return {**arrays, "items": arrays["items"][::-1]}


FILES = {
    "items": ("test.npz", mirrored, "test item at place 0: "),
    "items twice": ("test.npz", lambda a: {**a, "items": a["items"][[0, 0]]}, "cannot be scores"),
    "classes": ("test.npz", lambda a: {**a, "names": a["names"][::-1]}, "class at place 0: "),
    "no seen": ("test.npz", lambda a: {**a, "seen": np.array([99])}, "99 of 12 classes are seen"),
    "strange": ("test.npz", lambda a: {"items": a["items"]}, "test.npz cannot be read"),
    "scores": ("summaries.npy", shuffled, " stated, "),
    "an epoch": ("summaries.npy", lambda a: a[:-1], "no scores are kept of epoch 4"),
    "all": ("summaries.npy", lambda a: np.zeros(9), "summaries.npy cannot be read"),
}


@pytest.mark.parametrize(("ending", "change", "reason"), FILES.values(), ids=FILES)
def test_files_with_other_contents_are_contradicted(lab, verified, ending, change, reason):
    found = verified(rewritten(lab.members, ending, change))
    assert any(reason in said for v in found.of("contradicted") for said in v.reasons), found
    assert found.counts == {"contradicted": 1, "verified": 1}


def with_ledger(change):
    def call(members):
        lines = members["ledger.jsonl"].decode().splitlines()
        return {**members, "ledger.jsonl": "\n".join(change(lines)).encode()}

    return call


REFUSED = {
    "a ledger twice": (with_ledger(lambda lines: 2 * lines), "that is no new entry"),
    "no ledger": (with_ledger(lambda lines: ["{}"]), "that is no new entry"),
    "no runs": (lambda m: {"ledger.jsonl": m["ledger.jsonl"]}, "holds no runs"),
    "no choice": (
        lambda m: {n: m[n] for n in m if "choice" not in n},
        "is no choice record",
    ),
    "a trial": (lambda m: {f"runs/trial-{'a' * 64}/record.json": b"{}"}, "holds a trial"),
    "a kind": (lambda m: {**m, f"runs/x-{'a' * 64}/record.json": b"{}"}, "holds a x"),
    "a list": (lambda m: {f"runs/run-{'a' * 64}/record.json": b"[]"}, "is no run record"),
}


@pytest.mark.parametrize(("change", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_bundle_is_refused(lab, verified, change, reason):
    with pytest.raises(DataError, match=reason):
        verified(change(lab.members))


def test_other_data_of_the_same_labels_are_consistent(lab, verified, edited):
    def change(content):
        content["spec"]["data_digest"] = "0" * 64

    assert "key: " in verified(edited("run", change)).of("contradicted")[0].reasons[0]
    (dataset,) = {v.dataset for v in verified(lab.members).verdicts}
    other = OwnData(lab.root)
    other._found["tiny"] = _with_digest(lab.own._found[dataset])
    found = verified(lab.members, other)
    assert statuses(found) == {"consistent"}
    assert "other attributes, training items or class splits" in found.verdicts[0].reasons[0]
    assert found.verdicts[0].labelled


def _with_digest(dataset):
    return replace(dataset, digest="0" * 64)


def images(run):
    run["spec"]["backbone"]["name"] = "resnet101"


def other_digest(run):
    run["spec"]["data_digest"] = "0" * 64


def images_of_other_worlds(choice):
    for world in choice["worlds"]:
        world |= {"train_classes": 1, "validation_classes": 2}


def later(run):
    """A version that is not here, and what it alone could contradict."""
    run["spec"] |= {"method_version": 999, "rules": ["validation", "last"]}
    run["rules"].pop("published", None)
    run["transductive"] = True


def unknown_method(run):
    later(run)
    run["spec"]["method"] = "mine"


def of_mine(choice):
    choice["method"] = "mine"


FORGED = {
    "nothing": (lambda run: None, None, "verified", ""),
    "digest": (
        other_digest,
        None,
        "consistent",
        "other attributes, training items or class splits",
    ),
    "worlds": (images, images_of_other_worlds, "consistent", "its tuning worlds are not those"),
    "version": (later, None, "consistent", "softmax is not here in the version of the run"),
    "method": (unknown_method, of_mine, "consistent", "mine is not here in the version"),
    "time": (set_at("created", value="<b>2099"), None, "contradicted", "which is no time"),
}


@pytest.mark.parametrize(("change", "choice", "status", "said"), FORGED.values(), ids=FORGED)
def test_keys_made_anew_make_no_run_verified(verified, forged, change, choice, status, said):
    (verdict,) = verified(forged(change, choice or (lambda content: None))).verdicts
    assert verdict.status == status
    assert said in " ".join(verdict.reasons)


def test_a_missing_file_is_named_without_the_folder_it_was_unpacked_in(lab, verified):
    members = {n: c for n, c in lab.members.items() if not n.endswith("test.npz")}
    reasons = [said for v in verified(members).verdicts for said in v.reasons]
    assert reasons and all("test.npz cannot be read (No such file" in said for said in reasons)


def test_submitted_scores_are_verified_like_any_others(lab, tmp_path):
    dataset, store = load_dataset(DataRequest("tiny", lab.root, bare=True)), Store(tmp_path, uri="")
    scores = np.random.default_rng(0).normal(size=(63, 12))
    submit([Submission(scores, 0.3)], "Mine", dataset, store)
    write_bundle(tmp_path / "mine.tar.xz", store, [])
    with opened_bundle(tmp_path / "mine.tar.xz") as bundle:
        (verdict,) = verify_bundle(bundle, lab.own).verdicts
    assert (verdict.method, verdict.status, verdict.reasons) == ("external:Mine", "verified", ())


def test_a_bundle_cannot_have_a_million_birds_drawn(lab, verified):
    members = {}
    for name, content in lab.members.items():
        bad = f"plumage:classes=1000,unseen=10,images_per_class={MOST_DRAWN}"
        members[name] = content.replace(b'"tiny"', json.dumps(bad).encode())
    found = verified(members)
    assert statuses(found) == {"consistent"}
    assert f"more than {MOST_DRAWN} images to draw" in found.verdicts[0].reasons[0]


def test_a_bundle_is_the_same_whoever_packs_it_again(lab, tmp_path):
    pack(tmp_path / "again.tar.xz", lab.members)
    assert (tmp_path / "again.tar.xz").read_bytes() == lab.path.read_bytes()
    with opened_bundle(lab.path) as bundle:
        assert len(bundle.runs) == 2
