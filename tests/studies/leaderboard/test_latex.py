"""The LaTeX table: names print as they are; the best is bold, the second underlined."""

import re
import shutil
import subprocess
from collections import Counter
from dataclasses import replace

import pytest
from boards import changed, selected_on_test, stored_run

from zslbench.report.writers import escape_latex, latex
from zslbench.stats import POPULATIONS, Interval
from zslbench.studies.leaderboard.results import Leaderboard, build_leaderboard
from zslbench.studies.leaderboard.tables import podium


def as_latex(board):
    return latex(board.document())


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return stored_run(tmp_path_factory.mktemp("stored") / "run")


@pytest.fixture(scope="module")
def row(run):
    return build_leaderboard([run], Counter()).rows[0]


def with_h(row, h, **changes):
    """The row with another H."""
    intervals = {**row.intervals, "h": {p: Interval(h, h - 1, h + 1) for p in POPULATIONS}}
    return replace(row, intervals=intervals, **changes)


def h_cells(text):
    """How each method's H is printed, in the table's order."""
    lines = [line for line in text.splitlines() if line.startswith("\\zslcell[l]{")]
    return [line.split(" & ")[4].split("{\\zslline")[0][len("\\zslcell{") : -1] for line in lines]


@pytest.mark.parametrize(
    ("name", "printed"),
    [
        ("a_b%c&d#e", r"a\_b\%c\&d\#e"),
        ("$x$ {y}", r"\$x\$ \{y\}"),
        ("~^\\", r"\textasciitilde{}\textasciicircum{}\textbackslash{}"),
        ("<i>|", r"\textless{}i\textgreater{}\textbar{}"),
        ("two\nlines", "two lines"),
    ],
)
def test_names_print_as_they_are(row, name, printed):
    assert escape_latex(name) == printed
    text = as_latex(Leaderboard([replace(row, method=name, dataset=name)]))
    assert f"\\zslcell[l]{{{printed}$^{{" in text
    assert f"\\textit{{{printed}}}" in text


def test_best_is_bold_and_second_underlined(row):
    board = Leaderboard([with_h(row, h) for h in (50.0, 40.0, 30.0)])
    assert h_cells(as_latex(board)) == [r"\textbf{50.0}", r"\underline{40.0}", "30.0"]


def test_values_that_print_alike_share_a_place(row):
    board = Leaderboard([with_h(row, h) for h in (50.02, 49.98, 30.0)])
    assert h_cells(as_latex(board)) == [r"\textbf{50.0}", r"\textbf{50.0}", r"\underline{30.0}"]


def test_each_dataset_and_rule_has_its_own_places(row):
    rows = [
        with_h(row, h, dataset=dataset, rule=rule)
        for dataset, rule, h in (
            ("A", "validation", 50.0), ("A", "validation", 40.0), ("A", "last", 10.0),
            ("A", "last", 20.0), ("B", "validation", 5.0), ("B", "validation", 4.0),
        )
    ]  # fmt: skip
    best = {place for (place, metric), name in podium(rows).items()
            if metric == "h" and name == "best"}  # fmt: skip
    assert best == {0, 3, 4}
    text = as_latex(Leaderboard(rows))
    assert text.index(r"\textit{A}") < text.index("rule validation") < text.index("rule last")
    assert text.index("rule last") < text.index(r"\textit{B}")


def test_a_row_without_rivals_takes_no_place(row):
    assert h_cells(as_latex(Leaderboard([with_h(row, 50.0)]))) == ["50.0"]


def test_what_was_selected_on_test_takes_no_place_and_is_marked(run):
    cheat = changed(selected_on_test(run, "validation"), method="cheat")
    honest = [changed(run, method=name) for name in ("one", "two")]
    (*first, last) = build_leaderboard([*honest, cheat], Counter()).rows
    text = as_latex(Leaderboard([*first, with_h(last, 99.9)]))
    assert h_cells(text)[-1] == "99.9"
    sign = re.search(r"\$\^\{(\d)\}\$ selected on test\.", text).group(1)
    (marks,) = re.findall(r"^\\zslcell\[l\]\{cheat\$\^\{(.*?)\}\$", text, re.M)
    assert sign in marks.split(",")


def test_every_value_carries_both_intervals(row):
    text = as_latex(Leaderboard([row]))
    intervals = r"\\zslline\{\[\S+, \S+\]\}\\zslline\{\(\S+, \S+\)\}"
    assert len(re.findall(r"\\zslcell\{\S+\}\{" + intervals, text)) == 5
    assert text.count("{") == text.count("}")


DOCUMENT = r"""\documentclass{article}
\usepackage{booktabs}
\begin{document}
\input{leaderboard}
\end{document}
"""


@pytest.mark.slow
@pytest.mark.parametrize("means_alone", [False, True])
def test_latex_compiles_whatever_names_there_are(row, tmp_path, means_alone):
    """Nothing is undefined, and the names are in the page as they are."""
    if shutil.which("pdflatex") is None:
        pytest.skip("no pdflatex on this machine: the table is not compiled")
    hostile = '[a_b%c & d#e] $x$ {y} ~^\\ <i>| 100% "q" é'
    rows = [with_h(row, h, method=hostile, dataset=hostile, marks=(hostile,)) for h in (50.0, 40.0)]
    rows.append(replace(row, label="w/o x_1 & 50 % #", marks=("selected on test",)))
    board = Leaderboard(rows, title=hostile, planned=9, missing=6)
    (tmp_path / "leaderboard.tex").write_text(as_latex(board))
    alone = r"\newcommand{\zslcell}[3][]{#2}" if means_alone else ""
    (tmp_path / "paper.tex").write_text(DOCUMENT.replace(r"\input", alone + r"\input"))
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace",
                          check=False)  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "paper.pdf").stat().st_size > 10_000
    assert "undefined" not in (tmp_path / "paper.log").read_text(errors="replace")


def test_title_stands_in_the_table_of_a_suite_and_of_a_partial_one(row):
    assert "PARTIAL" not in as_latex(Leaderboard([row], planned=1))
    assert "Leaderboard" not in as_latex(Leaderboard([row], planned=1))
    assert "{SVIP \\& Co. " in as_latex(Leaderboard([row], title="SVIP & Co", planned=1))
    assert "(PARTIAL: 2 of 3 runs are missing)." in as_latex(
        Leaderboard([row], planned=3, missing=2)
    )


def test_row_is_called_as_its_suite_does(row):
    text = as_latex(Leaderboard([replace(row, label="w/o JSD")]))
    assert r"\zslcell[l]{w/o JSD$^{" in text
