"""No setting that is named twice is resolved silently: the command line and the API refuse it."""

import pytest

import zslbench as zsl
from zslbench.errors import ZslbenchError
from zslbench.studies.leaderboard.plan.suite import Suite
from zslbench.studies.suites import parse_text

PLUMAGE = ("--dataset", "plumage")
REPEATED = {
    "setting": (("run", "eszsl", *PLUMAGE, "--set", "reg_x=1", "--set", "reg_x=2"), "reg_x"),
    "setting, with a blank": (("run", "eszsl", *PLUMAGE, "--set", "a=1", "--set", "a =1"), "a"),
    "seed": (("run", "eszsl", *PLUMAGE, "--seeds", "1,01"), "1"),
    "rule": (("run", "eszsl", *PLUMAGE, "--rules", "last,last"), "last"),
    "method": (("leaderboard", *PLUMAGE, "--methods", "eszsl,sae,eszsl"), "eszsl"),
    "dataset": (("leaderboard", "--dataset", "plumage:seed=3,plumage:seed=3"), "plumage:seed=3"),
    "knob": (("run", "eszsl", "--dataset", "plumage:seed=1,seed=2"), "seed"),
    "parameter": (
        ("sensitivity", "svip", *PLUMAGE, "--parameters", "M,lambda1,M"),
        "M",
    ),
    "grid": (("sensitivity", "svip", *PLUMAGE, "--grid", "M=1,2,1"), "1"),
    "incremental method": (("incremental", "--methods", "joint,joint"), "joint"),
    "item": (("explain", "abc", "--items", "3,4,3"), "3"),
    "option": (("run", "eszsl", *PLUMAGE, "--worlds", "1", "--worlds", "3"), "--worlds"),
    "option of the data": (("leaderboard", *PLUMAGE, "--words", "a", "--words", "b"), "--words"),
    "option of two names": (("run", "eszsl", "--rule", "last", "--rules", "last"), "--rules"),
    "option of three numbers": (("sweep", "svip", *2 * ("--std", "1", "1", "1")), "--std"),
}


@pytest.mark.parametrize(("words", "name"), REPEATED.values(), ids=REPEATED)
def test_what_is_named_twice_is_refused(zslbench, tmp_path, words, name):
    results = tmp_path / "results"
    status, out, err = zslbench(*words, "--results", results)
    assert (status, out) == (2, "")
    assert f" names {name} twice: leave out one of the two." in err
    assert not results.exists()


def test_one_dataset_under_two_names_is_refused(zslbench, tiny_root, tmp_path):
    status, _, err = zslbench(
        "leaderboard", "--dataset", "tiny,TINY", "--data-root", tiny_root, "--methods", "eszsl",
        "--results", tmp_path / "results",
    )  # fmt: skip
    assert status == 2
    assert "TINY and tiny are one dataset" in err


@pytest.mark.parametrize(
    "call",
    [
        lambda: zsl.run("eszsl", "plumage", seeds=[0, 0]),
        lambda: zsl.leaderboard(["eszsl", "eszsl"], "plumage"),
        lambda: zsl.leaderboard(["eszsl"], ["plumage", "plumage"]),
        lambda: zsl.sensitivity("svip", "plumage", parameters=["M", "M"]),
    ],
    ids=["seeds", "methods", "data", "parameters"],
)
def test_the_api_refuses_what_is_named_twice(call):
    with pytest.raises(ZslbenchError, match="twice: leave out one of the two"):
        call()


@pytest.mark.parametrize(
    ("datasets", "seeds"), [('"plumage", "plumage"', "0"), ('"plumage"', "1, 1")]
)
def test_a_suite_refuses_what_it_names_twice(datasets, seeds):
    text = f'title = "T"\ndatasets = [{datasets}]\nseeds = [{seeds}]\n[[rows]]\nmethod = "eszsl"'
    with pytest.raises(ZslbenchError, match=r"s: (datasets|seeds) names (plumage|1) twice"):
        parse_text(Suite, "s", text).entries()
