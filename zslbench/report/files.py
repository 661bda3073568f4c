"""Files that appear whole or not at all."""

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 150


def write_text(path: Path, text: str) -> None:
    """Write a text file by one rename."""
    write_bytes(path, text.encode())


def write_figure(folder: Path, name: str, figure: "Figure", dpi: int = DPI) -> list[Path]:
    """Write a figure as PNG and PDF; the same figure gives the same bytes."""
    paths = []
    for kind, metadata in (("png", {}), ("pdf", {"CreationDate": None})):
        out = io.BytesIO()
        figure.savefig(out, format=kind, dpi=dpi, metadata=metadata)
        paths.append(folder / f"{name}.{kind}")
        write_bytes(paths[-1], out.getvalue())
    return paths


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file by one rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_bytes(content)
    draft.replace(path)
