"""A table beside the main one, whatever it is printed as."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """A table; cells may have several lines."""

    title: str
    columns: tuple[str, ...]
    rows: list[list[str]]
    note: str
