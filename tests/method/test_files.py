"""`--method-file`: a method in a file anywhere is run, listed and compared as any other."""

import json
import os
import shutil

import pytest
from faults import ROOT

from zslbench.method import files as method_files
from zslbench.method import registry

RELATIVE = (ROOT / "methods" / "eszsl.py").read_text()
SOURCE = RELATIVE.replace("from ._features", "from zslbench.methods._features")
CLASSLESS = "from zslbench.method import Method\n"


pytestmark = pytest.mark.usefixtures("no_method_files")


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "anywhere" / "mine.py"
    path.parent.mkdir()
    path.write_text(SOURCE)
    return path


@pytest.fixture
def run(zslbench, tiny_root, tmp_path):
    def call(*words, command="run"):
        where = ("--dataset", "tiny", "--data-root", tiny_root, "--results", tmp_path / "results")
        return zslbench(command, *words, *where, "--worlds", 1, "--seeds", 0, "--json")

    return call


def test_a_run_s_key_does_not_hang_on_where_the_file_lies(run, mine, tmp_path):
    assert run("--method-file", mine)[0] == 0
    os.environ[method_files.VARIABLE] = ""  # as in a process of its own
    moved = tmp_path / "elsewhere" / "mine.py"
    moved.parent.mkdir()
    shutil.move(mine, moved)
    moved.write_text(moved.read_text() + "\nESZSL.scores = None  # would break a second run\n")
    status, out, err = run("--method-file", moved)
    assert status == 0, err
    assert [row["method"] for row in json.loads(out)["rows"]] == ["mine"]


@pytest.mark.slow
def test_processes_of_an_engine_find_the_file(run, mine):
    status, out, err = run("--method-file", mine, "--jobs", 2)
    assert status == 0, err
    assert json.loads(out)["rows"][0]["method"] == "mine"


def test_a_leaderboard_has_it_beside_the_methods_named(run, mine):
    words = ("--methods", "eszsl", "--method-file", mine)
    status, out, err = run(*words, command="leaderboard")
    assert status == 0, err
    found = {row["method"]: row["intervals"] for row in json.loads(out)["rows"]}
    assert found.keys() == {"eszsl", "mine"}
    assert found["mine"] == found["eszsl"]  # the file holds ESZSL


def test_it_is_listed_with_its_settings(zslbench, mine):
    found = json.loads(zslbench("methods", "--method-file", mine, "--json")[1])
    assert {"mine", "eszsl"} <= found.keys()
    alone = json.loads(zslbench("methods", "mine", "--method-file", mine, "--json")[1])
    assert alone["mine"]["settings"].keys() == found["eszsl"]["settings"].keys()


@pytest.mark.parametrize(
    ("name", "source", "said"),
    [
        ("absent.py", None, "there is no such file"),
        ("mine.txt", SOURCE, "no name for one"),
        ("my-method.py", SOURCE, "no name for one"),
        ("_mine.py", SOURCE, "no name for one"),
        ("eszsl.py", SOURCE, "there is a method 'eszsl' already (zslbench.methods.eszsl)"),
        ("syntax.py", "x = 1\nclass (\n", "line 2: does not import (SyntaxError: "),
        ("wrong.py", SOURCE + "\n1 / 0\n", f"line {SOURCE.count(chr(10)) + 2}: does not import"),
        ("deep.py", "import json\n\njson.loads('{')\n", "line 3: does not import (JSONDecodeError"),
        ("leaves.py", "raise SystemExit(0)\n", "line 1: does not import (SystemExit"),
        ("needs.py", "\nimport not_there\n", "line 2: does not import (ModuleNotFoundError"),
        ("inside.py", RELATIVE, "a relative import, but the file stands alone"),
        ("empty.py", CLASSLESS, "exactly one Method, this one holds 0"),
        ("two.py", SOURCE + SOURCE.replace("class ESZSL", "class Two"), "this one holds 2"),
    ],
)
def test_a_bad_file_is_refused_in_one_paragraph_and_nothing_is_written(
    run, tmp_path, name, source, said
):
    path = tmp_path / name
    if source is not None:
        path.write_text(source)
    status, out, err = run("--method-file", path)
    assert (status, len(err.splitlines())) == (2, 1)
    assert f"{path}" in err
    assert said in err
    assert json.loads(out).keys() == {"error"}
    assert not (tmp_path / "results").exists()
    assert os.environ[method_files.VARIABLE] == ""


@pytest.mark.parametrize("words", [(), ("eszsl", "--method-file", "mine.py")])
def test_a_run_is_of_one_method(run, words):
    status, _, err = run(*words)
    assert (status, "--method-file FILE.py" in err) == (2, True)


@pytest.mark.parametrize("words", [("plumage_svip_table1", "--dataset", "tiny"), ()])
def test_a_leaderboard_of_a_suite_or_of_what_is_tracked_takes_no_file(zslbench, mine, words):
    status, _, err = zslbench("leaderboard", *words, "--method-file", mine)
    assert (status, "with --dataset and without a suite" in err) == (2, True)


def test_a_refused_file_leaves_the_environment_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "empty.py"
    path.write_text("")
    monkeypatch.delenv(method_files.VARIABLE)
    with pytest.raises(registry.ZslbenchError, match="this one holds 0"):
        registry.register_file(path)
    assert method_files.VARIABLE not in os.environ


def test_a_name_is_one_file_s_and_a_file_may_be_read_again(mine, tmp_path):
    assert registry.register_file(mine) == "mine"
    mine.write_text(SOURCE.replace("class ESZSL", "class Better"))
    assert registry.register_file(mine) == "mine"
    assert registry.load_method("mine").__name__ == "Better"
    other = tmp_path / "mine.py"
    other.write_text(SOURCE)
    with pytest.raises(registry.ZslbenchError, match="there is a method 'mine' already"):
        registry.register_file(other)
    assert registry.load_method("mine").__name__ == "Better"


def test_the_environment_makes_files_known_to_every_command(zslbench, mine, tmp_path, monkeypatch):
    monkeypatch.setenv(method_files.VARIABLE, str(mine))
    registry.method_modules.cache_clear()
    assert zslbench("methods", "mine", "--json")[0] == 0
    other = tmp_path / "mine.py"
    other.write_text(SOURCE)
    for bad, said in (
        (f"{mine}{os.pathsep}{other}", "already"),
        ("gone.py", "there is no such file"),
    ):
        monkeypatch.setenv(method_files.VARIABLE, bad)
        registry.method_modules.cache_clear()
        status, _, err = zslbench("methods")
        assert (status, said in err, len(err.splitlines())) == (2, True, 1)
