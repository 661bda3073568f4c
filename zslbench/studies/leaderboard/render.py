"""A leaderboard as Markdown, CSV, JSON, and for the terminal. Same rows, same bytes."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

from zslbench.report.files import csv_text
from zslbench.report.numbers import NAMES, number
from zslbench.report.table import Table
from zslbench.stats import METRICS
from zslbench.studies.leaderboard.podium import podium
from zslbench.studies.leaderboard.results import Leaderboard, Row
from zslbench.studies.leaderboard.tables import (
    control,
    details,
    failed_table,
    notes,
    other_tables,
    paired_table,
    span,
)

if TYPE_CHECKING:
    from rich.console import RenderableType

PLACED = {"best": "**%s**", "second": "<u>%s</u>", "": "%s"}


def as_terminal(board: Leaderboard) -> "list[RenderableType]":
    """Return rich tables, one a dataset and one for each other question, and the notes."""
    from rich.table import Table

    head = (board.heading, board.about)
    parts: list[Any] = [_plain("\n".join(filter(None, head)))] if board.is_titled else []
    for dataset, group in groupby(board.rows, key=lambda row: row.table):
        table = Table(title=f"{dataset}", title_justify="left", show_lines=True)
        table.add_column("method", overflow="fold")
        for name in NAMES.values():
            table.add_column(name, justify="right", no_wrap=True)
        for row in group:
            cells = [
                f"{number(m, row.value(m))}\n[{span(row, m, 'these_classes')}]\n"
                f"({span(row, m, 'new_classes')})"
                for m in METRICS
            ]
            cells[0] += "\n" + control(row).replace(" (", "\n(")
            table.add_row(_plain("\n".join([row.title, *details(row)])), *map(_plain, cells))
        parts.append(table)
    for grid in other_tables(board):
        parts += table_parts(grid)
    return [*parts, *(notes(board) if board.rows else ())]


def differences(board: Leaderboard) -> "list[RenderableType]":
    """Return the paired differences alone, and what failed."""
    head = "\n".join(filter(None, (board.heading, board.about)))
    grids = [
        *([failed_table(board.failures)] if board.failures else []),
        *([paired_table(board)] if board.comparisons else []),
    ]
    return [_plain(head), *(part for grid in grids for part in table_parts(grid))]


def table_parts(grid: Table) -> "list[RenderableType]":
    """Return a table beside the main one as a rich table, and its note."""
    from rich.table import Table

    table = Table(title=grid.title, title_justify="left", show_lines=True)
    for place, name in enumerate(grid.columns):
        table.add_column(name, justify="right" if place else "left", overflow="fold")
    for cells in grid.rows:
        table.add_row(*map(_plain, cells))
    return [table, grid.note]


def _plain(text: str) -> Any:
    from rich.text import Text

    return Text(text)


def as_markdown(board: Leaderboard) -> str:
    """Return one table a dataset, and one for each other question."""
    lines = [f"# {_cell(board.heading)}", "", *([_cell(board.about), ""] if board.about else [])]
    places = podium(board.rows)
    for dataset, group in groupby(enumerate(board.rows), key=lambda item: item[1].table):
        lines += [f"## {_cell(dataset)}", "", _line(["method", *NAMES.values(), "control of T1"])]
        lines.append(_line(["---", *["---:"] * len(NAMES), "---"]))
        members = list(group)
        for position, row in members:
            values = [
                PLACED[places.get((position, m), "")] % number(m, row.value(m)) for m in METRICS
            ]
            cells = [
                f"{value}<br>[{span(row, m, 'these_classes')}]<br>({span(row, m, 'new_classes')})"
                for m, value in zip(METRICS, values, strict=True)
            ]
            names = _lines((row.title, f"rule {row.rule}", *map(str.upper, row.marks)))
            lines.append(_line([names, *cells, control(row)]))
        lines.append("")
        lines += [f"* {_cell(row.title)}: {_cell('; '.join(details(row)))}" for _, row in members]
        lines.append("")
    for grid in other_tables(board):
        lines += [f"## {_cell(grid.title)}", "", _line(grid.columns)]
        lines.append(_line(["---", *["---:"] * (len(grid.columns) - 1)]))
        lines += [
            _line(["<br>".join(map(_cell, cell.split("\n"))) for cell in row]) for row in grid.rows
        ]
        lines += ["", f"> {grid.note}", ""]
    told = notes(board) if board.rows else ()
    return "\n".join([*lines, *(f"> {note}\n" for note in told)])


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _lines(texts: Sequence[str]) -> str:
    return "<br>".join(map(_cell, texts))


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def as_csv(board: Leaderboard) -> str:
    """Return one line a row, every interval's ends in columns of their own."""
    return csv_text([_flat(row) for row in board.rows])


def _flat(row: Row) -> dict[str, Any]:
    numbers: dict[str, Any] = {}
    for metric, name in NAMES.items():
        numbers[name] = row.value(metric)
        for population, found in row.intervals[metric].items():
            numbers |= {f"{name}_low_{population}": found.low}
            numbers |= {f"{name}_high_{population}": found.high}
    return {
        "dataset": row.dataset,
        "method": row.method,
        "label": row.label,
        "tuned": row.tuned,
        "settings": json.dumps(row.settings, sort_keys=True),
        "backbone": row.backbone,
        "exposure": row.exposure,
        "words": row.words,
        "descriptions": row.descriptions,
        "rule": row.rule,
        "marks": "; ".join(row.marks),
        "seeds": " ".join(map(str, row.seeds)),
        "tuning_worlds": row.tuning_worlds,
        **numbers,
        "T1_best": row.t1_best,
        "T1_p": row.control.p,
        "T1_control_95": row.control.percentile_95,
        "H_gamma_zero": row.plain_h,
        "H_oracle_test_tuned": row.oracle_h,
        "chosen": json.dumps(row.chosen, sort_keys=True),
        "openings": row.openings,
        "commits": " ".join(row.commits),
        "seconds": row.seconds,
        "localisation": json.dumps({k: v.mean for k, v in row.localisation.items()}),
    }


def as_json(board: Leaderboard) -> dict[str, Any]:
    """Return rows and what else was asked as one JSON document; an infinite bound is null."""
    document = {"schema_version": 1, **asdict(replace(board, rows=[]))}
    document["rows"] = [_without_evidence(row) for row in board.rows]
    finite: dict[str, Any] = _finite(document)
    return finite


def _without_evidence(row: Row) -> dict[str, Any]:
    plain = asdict(replace(row, evidence=None))  # type: ignore[arg-type]  # arrays would be copied
    del plain["evidence"]
    return plain


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
