"""Files that appear whole or not at all."""

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 150


def write_text(path: Path, text: str) -> None:
    """Write a text file by one rename."""
    _write(path, text.encode())


def write_figure(folder: Path, name: str, figure: "Figure", dpi: int = DPI) -> list[Path]:
    """Write a figure as PNG and PDF; the same figure gives the same bytes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    paths = []
    for kind, metadata in (("png", {}), ("pdf", {"CreationDate": None})):
        out = io.BytesIO()
        figure.savefig(out, format=kind, dpi=dpi, metadata=metadata)
        paths.append(folder / f"{name}.{kind}")
        _write(paths[-1], out.getvalue())
    return paths


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows that share their columns as CSV."""
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_bytes(content)
    draft.replace(path)
