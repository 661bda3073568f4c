"""A leaderboard as a LaTeX tabular (booktabs), to be read into a paper."""

import re
import typing
from collections.abc import Sequence
from itertools import groupby

from zslbench.records import RuleName
from zslbench.report.numbers import NAMES, number
from zslbench.stats import METRICS, Metric
from zslbench.studies.leaderboard.podium import Podium, podium
from zslbench.studies.leaderboard.results import SELECTED_ON_TEST, Leaderboard, Row
from zslbench.studies.leaderboard.tables import span

HEAD = r"""% Needs \usepackage{booktabs}. Best bold, second underlined, per dataset and rule; what
% was selected on test, or is external, takes neither place. For means alone, without intervals,
% say before \input:
% \newcommand{\zslcell}[3]{#1}
% Names with letters beyond Latin need lualatex and a font that has them.
\providecommand{\zslcell}[3]{\begin{tabular}[t]{@{}r@{}}#1\\[-.6ex]{\tiny[#2]}\\[-.9ex]{\tiny(#3)}%
\end{tabular}}"""
NOTE = (
    r"Mean over seeds. [ ]: 95\,\% interval over images and seeds, these classes fixed. "
    r"( ): over new classes as well."
)
SPECIAL = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': "''",
    **{sign: "\\" + sign for sign in "_%&#${}"},
}  # fmt: skip


def as_latex(board: Leaderboard) -> str:
    """Return one tabular, a block for each dataset and rule; marks are explained below it."""
    places = podium(board.rows)
    signs = _signs(board.rows)
    columns = len(NAMES) + 2
    lines = [HEAD, rf"\begin{{tabular}}{{@{{}}ll{'r' * len(NAMES)}@{{}}}}", r"\toprule"]
    if board.is_titled:
        heading = escape(board.heading)
        lines += [rf"\multicolumn{{{columns}}}{{@{{}}l}}{{{heading}}} \\", r"\midrule"]
    lines.append(_line(["Method", "Backbone", *NAMES.values()]))
    numbered = sorted(enumerate(board.rows), key=lambda item: _block(item[1]))
    for (_, dataset, _, rule), members in groupby(numbered, key=lambda item: _block(item[1])):
        title = rf"\textit{{{escape(dataset)}}}, rule {escape(rule)}"
        lines += [r"\midrule", rf"\multicolumn{{{columns}}}{{@{{}}l}}{{{title}}} \\"]
        lines += [_row(position, row, places, signs) for position, row in members]
    notes = [NOTE, *(rf"$^{{{sign}}}$ {escape(mark)}." for mark, sign in signs.items())]
    lines += [r"\bottomrule", r"\end{tabular}", "", rf"{{\footnotesize {' '.join(notes)}\par}}"]
    return "\n".join([*lines, ""])


def escape(text: str) -> str:
    """Return text that LaTeX prints as it is; line ends become blanks."""
    plain = re.sub(r"\s+", " ", text)
    return "".join(SPECIAL.get(sign, sign) for sign in plain)


def _block(row: Row) -> tuple[str, str, int, str]:
    order = typing.get_args(RuleName).index(row.rule)
    return row.table.casefold(), row.table, order, row.rule


def _signs(rows: Sequence[Row]) -> dict[str, str]:
    """Return a sign for each mark: a dagger for what was selected on test, numbers for the rest."""
    marks = dict.fromkeys(mark for row in rows for mark in row.marks)
    found = {SELECTED_ON_TEST: r"\dagger"} if marks.pop(SELECTED_ON_TEST, 1) is None else {}
    return found | {mark: str(place) for place, mark in enumerate(marks, start=1)}


def _row(position: int, row: Row, places: Podium, signs: dict[str, str]) -> str:
    marks = ",".join(signs[mark] for mark in row.marks)
    # Braces: a name that began with [ would be read as an argument of the \\ before it.
    name = f"{{{escape(row.title)}}}" + (f"$^{{{marks}}}$" if marks else "")
    cells = [_cell(position, row, metric, places) for metric in METRICS]
    return _line([name, escape(row.backbone), *cells])


def _cell(position: int, row: Row, metric: Metric, places: Podium) -> str:
    style = {"best": r"\textbf{%s}", "second": r"\underline{%s}"}
    value = style.get(places.get((position, metric), ""), "%s") % number(metric, row.value(metric))
    these, new = (span(row, metric, population) for population in ("these_classes", "new_classes"))
    return rf"\zslcell{{{value}}}{{{these}}}{{{new}}}"


def _line(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"
