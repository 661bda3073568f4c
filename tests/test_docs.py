"""What the documents promise works as written."""

import re
import subprocess
import sys
import types
from pathlib import Path

import pytest
from notebooks import cells, output, play, visible

from zslbench.cli import app
from zslbench.method import Method
from zslbench.method.conformance import CHECKS

ROOT = Path(__file__).parents[1]
DOCUMENTS = (
    "README.md",
    "CONTRIBUTING.md",
    "docs/suites.md",
    "docs/explain_and_submit.md",
    "docs/sensitivity.md",
    "docs/regression.md",
    "docs/task_sequences.md",
)


def example_method():
    """The method that CONTRIBUTING.md shows, as a module of its own."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    source = re.search(r"<!-- example: methods/.*? -->\n```python\n(.*?)```", text, re.S).group(1)
    module = types.ModuleType("nearest_prototype")
    exec(compile(source, "CONTRIBUTING.md", "exec"), module.__dict__)
    (method,) = [m for m in vars(module).values() if isinstance(m, type)
                 and issubclass(m, Method) and m.__module__ == "nearest_prototype"]  # fmt: skip
    return method


@pytest.mark.parametrize("check", CHECKS)
def test_example_method_conforms(check):
    CHECKS[check](example_method())


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_in_documents_exist(document):
    import typer

    known = typer.main.get_command(app).commands
    used = re.findall(r"zslbench ([a-z]+)(?: ([a-z]+))?", (ROOT / document).read_text())
    commands = {word for word, _ in used if word in known or not word.isidentifier()}
    assert commands
    for word, second in re.findall(r"^(?:\.venv/bin/)?zslbench (\w+)(?: (\w+))?",
                                   (ROOT / document).read_text(), re.M):  # fmt: skip
        assert word in known
        inner = getattr(known[word], "commands", None)
        assert inner is None or second in inner


@pytest.mark.parametrize("document", DOCUMENTS)
def test_options_in_documents_exist(document):
    """Of every command line that stands in a block of its own."""
    import typer

    known = typer.main.get_command(app).commands
    text = (ROOT / document).read_text()
    for word, rest in re.findall(r"^(?:\.venv/bin/)?zslbench (\w+)( .*)?$", text, re.M):
        if word != "data":
            parts = [known[word], *getattr(known[word], "commands", {}).values()]
            taken = {option for p in parts for param in p.params for option in param.opts}
            assert set(re.findall(r"--[\w-]+", rest)) <= taken


def test_options_in_the_document_on_clusters_exist():
    import typer

    known = typer.main.get_command(app).commands
    text = (ROOT / "docs" / "cluster.md").read_text()
    commands = re.findall(r"^zslbench (\w+) (.*)$", text, re.M)
    assert len(commands) == 7
    for name, words in commands:
        options = {option for p in known[name].params for option in p.opts}
        assert set(re.findall(r"--[\w-]+", words)) <= options


@pytest.mark.parametrize("document", DOCUMENTS)
def test_files_named_in_documents_exist(document):
    text = (ROOT / document).read_text()
    named = re.findall(r"`((?:zslbench|methods|tests|benchmarks|docs|results)/[\w/.]*)`", text)
    assert named
    for name in named:
        assert (ROOT / name).exists() or "<" in name or name.startswith("results/"), name


def test_no_document_names_this_interpreter():
    assert sys.prefix not in "".join((ROOT / name).read_text() for name in DOCUMENTS)


@pytest.mark.slow
def test_readme_shows_real_output(real_data, tmp_path):
    """The table in the README is what its command prints, character by character."""
    text = (ROOT / "README.md").read_text()
    shown = re.search(r"<!-- output: zslbench (.*?) -->\n```\n(.*?)```", text, re.S)
    command = [Path(sys.executable).with_name("zslbench"), *shown.group(1).split()]
    command += ["--data-root", real_data, "--results", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert [line.rstrip() for line in done.stdout.splitlines()] == shown.group(2).splitlines()


@pytest.mark.slow
def test_notebook_shows_real_output(tmp_path, monkeypatch):
    """Every cell shows what is stored with it; from plumage to a difference in few lines."""
    sources, stored = zip(*cells(ROOT / "docs/quickstart.ipynb"), strict=True)
    assert sum(len(source.splitlines()) for source in sources if source.strip()) < 15
    monkeypatch.chdir(tmp_path)
    shown = list(play(sources))
    assert [visible(output(each)) for each in shown] == list(map(visible, stored))
    assert "sae minus eszsl" in " ".join(text for each in stored for text in visible(each))
    assert (tmp_path / "board.html").stat().st_size > 0
