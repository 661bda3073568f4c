"""What two labs ran apart, put together."""

import json
import re

import pytest
from fakes import run_softmax

from zslbench.errors import DataError, ZslbenchError
from zslbench.store import Store, artifacts
from zslbench.studies.archive import unpack
from zslbench.studies.bundles.contents import opened_bundle, write_bundle
from zslbench.studies.bundles.measure import verify_bundle
from zslbench.studies.bundles.merge import bring
from zslbench.studies.bundles.own_data import OwnData
from zslbench.studies.leaderboard.measure import tracked


def imported(path, own, store):
    with opened_bundle(path) as bundle:
        return bring(bundle, verify_bundle(bundle, own), own, store)


def board(store):
    """The leaderboard, without what it took to make it."""
    found = tracked(store.results, ("validation",)).to_dict()
    return [{k: v for k, v in row.items() if k != "seconds"} for row in found["rows"]]


def files_of(store):
    return sorted(path.relative_to(store.results) for path in store.results.rglob("*"))


def test_two_folders_put_together_are_the_one_that_was_made_in_one_place(lab, tmp_path):
    other = run_softmax(tmp_path / "other", lab.root, (2,), passes=3)
    write_bundle(tmp_path / "b.tar.xz", other, [])
    whole = run_softmax(tmp_path / "whole", lab.root, (0, 1))
    run_softmax(tmp_path / "whole", lab.root, (2,), passes=3)
    both = Store(tmp_path / "both", uri="")
    for _ in range(2):  # twice is once
        assert imported(lab.path, lab.own, both).left_out == []
        imported(tmp_path / "b.tar.xz", lab.own, both)
    assert board(both) == board(whole)
    assert both.ledger() == whole.ledger()
    assert imported(lab.path, lab.own, both)[:2] == (0, 2)


def test_what_is_brought_has_all_files_of_a_run(lab, tmp_path):
    store = Store(tmp_path / "here", uri="")
    imported(lab.path, lab.own, store)
    for mine, theirs in zip(store.runs(), lab.store.runs(), strict=True):
        for name in (artifacts.SUMMARIES, artifacts.TEST, artifacts.PREDICTIONS):
            assert (mine.folder / name).read_bytes() == (theirs.folder / name).read_bytes()
        assert mine.record.environment.pop("by") == "Lab A"
        assert mine.record == theirs.record


def test_other_numbers_under_the_same_key_are_a_conflict_and_nothing_is_written(lab, tmp_path):
    store = run_softmax(tmp_path / "here", lab.root, (1,))
    file = store.runs()[0].folder / "record.json"
    content = json.loads(file.read_text())
    content["rules"]["validation"]["scores"]["h"] = 12.25
    file.write_text(json.dumps(content))
    before = files_of(store)
    said = r"softmax on tiny, seed 1 \(run \w{12}\) has rules.validation.scores.h [\d.]+, and 12.25"
    with pytest.raises(DataError, match=said):
        imported(lab.path, lab.own, store)
    assert files_of(store) == before
    assert len(store.openings()) == 1


def test_a_bundle_with_a_contradicted_run_is_not_imported(lab, edited, verified, tmp_path):
    def change(content):
        content["oracle_h"] = 1.5

    verified(edited("run", change))
    store = Store(tmp_path / "here", uri="")
    with pytest.raises(DataError, match="1 of 2 runs are contradicted, and nothing is imported"):
        imported(tmp_path / "bundle.tar.xz", lab.own, store)
    assert not store.results.exists() or not store.folders.names()


def test_runs_whose_labels_are_not_here_are_left_out_by_name(lab, tmp_path):
    store = Store(tmp_path / "here", uri="")
    new, known, left_out, unverified = imported(lab.path, OwnData(tmp_path / "empty"), store)
    assert (new, known, len(left_out), unverified) == (0, 0, 2, [])
    assert left_out[0].dataset == "tiny"
    assert not store.folders.names()
    assert not store.openings()


def test_a_ledger_entry_that_is_here_with_another_content_is_a_conflict(lab, tmp_path):
    store = Store(tmp_path / "here", uri="")
    (entry, _) = lab.store.openings().values()
    with opened_bundle(lab.path) as bundle:
        store.commit(bundle.openings[entry["key"]].model_copy(update={"method": "other"}))
    with pytest.raises(DataError, match="has another entry in its ledger"):
        imported(lab.path, lab.own, store)


def test_labs_that_ran_other_seeds_are_one_row_with_the_spread_between_them(
    lab, elsewhere, tmp_path
):
    """Lab B's machine is another: it has made a choice of its own under the same key."""
    other = run_softmax(tmp_path / "other", lab.root, (5, 6))
    write_bundle(tmp_path / "b.tar.xz", other, [], "Lab B")
    store = Store(tmp_path / "both", uri="")
    imported(lab.path, lab.own, store)
    imported(tmp_path / "b.tar.xz", lab.own, store)
    (row,) = tracked(store.results, ("validation",)).rows
    h = {name: [r.record.h() for r in s.runs()] for name, s in (("A", lab.store), ("B", other))}
    assert row.seeds == (0, 1, 5, 6)
    assert row.labs.means == {f"Lab {n}": pytest.approx(sum(v) / 2) for n, v in h.items()}
    assert re.search(r"H by lab: Lab A [\d.]+, Lab B [\d.]+; spread between labs", row.by_lab)
    assert "chosen by each lab for itself" in row.marks
    assert row.choice_spread is None
    own = {run.record.key: run.record for run in (*lab.store.runs(), *other.runs())}
    for each in store.runs():  # every run keeps the choice that it was read at
        assert each.record.choice.gamma == own[each.record.key].choice.gamma
    write_bundle(tmp_path / "again.tar.xz", store, [])
    with opened_bundle(tmp_path / "again.tar.xz") as bundle:
        assert {v.status for v in verify_bundle(bundle, lab.own).verdicts} == {"verified"}


@pytest.mark.parametrize(
    ("name", "runs", "by", "said"),
    [
        ("a.zip", [], "", "a bundle's name ends in .tar.xz"),
        ("a.tar.xz", ["zzz"], "", "No finished run in .* has a key that begins with 'zzz'"),
        ("a.tar.xz", [], "a\nb", "write up to 40 letters"),
    ],
)
def test_what_cannot_be_exported_is_refused(lab, tmp_path, name, runs, by, said):
    with pytest.raises(ZslbenchError, match=said):
        write_bundle(tmp_path / name, lab.store, runs, by)
    with pytest.raises(ZslbenchError, match="has no finished runs to export"):
        write_bundle(tmp_path / "x.tar.xz", Store(tmp_path / "empty", uri=""), [])


def test_chosen_runs_go_alone_with_all_openings_of_their_method(lab, tmp_path):
    key = lab.store.runs()[0].record.key
    assert write_bundle(tmp_path / "one.tar.xz", lab.store, [key[:9], key]) == 1
    members = unpack(tmp_path / "one.tar.xz")
    assert sum(name.startswith("runs/run-") for name in members) == 3  # its files
    assert len(members["ledger.jsonl"].splitlines()) == 2
    with opened_bundle(tmp_path / "one.tar.xz") as bundle:
        (verdict,) = verify_bundle(bundle, lab.own).verdicts
    assert verdict.openings == 1
