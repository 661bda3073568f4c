"""What the user sees: results on standard output, progress and notes on standard error."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zslbench.report.document import Document, Shown
    from zslbench.report.table import Table
    from zslbench.studies.leaderboard.results import Leaderboard


def print_leaderboard(board: "Leaderboard", *, json: bool, differences: bool = False) -> None:
    """Print a leaderboard, or its paired differences alone; nothing where it has no rows."""
    from zslbench.studies.leaderboard.tables import differences as alone

    if differences and not json:
        print_document(alone(board))
    elif json or board.rows or board.sequences:
        print_result(board, json=json)


def print_result(result: "Shown", *, json: bool) -> None:
    """Print a result as tables, or as the one JSON document."""
    if json:
        print_json(result.to_dict())
    else:
        print_document(result.document())


def print_document(document: "Document") -> None:
    """Print a document's tables and notes."""
    from zslbench.report.writers import terminal

    print_parts(terminal(document))


def print_table(table: "Table") -> None:
    """Print a table alone."""
    from zslbench.report.writers import rich_table

    print_parts(rich_table(table))


def print_json(document: Any) -> None:
    """Print the one JSON document."""
    print(json.dumps(document, indent=2, allow_nan=False))


def print_parts(parts: Sequence[Any]) -> None:
    """Print rich renderables; wide enough for the tables where there is no terminal."""
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console = Console(highlight=False, markup=False, width=132)
    for part in parts:
        console.print(part)
