"""The exact tier: no method's numbers move unless its version or the protocol's does."""

import copy

import pytest

from zslbench.errors import ZslbenchError
from zslbench.studies.regression import exact
from zslbench.studies.regression.baseline import load
from zslbench.studies.regression.exact import STEPS, measure_exact, own_incremental, own_methods
from zslbench.studies.regression.exact_verdict import check_exact, check_update, said, verdict_of
from zslbench.studies.regression.sides import ask

LEARN_NOTHING = {"clip_zero_shot"}


@pytest.fixture(scope="module")
def stored(baselines):
    return load(baselines / "exact.toml")


def test_numbers_are_the_stored_ones(stored):
    """What is compared, and within which tolerance, stands in the output: `pytest -rP`."""
    (found,) = ask(None, {"exact": True})
    print(said(stored, found))
    assert sorted(found["methods"]) == own_methods()
    assert sorted(found["learners"]) == own_incremental()
    assert check_exact(stored, found) == {}
    if verdict_of(stored, found) != "PASS":
        pytest.skip(said(stored, found))


def test_no_number_stands_near_a_jump(stored):
    """Closed forms see exact features; accuracies, counts of images, would jump by whole ones."""
    for name, method in stored["methods"].items():
        if method["closed_form"]:
            assert {"t1", "u", "s", "h", "ausuc", "gamma", "scale"} <= method["values"].keys(), name
        elif name not in LEARN_NOTHING:
            losses = [values for key, values in method["values"].items() if key.startswith("loss")]
            assert max(map(len, losses)) == STEPS, name


def test_a_learner_s_numbers_are_held_too(stored):
    found = copy.deepcopy(stored)
    found["learners"]["spa"]["values"]["loss total"][-1] *= 1.01
    found["learners"]["new"] = found["learners"].pop("joint")
    problems = check_exact(stored, found)
    assert problems.keys() == {"learner spa", "learner new", "learner joint"}
    assert "no version did" in problems["learner spa"]


def altered(stored, method="eszsl", key="scale", factor=1.0, **changes):
    found = copy.deepcopy(stored)
    found["methods"][method]["values"][key][0] *= factor
    found["methods"][method] |= changes
    return found


@pytest.mark.parametrize(
    ("method", "key", "factor", "moves"),
    [
        ("eszsl", "h", 1 + 1e-8, False),
        ("eszsl", "h", 1 + 1e-5, True),
        ("svip", "loss total", 1 + 2e-5, False),
        ("svip", "loss total", 1 + 1e-3, True),
    ],
)
def test_numbers_move_beyond_their_tolerance(stored, method, key, factor, moves):
    problems = check_exact(stored, altered(stored, method, key, factor))
    assert (method in problems) is moves
    assert not moves or "no version did" in problems[method]


def test_elsewhere_the_steps_have_a_wider_tolerance_and_it_is_said(stored):
    found = altered(stored, "svip", "loss total", 1 + 5e-4)
    assert check_exact(stored, found)
    found["fingerprint"] = {**stored["fingerprint"], "torch": "9.9"}
    assert check_exact(stored, found) == {}
    assert "0.001" in said(stored, found)
    assert "torch" in said(stored, found)
    assert verdict_of(stored, found) == "INCONCLUSIVE"
    found["methods"]["svip"]["values"]["loss total"][0] *= 1.1
    assert verdict_of(stored, found) == "FAIL"
    assert "loss total" in check_update(stored, found)["svip"]  # said; it may be torch's doing


def test_elsewhere_an_update_tells_the_smallest_move(stored):
    found = altered(stored, "svip", "loss total", 1 + 5e-4)
    found["fingerprint"] = {**stored["fingerprint"], "torch": "9.9"}
    assert check_update(stored, found).keys() == {"svip"}


def test_numbers_that_are_new_are_told_and_may_be_stored(stored):
    found = copy.deepcopy(stored)
    found["methods"]["sae"]["values"]["loss"] = [1.0]
    assert "not stored: loss" in check_exact(stored, found)["sae"]
    assert check_update(stored, found) == {}


def test_methods_of_other_packages_are_passed_over(monkeypatch):
    known = {"eszsl": "zslbench.methods.eszsl", "theirs": "their_package.theirs"}
    monkeypatch.setattr(exact, "method_modules", lambda: known)
    monkeypatch.setattr(exact, "_measure", lambda name: name)
    monkeypatch.setattr(exact, "own_incremental", list)
    found = measure_exact()
    assert (found["methods"], found["passed_over"]) == ({"eszsl": "eszsl"}, ["theirs"])


def test_a_new_version_asks_for_new_numbers_and_gets_them(stored):
    found = altered(stored, "eszsl", "h", 1.1, version=stored["methods"]["eszsl"]["version"] + 1)
    assert "another version" in check_exact(stored, found)["eszsl"]
    check_update(stored, found)


def test_numbers_that_moved_without_a_version_are_not_stored(stored):
    with pytest.raises(ZslbenchError, match="Raise `version`"):
        check_update(stored, altered(stored, "eszsl", "h", 1.1))


def test_a_method_without_numbers_and_one_that_is_gone_are_told(stored):
    found = copy.deepcopy(stored)
    found["methods"]["new"] = found["methods"].pop("sae")
    problems = check_exact(stored, found)
    assert problems.keys() == {"new", "sae"}
    check_update(stored, found)


def test_not_a_number_is_a_move(stored):
    assert "eszsl" in check_exact(stored, altered(stored, factor=float("nan")))
