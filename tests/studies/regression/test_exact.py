"""The exact tier: no method's numbers move unless its version or the protocol's does."""

import pytest
from faults import ROOT

from zslbench.errors import DataError, ZslbenchError
from zslbench.studies.regression import exact
from zslbench.studies.regression.entries import (
    EXACT,
    INCREMENTAL,
    ExactEntry,
    append,
    load_entries,
    numbers_of,
    to_hold_against,
)
from zslbench.studies.regression.exact import STEPS, measure_exact, own_incremental, own_methods
from zslbench.studies.regression.exact_verdict import check_exact, reason_to_add
from zslbench.studies.regression.sides import ask

LEARN_NOTHING = {"clip_zero_shot"}
METHODS = own_methods()
INCREMENTAL_METHODS = [INCREMENTAL + name for name in own_incremental()]


@pytest.fixture(scope="module")
def stored():
    return load_entries(ROOT)


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(METHODS, id="methods"),
        pytest.param(INCREMENTAL_METHODS, id="incremental", marks=pytest.mark.slow),
    ],
)
def test_numbers_are_the_stored_ones(stored, names):
    """What could not be told, on another machine or of a new method, is said in the skip."""
    (answer,) = ask(None, {"exact": True, "methods": names})
    found = numbers_of(answer)
    assert sorted(found) == sorted(names)
    held = check_exact({name: stored[name] for name in names if name in stored}, found)
    assert held.problems == {}
    if held.verdict != "PASS":
        pytest.skip(held.said())


@pytest.mark.slow
def test_every_method_has_stored_numbers_and_nothing_else_has(stored):
    """The author of a new one need not have them in `make test`; what is merged does."""
    assert sorted(stored) == sorted(METHODS + INCREMENTAL_METHODS)


def test_no_number_stands_near_a_jump(stored):
    """Closed forms see exact features; accuracies, counts of images, would jump by whole ones."""
    for name, entry in ((name, entry) for name, entries in stored.items() for entry in entries):
        if entry.closed_form:
            assert {"t1", "u", "s", "h", "ausuc", "gamma", "scale"} <= entry.values.keys(), name
        elif name not in {INCREMENTAL + "nearest_mean", INCREMENTAL + "zero_shot", *LEARN_NOTHING}:
            losses = [values for key, values in entry.values.items() if key.startswith("loss")]
            assert max(map(len, losses)) >= STEPS, name


HERE = {"torch": "2.15", "arithmetic": "x86_64 AVX512"}
THERE = {"torch": "2.15", "arithmetic": "x86_64 AVX2"}
VALUES = {"loss total": [2.0, 1.5], "h": [50.0]}


def entry(fingerprint=HERE, *, version=1, closed_form=False, factor=1.0, **values):
    values = {**VALUES, **values}
    values["loss total"] = [factor * value for value in values["loss total"]]
    return ExactEntry(
        version=version, protocol_version=1, closed_form=closed_form, fingerprint=fingerprint,
        values=values, date="2026-11-22", commit="0" * 40, reason="",
    )  # fmt: skip


def verdict(stored, found):
    return check_exact({"svip": stored}, {"svip": found}).verdict


@pytest.mark.parametrize(
    ("closed_form", "factor", "moves"),
    [(True, 1 + 1e-8, False), (True, 1 + 1e-5, True), (False, 1 + 2e-5, False),
     (False, 1 + 1e-3, True), (False, float("nan"), True)],
)  # fmt: skip
def test_numbers_move_beyond_their_tolerance(closed_form, factor, moves):
    found = entry(closed_form=closed_form, factor=factor)
    held = check_exact({"svip": [entry(closed_form=closed_form)]}, {"svip": found})
    assert held.verdict == ("FAIL" if moves else "PASS")
    assert not moves or "no version did" in held.problems["svip"]


def test_elsewhere_the_steps_have_a_wider_tolerance_and_it_is_said():
    near, far = entry(factor=1 + 5e-4), entry(factor=1.1)
    assert verdict([entry()], near) == "FAIL"
    held = check_exact({"svip": [entry(THERE)]}, {"svip": near})
    assert held.verdict == "INCONCLUSIVE"
    assert "0.001" in held.said()
    assert "arithmetic x86_64 AVX2 there, x86_64 AVX512 here" in held.said()
    assert verdict([entry(THERE)], far) == "FAIL"


def test_closed_forms_are_told_everywhere():
    closed = entry(THERE, closed_form=True)
    assert verdict([closed], entry(closed_form=True)) == "PASS"
    assert verdict([closed], entry(closed_form=True, factor=1 + 1e-5)) == "FAIL"


def test_numbers_from_here_are_taken_before_later_ones_from_elsewhere():
    here, there = entry(), entry(THERE, factor=1 + 5e-4)
    assert verdict([here, there], entry()) == "PASS"
    assert to_hold_against([there, here, there], entry()) is here
    ours = {"torch": "9.9", "arithmetic": "arm"}
    assert to_hold_against([here, there], entry(ours)) is there
    assert to_hold_against([here, entry(ours, version=2)], entry(ours)) is here


def test_a_new_version_asks_for_new_numbers():
    held = check_exact({"svip": [entry()]}, {"svip": entry(version=2)})
    assert held.verdict == "FAIL"
    assert "zslbench baseline add svip --reason" in held.problems["svip"]
    with pytest.raises(ZslbenchError, match="say why they move"):
        reason_to_add("svip", [entry()], entry(version=2), "")
    assert reason_to_add("svip", [entry()], entry(version=2), "why") == ("why", "")


def test_a_method_without_numbers_is_told_and_no_failure_and_one_that_is_gone_is():
    held = check_exact({}, {"new": entry()})
    assert (held.verdict, held.problems) == ("INCONCLUSIVE", {})
    assert "new: no stored numbers: run `zslbench baseline add new`" in held.said()
    assert reason_to_add("new", [], entry(), "") == ("First numbers", "")
    held = check_exact({"old": [entry()]}, {})
    assert (held.verdict, held.problems) == ("FAIL", {"old": "is no method any more"})


def test_numbers_that_are_new_are_told_and_may_be_stored():
    held = check_exact({"svip": [entry()]}, {"svip": entry(more=[1.0])})
    assert "not stored: more" in held.problems["svip"]
    assert reason_to_add("svip", [entry()], entry(more=[1.0]), "") == ("More is measured", "")


def test_numbers_that_moved_without_a_version_are_not_stored():
    with pytest.raises(ZslbenchError, match=r"loss total was 2, is 2\.2.*Raise `version`"):
        reason_to_add("svip", [entry()], entry(factor=1.1), "because")


def test_numbers_from_here_that_did_not_move_are_stored_already():
    assert reason_to_add("svip", [entry()], entry(factor=1 + 2e-5), "because") == ("", "")


def test_another_machine_adds_numbers_and_is_told_the_smallest_move():
    assert reason_to_add("svip", [entry(THERE)], entry(), "")[1] == ""
    why, note = reason_to_add("svip", [entry(THERE)], entry(factor=1 + 5e-4), "")
    assert why == "Another torch, BLAS or processor"
    assert "loss total was 2, is 2.001" in note


def test_entries_are_added_and_none_is_changed(tmp_path):
    first, second = entry(THERE, factor=1 / 3), entry(factor=0.1)
    path = append(tmp_path, "incremental/spa", first)
    assert path == tmp_path / EXACT / "incremental" / "spa.toml"
    assert append(tmp_path, "incremental/spa", second) == path
    assert load_entries(tmp_path) == {"incremental/spa": [first, second]}  # bit for bit


def test_a_file_changed_by_hand_is_refused(tmp_path):
    path = append(tmp_path, "svip", entry())
    path.write_text(path.read_text().replace("50.0", "51.0"))
    with pytest.raises(DataError, match="not as it was written"):
        load_entries(tmp_path)


def test_methods_of_other_packages_are_passed_over(monkeypatch):
    known = {"eszsl": "zslbench.methods.eszsl", "theirs": "their_package.theirs"}
    monkeypatch.setattr(exact.registry, "method_modules", lambda: known)
    monkeypatch.setattr(exact, "_measure", lambda name: name)
    monkeypatch.setattr(exact, "own_incremental", list)
    found = measure_exact()
    assert (found["methods"], found["passed_over"]) == ({"eszsl": "eszsl"}, ["theirs"])
    with pytest.raises(ZslbenchError, match="no method of this project 'theirs'"):
        measure_exact(["theirs"])
