"""Documents for the terminal, as Markdown and as LaTeX. Same document, same bytes."""

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import quote

from zslbench.report.table import Cell, Document, Table

if TYPE_CHECKING:
    from rich.console import RenderableType

WIDE = 132  # letters of a line where there is no terminal
NARROW = 20  # letters; columns with no more stay whole where another can give way
MARKDOWN = {"best": "**%s**", "second": "<u>%s</u>", None: "%s"}
LATEX = {"best": r"\textbf{%s}", "second": r"\underline{%s}", None: "%s"}
LATEX_HEAD = r"""% Needs \usepackage{booktabs}. Best bold, second underlined, per table and rule;
% what was selected on test, or is external, takes neither place. For first lines alone, without
% intervals, say before \input:
% \newcommand{\zslcell}[3][]{#2}
% Names with letters beyond Latin need lualatex and a font that has them.
\providecommand{\zslcell}[3][r]{\begin{tabular}[t]{@{}#1@{}}#2#3\end{tabular}}
\providecommand{\zslline}[1]{\\[-.7ex]{\tiny #1}}
"""
SPECIAL = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': "''",
    **{sign: "\\" + sign for sign in "_%&#${}"},
}  # fmt: skip


def terminal(document: Document, width: int) -> "list[RenderableType]":
    """Return rich tables and texts, to be printed one below the other, `width` letters wide."""
    from rich.text import Text

    shown: list[RenderableType] = [Text(text) for text in (document.title, document.about) if text]
    for part in (*document.parts, *document.asides):
        shown += [Text(part)] if isinstance(part, str) else _rich_table(part, width)
    return [*shown, *map(Text, document.notes)]


def as_text(document: Document) -> str:
    """Return what a terminal shows, without colours; wide enough where there is no terminal."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else WIDE
    console = Console(
        highlight=False, markup=False, color_system=None, width=width, force_jupyter=False
    )
    with console.capture() as shown:
        for part in terminal(document, console.width):
            console.print(part)
    return "\n".join(line.rstrip() for line in shown.get().splitlines())


def _rich_table(table: Table, room: int) -> "list[RenderableType]":
    """Return a rich table, and its note if it has one."""
    from rich.cells import cell_len
    from rich.table import Table as Rich
    from rich.text import Text

    texts = [["\n".join([*c.lines, *c.facts]) for c in row] for row in table.cells]
    lined = any("\n" in text for row in texts for text in row)
    widths = [max(cell_len(line) for text in column for line in text.split("\n"))
              for column in zip(table.columns, *texts, strict=True)]  # fmt: skip
    gives_way = max(widths) > NARROW
    fits = sum(widths) + 3 * len(widths) < room  # then rich need not measure every cell
    rich = Rich(title=table.title or None, title_justify="left", show_lines=lined)
    for name, numeric, width in zip(table.columns, table.numeric, widths, strict=True):
        rich.add_column(Text(name), justify="right" if numeric else "left", overflow="fold",
                        no_wrap=gives_way and width <= NARROW,
                        width=width if fits else None)  # fmt: skip
    for row in texts:
        rich.add_row(*map(Text, row))
    return [rich, *([Text(table.note)] if table.note else [])]


def markdown(document: Document, pictures: Mapping[str, str] = MappingProxyType({})) -> str:
    """Return a page of Markdown; what else may be asked of a row stands below its table.

    Args:
        document: What to write.
        pictures: Image files beside the page, and their captions.
    """
    lines = [f"# {_escaped(document.title)}", ""] if document.title else []
    lines += [_escaped(document.about), ""] if document.about else []
    for part in (*document.parts, *document.asides):
        lines += [_escaped(part), ""] if isinstance(part, str) else _markdown_table(part)
    for name, caption in pictures.items():
        lines += [
            f"![{_escaped(document.title)}]({quote(name)})\n",
            *([f"> {caption}\n"] * bool(caption)),
        ]
    return "\n".join([*lines, *(f"> {_escaped(note)}\n" for note in document.notes)])


def _markdown_table(table: Table) -> list[str]:
    lines = [f"## {_escaped(table.title)}", ""] if table.title else []
    lines += [_line(map(_escaped, table.columns)),
              _line("---:" if numeric else "---" for numeric in table.numeric)]  # fmt: skip
    lines += [
        _line(_markdown_cell(cell, cell.facts if place else ()) for place, cell in enumerate(row))
        for row in table.cells
    ]
    lines.append("")
    facts = [
        f"* {_escaped(row[0].lines[0])}: {_escaped('; '.join(row[0].facts))}"
        for row in table.cells
        if row[0].facts
    ]
    lines += [*facts, ""] if facts else []
    return [*lines, f"> {_escaped(table.note)}", ""] if table.note else lines


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _markdown_cell(cell: Cell, facts: Sequence[str]) -> str:
    first, *others = map(_escaped, [*cell.lines, *facts])
    return "<br>".join([MARKDOWN[cell.place] % first, *others])


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def latex(document: Document) -> str:
    """Return a booktabs tabular for each table of the document's parts, marks explained below."""
    lines = [LATEX_HEAD]
    for table in document.parts:
        if isinstance(table, Table):
            lines += _latex_table(table, document.title)
    notes = " ".join(map(escape_latex, document.notes))
    return "\n".join([*lines, rf"{{\footnotesize {notes}\par}}", ""])


def _latex_table(table: Table, title: str) -> list[str]:
    marks = dict.fromkeys(mark for row in table.cells for cell in row for mark in cell.marks)
    signs = {mark: str(place) for place, mark in enumerate(marks, start=1)}
    kinds = "".join("r" if numeric else "l" for numeric in table.numeric)
    head = f"{escape_latex(title)}. " if title else ""
    head += rf"\textit{{{escape_latex(table.title)}}}"
    below = " ".join([*(rf"$^{{{sign}}}$ {escape_latex(mark)}." for mark, sign in signs.items()),
                      escape_latex(table.note)]).strip()  # fmt: skip
    return [
        rf"\begin{{tabular}}{{@{{}}{kinds}@{{}}}}",
        r"\toprule",
        rf"\multicolumn{{{len(kinds)}}}{{@{{}}l}}{{{head}}} \\",
        r"\midrule",
        _latex_line(map(escape_latex, table.columns)),
        r"\midrule",
        *(
            _latex_line(
                _latex_cell(cell, signs, kind) for cell, kind in zip(row, kinds, strict=True)
            )
            for row in table.cells
        ),
        r"\bottomrule",
        r"\end{tabular}",
        "",
        *([rf"{{\footnotesize {below}\par}}", ""] if below else []),
    ]


def _latex_line(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"


def _latex_cell(cell: Cell, signs: dict[str, str], kind: str) -> str:
    first, *others = map(escape_latex, cell.text.split("\n"))
    marks = ",".join(signs[mark] for mark in cell.marks)
    value = LATEX[cell.place] % first + (f"$^{{{marks}}}$" if marks else "")
    if not others:
        return f"{{{value}}}"  # what began with [ would be read as an argument of the \\ before it
    rest = "".join(rf"\zslline{{{line}}}" for line in others)
    return rf"\zslcell{'[l]' * (kind == 'l')}{{{value}}}{{{rest}}}"


def escape_latex(text: str) -> str:
    """Return text that LaTeX prints as it is; line ends become blanks."""
    plain = re.sub(r"\s+", " ", text)
    return "".join(SPECIAL.get(sign, sign) for sign in plain)
