"""A table, whatever it is written as."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Rank = Literal["best", "second"]


@dataclass(frozen=True)
class Cell:
    """A cell that is more than its text.

    Attributes:
        text: One or several lines; the first is the value.
        place: Whether the value is the best or second best of what it competes with.
        marks: What a reader must know before comparing.
        facts: What else a reader may ask; of no use in a paper's table.
    """

    text: str
    place: Rank | None = None
    marks: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()

    @property
    def lines(self) -> list[str]:
        """The lines of its text, then its marks."""
        return [*self.text.split("\n"), *map(str.upper, self.marks)]


@dataclass(frozen=True)
class Table:
    """A table; the first column names the rows, numbers are right-aligned.

    Attributes:
        note: What must be said below it.
        words: The columns beside the first that hold words.
    """

    title: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[Cell | str]]
    note: str = ""
    words: tuple[str, ...] = ()

    @property
    def cells(self) -> list[list[Cell]]:
        """The rows, every cell as one."""
        return [[c if isinstance(c, Cell) else Cell(c) for c in row] for row in self.rows]

    @property
    def numeric(self) -> list[bool]:
        """Whether each column holds numbers."""
        return [bool(n) and name not in self.words for n, name in enumerate(self.columns)]


@dataclass(frozen=True)
class Document:
    """A result as a reader meets it.

    Attributes:
        title: May be empty.
        about: What must be known of it as a whole.
        parts: The answer: tables and sentences.
        asides: Tables that answer other questions.
        notes: What must be said of the parts.
    """

    title: str = ""
    about: str = ""
    parts: Sequence[Table | str] = ()
    asides: Sequence[Table] = ()
    notes: Sequence[str] = ()
