"""What the user sees: results on standard output, progress and notes on standard error."""

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zslbench.data.load import DataRequest
    from zslbench.data.types import Dataset
    from zslbench.data.verify import Verified
    from zslbench.report.shown import Shown
    from zslbench.report.table import Document
    from zslbench.studies.leaderboard.results import Leaderboard


def print_leaderboard(
    board: "Leaderboard", *, json: bool, details: bool = False, differences: bool = False
) -> None:
    """Print a leaderboard, or its paired differences alone; nothing where it has no rows."""
    from zslbench.studies.leaderboard.tables import differences as alone

    if differences and not json:
        print_document(alone(board))
    elif json or board.rows or board.incremental:
        print_result(board, json=json, details=details)


def print_result(result: "Shown", *, json: bool, details: bool = False) -> None:
    """Print a result as tables, or as the one JSON document."""
    if json:
        print_json(result.to_dict())
    else:
        print_document(result.document() if details else result.brief())


def print_facts(facts: dict[str, Any], text: str, *, json: bool) -> None:
    """Print what was done as text, or as the one JSON document."""
    if json:
        print_json(facts)
    else:
        print(text)


def print_verified(found: "Verified", *, json: bool) -> None:
    """Print a dataset in numbers, what is worth knowing, and what is wrong with it."""
    lines = [f"{key.replace('_', ' '):16} {value}" for key, value in found.facts.items()]
    lines += [f"note: {note}" for note in found.notes]
    lines += [f"PROBLEM: {problem}" for problem in found.problems]
    more = {"problems": found.problems, "notes": found.notes}
    text = "\n  ".join([found.name, *lines])
    print_facts({"name": found.name, **found.facts, **more}, text, json=json)


def print_json(document: Any) -> None:
    """Print the one JSON document."""
    print(json.dumps(document, indent=2, allow_nan=False))


def decoded(request: "DataRequest") -> "Dataset":
    """Load a dataset, and show how far its images are decoded."""
    from zslbench.data.load import load_dataset
    from zslbench.studies.progress import Display

    with Display() as display:
        return load_dataset(request, lambda done, n: display.tick("reading images", done, n))


def print_document(document: "Document") -> None:
    """Print tables and notes; wide enough for them where there is no terminal."""
    from rich.console import Console

    from zslbench.report.writers import WIDE, terminal
    from zslbench.store.garbage import uncollected

    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console = Console(highlight=False, markup=False, width=WIDE)
    with uncollected():
        for part in terminal(document, console.width):
            console.print(part)
