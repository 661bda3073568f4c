"""A leaderboard as one page of HTML that needs nothing but itself. Same rows, same bytes.

The page requests nothing (its content security policy forbids it) and tells no date. Without
scripts everything is there to read; scripts sort, filter, and open a row beside the table.
"""

import base64
import hashlib
import json
import re
from importlib.resources import files

from zslbench.report.svg import escape
from zslbench.report.table import Table
from zslbench.studies.incremental.figures import after_each_task, key
from zslbench.studies.incremental.results import IncrementalRow
from zslbench.studies.leaderboard.page.costs import COSTS, cost
from zslbench.studies.leaderboard.page.ledger import ledger
from zslbench.studies.leaderboard.page.runs import run_details
from zslbench.studies.leaderboard.page.table import breakable, table
from zslbench.studies.leaderboard.results import Leaderboard, Row
from zslbench.studies.leaderboard.tables import notes, other_tables

FOLLOWED = (
    "Methods met one task after the other and carried nothing but what the table says; nothing "
    "was chosen on images of the dataset, and test labels were sealed."
)
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; \
style-src '{style_hash}'; script-src '{script_hash}'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{heading} - zslbench</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body>
<header>
<p class="brand">zslbench</p>
<button type="button" id="theme" hidden></button>
<h1>{heading}</h1>
<p class="lead">{lead}</p>
</header>
<main>
{main}
</main>
{rest}
</body>
</html>
"""
BOARD = """{table}
<ul class="notes">{notes}</ul>
{sections}
<section id="runs"><h2>Row by row</h2>{runs}</section>"""
DRAWER = """<dialog id="drawer" aria-labelledby="drawer-title"><div class="drawer-head">
<h2 id="drawer-title"></h2><button type="button" id="close" aria-label="Close">&times;</button>
</div><div id="drawer-body"></div></dialog>
<script type="application/json" id="class-names">{class_names}</script>
<script>{script}</script>"""


def as_page(board: Leaderboard) -> str:
    """Return the page."""
    style, script = _asset("page.css"), _asset("page.js")
    names = list(dict.fromkeys(row.evidence.class_names for row in board.rows))
    aside = [*map(_paths, _sequences(board.sequences)), *map(_grid, other_tables(board))]
    drawer = DRAWER.format(class_names=embedded_json(names), script=script)
    return PAGE.format(
        style=style,
        style_hash=_hash(style),
        script_hash=_hash(script),
        heading=escape(board.heading),
        lead=_lead(board),
        main=_main(board, names, aside) if board.rows else "\n".join(aside),
        rest=drawer if board.rows else "",  # scripts sort, filter and open rows
    )


def _main(board: Leaderboard, names: list[tuple[str, ...]], aside: list[str]) -> str:
    return BOARD.format(
        table=table(board.rows),
        notes="".join(f"<li>{_prose(note)}</li>" for note in notes(board)),
        sections="\n".join([*_costs(board.rows), ledger(board.rows), *aside]),
        runs="\n".join(
            run_details(number, row, names.index(row.evidence.class_names))
            for number, row in enumerate(board.rows)
        ),
    )


def embedded_json(value: object) -> str:
    """Return JSON that cannot end the script element it stands in, whatever names it holds."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _asset(name: str) -> str:
    return "\n" + files("zslbench.report").joinpath("page", name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _prose(text: str) -> str:
    return re.sub("`(.+?)`", r"<code>\1</code>", escape(text))


def _lead(board: Leaderboard) -> str:
    rows = board.rows
    if not rows:
        return _prose(f"{board.about} {_count(len(board.sequences), 'row')}. {FOLLOWED}".strip())
    methods, datasets = {row.method for row in rows}, {row.dataset for row in rows}
    counted = ", ".join([
        _count(len(rows), "row"), _count(len(methods), "method"), _count(len(datasets), "dataset"),
    ])  # fmt: skip
    apart = {
        "epoch or gamma selected on test": sum(row.selected_on_test for row in rows),
        "scores that were handed in": sum(row.external for row in rows),
    }
    told = [f"{_count(number, 'row')} with {what}" for what, number in apart.items() if number]
    held = "Everything was chosen on validation classes; test labels were sealed."
    if told:
        held = (
            f"Hatched: {' and '.join(told)}, which cannot "
            "be compared with the others and stays below them however the table is sorted."
        )
    return _prose(f"{board.about} {counted}. {held}".strip())


def _count(number: int, word: str) -> str:
    return f"{number} {word}" + ("s" if number != 1 else "")


def _costs(rows: list[Row]) -> list[str]:
    shapes = {name: n for n, name in enumerate(dict.fromkeys(row.name for row in rows))}
    by_dataset: dict[str, list[tuple[int, Row]]] = {}
    for number, row in enumerate(rows):
        if row.external:  # nobody has measured what it cost
            continue
        by_dataset.setdefault(row.table, []).append((number, row))
    figures = [
        f"<figure><figcaption>{escape(dataset)}: {by.title.lower()}</figcaption>"
        f"{cost(members, by, shapes)}</figure>"
        for dataset, members in by_dataset.items()
        for by in COSTS
    ]
    note = (
        "Each row of the table with its interval over images and seeds, these classes fixed. "
        "Shapes tell methods apart; hollow: selected on test. Costs are those of the machines the "
        "runs were made on."
    )
    return [
        _section(
            "What accuracy costs", f'<div class="figures pairs">{"".join(figures)}</div>', note
        )
    ]


def _sequences(rows: list[IncrementalRow]) -> list[list[IncrementalRow]]:
    tables = dict.fromkeys(row.table for row in rows)
    return [[row for row in rows if row.table == name] for name in tables]


def _paths(rows: list[IncrementalRow]) -> str:
    named = "".join(
        f'<li><svg class="sign" viewBox="-16 -7 32 14" aria-hidden="true">'
        f'<path class="{line}" d="M-16 0H16"/><path class="solid" d="{shape}"/></svg> '
        f"{escape(title)}</li>"
        for line, shape, title in key(rows)
    )
    drawn = f'<div class="paths">{after_each_task(rows)}<ul class="signs">{named}</ul></div>'
    note = "Over all classes known by then; the table below has the numbers and intervals."
    return _section(f"Accuracy after each task: {rows[0].table}", drawn, note)


def _grid(grid: Table) -> str:
    head = "".join(
        f'<th scope="col" class="{"n" if place else "t"}">{escape(name)}</th>'
        for place, name in enumerate(grid.columns)
    )
    body = "".join(
        f'<tr><th scope="row">{_lines(row[0])}</th>'
        + "".join(f'<td class="n">{_lines(cell)}</td>' for cell in row[1:])
        + "</tr>"
        for row in grid.rows
    )
    tabular = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    box = f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(grid.title)}">'
    title = grid.title[0].upper() + grid.title[1:]  # names in it stay as they are
    return _section(title, f"{box}{tabular}</div>", grid.note)


def _lines(cell: str) -> str:
    first, *others = cell.split("\n")
    return f"<b>{escape(first)}</b>" + "".join(f"<small>{escape(o)}</small>" for o in others)


def _section(title: str, content: str, note: str) -> str:
    head = f'<h2>{breakable(title)}</h2><p class="note">{_prose(note)}</p>'
    return f"<section>{head}{content}</section>"
