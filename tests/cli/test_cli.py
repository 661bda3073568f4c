"""The command line as a user meets it. Most tests call `main` in this process."""

import json
import re
import subprocess
import sys

import pytest
import typer

from zslbench.cli import app
from zslbench.method.registry import load_method, method_modules


def commands(group=None, words=()):
    """Yield the words of every command there is, groups themselves included."""
    yield list(words)
    for name, command in getattr(group or typer.main.get_command(app), "commands", {}).items():
        yield from (
            commands(command, (*words, name)) if hasattr(command, "commands") else [[*words, name]]
        )


COMMANDS = list(commands())


def found(words):
    command = typer.main.get_command(app)
    for word in words:
        command = command.commands[word]
    return command


def helps(words):
    """Return the help texts of a command's options and arguments."""
    return [text for option in found(words).params if (text := getattr(option, "help", None))]


def about(words):
    """Return the short paragraphs that say what a command does."""
    text = getattr(found(words).callback, "__doc__", None) or ""
    return [each for each in text.partition("Examples:")[0].split("\n\n") if len(each) < 380]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return tmp_path_factory.mktemp("results")


@pytest.fixture
def tracked(zslbench, tiny_root, results):
    """The results folder, with a leaderboard of one row in it."""
    words = ("--dataset", "tiny", "--data-root", tiny_root, "--results", results)
    assert zslbench("leaderboard", "--methods", "eszsl", *words)[0] == 0
    return results


@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: " ".join(words) or "zslbench")
def test_help_teaches(zslbench, command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    status, out, _ = zslbench(*command, "--help")
    assert status == 0
    assert "Examples" in out or command == []
    shown = re.sub(r"[\s│]+", " ", out)
    for text in helps(command):
        assert re.sub(r"\s+", " ", text) in shown  # brackets could be taken for markup
    for paragraph in about(command):
        assert " ".join(paragraph.split()) in out  # in one line, where there is room for it


def test_help_loads_nothing_heavy():
    code = "import sys, zslbench.cli; print([m for m in {} if m in sys.modules])"
    heavy = ("numpy", "torch", "timm", "mlflow", "optuna", "pandas", "scipy", "matplotlib")
    done = subprocess.run(
        [sys.executable, "-c", code.format(heavy)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_showing_a_finished_run_loads_neither_networks_nor_mlflow(zslbench, tiny_root, tmp_path):
    run = ["run", "eszsl", "--dataset", "tiny", "--data-root", str(tiny_root), "--worlds", "1"]
    run += ["--results", str(tmp_path)]
    assert zslbench(*run)[0] == 0
    code = (
        "import sys\nfrom zslbench.cli import main\n"
        "sys.argv = ['zslbench', *{}]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "print([m for m in ('torch', 'timm', 'mlflow', 'optuna', 'pandas') if m in sys.modules])"
    )
    for words in (run, ["leaderboard", "--results", str(tmp_path)]):
        done = subprocess.run(
            [sys.executable, "-c", code.format(words)], capture_output=True, text=True, check=True
        )
        assert done.stdout.splitlines()[-1] == "[]", words


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "eszl", "--dataset", "tiny"], "Did you mean 'eszsl'?"),
        (["run", "eszsl", "--dataset", "tinny"], "Did you mean 'tiny'?"),
        (["run", "eszsl", "--dataset", "tiny", "--set", "regx=1"], "Did you mean 'reg_x'?"),
        (["run", "eszsl", "--dataset", "tiny", "--set", "reg_x=-1"], "reg_x=-1"),
        (["run", "eszsl", "--dataset", "tiny", "--set", "reg_x=much"], "reg_x=much"),
        (["run", "eszsl", "--dataset", "tiny", "--set", "reg_x"], "key=value"),
        (["run", "eszsl", "--dataset", "tiny", "--seeds", "0,x"], "whole numbers"),
        (
            ["run", "eszsl", "--dataset", "tiny", "--rules", "valdation"],
            "Did you mean 'validation'",
        ),
        (["run", "eszsl", "--dataset", "tiny", "--features", "res50"], "Did you mean 'res101'?"),
        (["sweep", "eszl", "--dataset", "tiny"], "Did you mean 'eszsl'?"),
        (["sweep", "eszsl", "--dataset", "tiny", "--sampler", "tpo"], "Did you mean 'tpe'?"),
        (["sweep", "eszsl", "--dataset", "tiny", "--pruner", "medan"], "Did you mean 'median'?"),
        (["sweep", "eszsl", "--dataset", "tiny", "--space", "reg_x=0:1"], "reg_x may be 1e-06"),
        (["sweep", "eszsl", "--dataset", "tiny", "--name", "a/b"], "letters, digits"),
        (["methods", "eszl"], "Did you mean 'eszsl'?"),
        (["data", "describe", "tinny"], "Did you mean 'tiny'?"),
        (["leaderboard"], "Start one"),
    ],
)
def test_what_the_user_can_mend_is_one_paragraph(zslbench, tiny_root, tmp_path, words, said):
    if words[0] in ("run", "sweep", "data"):
        words = [*words, "--data-root", tiny_root]
    if words[0] in ("run", "sweep", "leaderboard"):
        words = [*words, "--results", tmp_path / "results"]
    status, out, err = zslbench(*words)
    assert status == 2
    assert said in err
    assert err.strip().count("\n") == 0
    assert "Traceback" not in err
    assert out == ""


def test_an_error_under_json_is_one_document_too(zslbench, tiny_root):
    status, out, _ = zslbench("data", "describe", "none", "--data-root", tiny_root, "--json")
    assert status == 2
    assert "none" in json.loads(out)["error"]


def test_run_prints_the_line_and_running_it_again_reuses_it(zslbench, tiny_root, results):
    words = ("run", "eszsl", "--dataset", "TINY", "--data-root", tiny_root, "--results", results)
    status, out, err = zslbench(*words)
    assert status == 0
    assert "1 run, 0 reused, 0 failed" in err
    lines = out.splitlines()
    assert [cell.strip() for cell in lines[2].strip("┃").split("┃")] == [
        "method", "T1", "U", "S", "H", "AUSUC", "backbone",
    ]  # fmt: skip
    (row,) = (line for line in lines if "│ eszsl" in line)
    assert re.search(r"\d ± \d+\.\d │ +0\.\d{3} │ features:res101", row)
    status, again, err = zslbench(*words)
    assert "0 run, 1 reused, 0 failed" in err
    assert again == out
    _, details, _ = zslbench(*words, "--details")
    assert all(name in details for name in ("T1", "AUSUC", "p = ", "opened 1"))


def test_marks_of_a_row_are_letters_with_a_legend(zslbench, tiny_root, tmp_path):
    where = ("--dataset", "tiny", "--data-root", tiny_root, "--results", tmp_path)
    _, out, _ = zslbench("leaderboard", "--methods", "eszsl", "--worlds", "1", *where)
    (row,) = (line for line in out.splitlines() if "│ eszsl" in line)
    letters = row.strip("│ ").split("│")[-1].split()
    legend = dict(re.findall(r"^\[(\w+)\] (.+)$", out, re.M))
    assert sorted(legend) == sorted(letters)
    assert "FEWER THAN THREE TUNING WORLDS" in legend.values()


def test_tuning_seeds_fit_a_method_with_chance_several_times_and_no_other(
    zslbench, tiny_root, tmp_path
):
    where = ("--dataset", "tiny", "--data-root", tiny_root, "--results", tmp_path, "--worlds", "2")
    words = ("leaderboard", *where, "--methods", "ale,eszsl", "--seeds", "0", "--json")
    found = {}
    for seeds in ("1", "2"):
        rows = json.loads(zslbench(*words, "--tuning-seeds", seeds)[1])["rows"]
        found[seeds] = {row["method"]: row for row in rows}
    assert found["2"]["eszsl"] == {**found["1"]["eszsl"], "openings": 1}
    assert [found[seeds]["ale"]["tuning_seeds"] for seeds in ("1", "2")] == [1, 2]
    assert [found[seeds]["ale"]["openings"] for seeds in ("1", "2")] == [1, 2]
    status, out, _ = zslbench(*words[:-1], "--tuning-seeds", "2", "--details")
    assert status == 0
    assert "tuning worlds: 2 of 2 seeds each; opened 2" in " ".join(out.replace("│", " ").split())
    assert zslbench(*words, "--tuning-seeds", "0")[0] == 2


def test_run_json_is_one_document_on_standard_output(zslbench, tiny_root, results):
    words = ("run", "eszsl", "--dataset", "tiny", "--data-root", tiny_root, "--results", results)
    _, out, _ = zslbench(*words, "--json")
    (row,) = json.loads(out)["rows"]
    assert row["method"] == "eszsl"
    assert set(row["intervals"]["h"]) == {"these_classes", "new_classes"}


def test_progress_without_a_terminal_is_plain_lines(zslbench, tiny_root, results):
    words = ("run", "eszsl", "--dataset", "tiny", "--data-root", tiny_root, "--results", results)
    _, _, err = zslbench(*words, "--set", "reg_x=1")
    assert "tuning world 3 of 3: 14/14" in err
    assert "\x1b" not in err


@pytest.mark.usefixtures("few_methods")
def test_leaderboard_writes_markdown_csv_and_json(zslbench, tiny_root, results):
    words = ("--dataset", "tiny", "--data-root", tiny_root, "--results", results)
    status, out, _ = zslbench("leaderboard", *words)
    assert status == 0
    assert "eszsl" in out
    for suffix in ("md", "csv", "json"):
        assert (results / f"leaderboard.{suffix}").stat().st_size > 0
    assert not list(results.glob(".leaderboard*"))


def test_leaderboard_of_a_dataset_has_every_method_that_reads_features(
    zslbench, tiny_root, tmp_path
):
    words = ("--dataset", "tiny", "--data-root", tiny_root, "--results", tmp_path, "--json")
    status, out, err = zslbench("leaderboard", *words, "--plan")
    assert status == 0, err
    fit = {name for name in method_modules() if "features" in load_method(name).needs}
    assert {row["row"] for row in json.loads(out)["plan"]} == fit


def test_leaderboard_without_a_dataset_shows_everything_tracked(zslbench, tracked):
    status, out, _ = zslbench("leaderboard", "--results", tracked, "--json")
    assert status == 0
    assert {row["dataset"] for row in json.loads(out)["rows"]} == {"tiny"}


def test_leaderboard_tells_of_a_rule_that_runs_lack(zslbench, tracked):
    rules = ("--rules", "validation,published")
    status, _, err = zslbench("leaderboard", "--results", tracked, *rules)
    assert status == 0
    assert "were not read by the rule published" in err
    assert "were not read by the rule validation" not in err


def test_leaderboard_is_rendered_from_the_store_to_the_same_bytes(zslbench, tracked):
    zslbench("leaderboard", "--results", tracked)
    before = {path.name: path.read_bytes() for path in tracked.glob("leaderboard.*")}
    for name in before:
        (tracked / name).unlink()
    zslbench("leaderboard", "--results", tracked)
    assert before == {path.name: path.read_bytes() for path in tracked.glob("leaderboard.*")}
    assert len(before) == 5


def test_leaderboard_draws_figures_for_papers_where_asked(zslbench, tracked, tmp_path):
    status, _, err = zslbench("leaderboard", "--results", tracked, "--figures", tmp_path / "new")
    assert status == 0
    assert f"8 figures for papers are in {tmp_path / 'new'}" in err
    assert len(list((tmp_path / "new").iterdir())) == 8


def test_methods_lists_each_method_with_its_source(zslbench):
    status, out, _ = zslbench("methods")
    assert status == 0
    assert "eszsl" in out
    assert "ICML 2015" in out


def test_methods_shows_bounds_and_what_is_chosen(zslbench):
    _, out, _ = zslbench("methods", "eszsl", "--json")
    setting = json.loads(out)["eszsl"]["settings"]["reg_x"]
    assert (setting["low"], setting["high"]) == (1e-6, 1e6)
    assert len(setting["grid"]) == 7


def test_methods_lists_and_shows_incremental_ones_too(zslbench):
    status, out, _ = zslbench("methods")
    assert status == 0
    assert "Sequential fine-tuning" in out
    _, out, _ = zslbench("methods", "spa", "--json")
    about = json.loads(out)["spa"]
    assert about["kind"] == "incremental"
    assert about["settings"]["epsilon"]["default"] == 0.1


def test_doctor_finds_nothing_wrong(zslbench, tiny_root, results):
    status, out, _ = zslbench("doctor", "--data-root", tiny_root, "--results", results)
    assert "ATTENTION" not in out
    assert status == 0


def test_doctor_names_records_that_cannot_be_read(zslbench, tiny_root, tmp_path):
    words = ("--data-root", tiny_root, "--results", tmp_path)
    zslbench("run", "eszsl", "--dataset", "tiny", *words)
    (record,) = tmp_path.glob("runs/run-*/record.json")
    record.write_text("{")
    status, out, _ = zslbench("doctor", "--results", tmp_path)
    assert status == 1
    assert f"ATTENTION  {record}: is no run record" in out
    assert "remove the folder to drop it" in out


def test_data_list_and_describe(zslbench, tiny_root):
    _, out, _ = zslbench("data", "list", "--data-root", tiny_root)
    assert out.split() == ["tiny"]
    _, out, _ = zslbench("data", "describe", "tiny", "--data-root", tiny_root, "--json")
    facts = json.loads(out)
    assert (facts["seen"], facts["unseen"], facts["trainval"]) == (9, 3, 81)
