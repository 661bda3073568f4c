"""What the documents promise works as written."""

import re
import subprocess
import sys
import types
from pathlib import Path

import pytest
import typer
from notebooks import cells, output, play, visible

from zslbench.cli import app
from zslbench.method import Method
from zslbench.method.conformance import CHECKS

ROOT = Path(__file__).parents[1]
DOCUMENTS = (
    "README.md",
    "CONTRIBUTING.md",
    "docs/features.md",
    "docs/suites.md",
    "docs/explain_and_submit.md",
    "docs/bundles.md",
    "docs/public_leaderboard.md",
    "zslbench/studies/site/files/README.md",
    "docs/sensitivity.md",
    "docs/regression.md",
    "docs/cluster.md",
    "docs/task_sequences.md",
    "docs/datasets.md",
    "docs/protocol.md",
    "docs/tasks.md",
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


def command_lines(document):
    """Return the words behind `zslbench` wherever a document shows a command as code."""
    text = (ROOT / document).read_text()
    spans = re.findall(r"`zslbench ([^`\n]+)`", text)
    blocks = re.findall(r"^```[a-z]*\n(.*?)^```", text, re.S | re.M)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    shown = [re.match(r"(?:[A-Z_]+=\S+ )*(?:\.venv/bin/)?zslbench (.+)", line) for line in lines]
    return [*spans, *(match[1] for match in shown if match)]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_and_options_in_documents_exist(document):
    known = typer.main.get_command(app).commands
    found = command_lines(document)
    assert found
    for line in found:
        words = line.split()
        command = known[words[0]]
        if hasattr(command, "commands") and len(words) > 1:
            command = command.commands[words[1]]
        taken = {option for param in command.params for option in param.opts} | {"--help"}
        assert set(re.findall(r"(?<!\S)--[a-z][\w-]*", line)) <= taken, line


def test_files_and_links_in_documents_exist():
    seen = 0
    for document in DOCUMENTS:
        text = (ROOT / document).read_text()
        named = re.findall(r"`((?:zslbench|methods|tests|benchmarks|docs)/[\w/.]*)`", text)
        links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", text)
        for path in (
            *(ROOT / name for name in named),
            *((ROOT / document).parent / link for link in links),
        ):
            assert path.exists(), f"{document}: {path}"
            seen += 1
    assert seen > 40


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
