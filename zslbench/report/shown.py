"""How a study's result is shown in notebooks and terminals, and written to files."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

from zslbench.errors import unknown
from zslbench.report.files import write_text
from zslbench.report.records import csv_text, plain
from zslbench.report.table import Document

if TYPE_CHECKING:
    from pandas import DataFrame


class Shown(ABC):
    """A result that is shown as tables, and saved in any of five formats."""

    @abstractmethod
    def document(self) -> Document:
        """Return its tables and notes."""

    def brief(self) -> Document:
        """Return what a terminal shows where no details are asked for."""
        return self.document()

    @abstractmethod
    def records(self) -> list[dict[str, Any]]:
        """Return its numbers as flat rows of plain values."""

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as one JSON document; an infinite bound is null."""
        return {"schema_version": 1, **plain(self)}

    def to_html(self) -> str:
        """Return it as a page that needs nothing but itself."""
        from zslbench.report.html import page

        return page("document.html", document=self.document())

    def to_frame(self) -> "DataFrame":
        """Return its rows as a pandas frame."""
        from pandas import DataFrame

        return DataFrame(self.records())

    def __repr__(self) -> str:
        """Return its tables and notes as a terminal shows them."""
        from zslbench.report.writers import as_text

        return as_text(self.document())

    def _repr_html_(self) -> str:
        from zslbench.report.html import notebook

        return notebook(self.document())

    def save(self, path: Path | str, pictures: Mapping[str, str] = MappingProxyType({})) -> None:
        """Write it as Markdown, CSV, JSON, LaTeX or HTML, as the file's suffix says.

        Args:
            path: The file.
            pictures: Image files beside it with their captions, to be shown in Markdown.

        Raises:
            ZslbenchError: If the suffix is none of theirs.
        """
        from zslbench.report.writers import latex, markdown

        path = Path(path)
        written = {
            ".md": lambda: markdown(self.document(), pictures),
            ".csv": lambda: csv_text(self.records()),
            ".json": lambda: to_json(self.to_dict(), indent=2).decode() + "\n",
            ".tex": lambda: latex(self.document()),
            ".html": self.to_html,
        }
        if path.suffix not in written:
            raise unknown("suffix", path.suffix, written, f" of {path}")
        write_text(path, written[path.suffix]())
