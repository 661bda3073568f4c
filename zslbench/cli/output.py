"""What the user sees: results on standard output, progress and notes on standard error."""

import json
from collections.abc import Sequence
from typing import Any


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
