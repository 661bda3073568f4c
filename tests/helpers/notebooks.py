"""Notebooks played without a kernel: their code cells in order, in one namespace.

`python tests/helpers/notebooks.py docs/quickstart.ipynb` stores what its cells show now.
"""

import ast
import json
import os
import re
import sys
import tempfile
from pathlib import Path


def cells(path):
    """Return a notebook's code cells: their source, and the outputs stored with them."""
    notebook = json.loads(Path(path).read_text())
    return [("".join(cell["source"]), cell["outputs"]) for cell in notebook["cells"]
            if cell["cell_type"] == "code"]  # fmt: skip


def play(sources):
    """Run cells; yield what each shows: its last expression, None where that is none."""
    names = {}
    for source in sources:
        *body, last = ast.parse(source).body
        shows = isinstance(last, ast.Expr)
        exec(compile(ast.Module(body if shows else [*body, last], []), "cell", "exec"), names)
        yield eval(compile(ast.Expression(last.value), "cell", "eval"), names) if shows else None


def output(shown, number=None):
    """Return what a kernel stores of what its cell of a number shows."""
    if shown is None:
        return []
    html = {"text/html": shown._repr_html_()} if hasattr(shown, "_repr_html_") else {}
    data = {**html, "text/plain": repr(shown)}
    data = {kind: text.splitlines(keepends=True) for kind, text in data.items()}
    return [
        {"data": data, "execution_count": number, "metadata": {}, "output_type": "execute_result"}
    ]


def visible(outputs):
    """Return what a reader sees of a cell's outputs, however it is styled."""
    texts = ["".join(text) for each in outputs for text in each["data"].values()]
    return [re.sub(r"(<style.*?</style>|<[^>]*>|\s)+", " ", text, flags=re.S) for text in texts]


def refresh(path):
    """Store with each code cell what it shows."""
    notebook = json.loads(path.read_text())
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        played = enumerate(play("".join(c["source"]) for c in code), start=1)
        for cell, (number, shown) in zip(code, played, strict=True):
            cell["outputs"], cell["execution_count"] = output(shown, number), number
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    refresh(Path(sys.argv[1]).resolve())
