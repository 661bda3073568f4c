"""Lay out the site's pages: `python docs/stage.py FOLDER`, then sphinx-build (see the Makefile).

The README is the first page. Pages for methods are written from the methods themselves, and the
published studies are copied: what the site says of them is what the repository says.
"""

import re
import shutil
import sys
from pathlib import Path

from zslbench.cli.tools.methods import page
from zslbench.method.describe import describe
from zslbench.method.registry import incremental_modules, method_modules
from zslbench.report.table import Document
from zslbench.report.writers import markdown

ROOT = Path(__file__).parents[1]
# Where files of the repository are on the site, by the beginning of a link to them.
MOVED = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "docs/": "",
    "results/studies/": "studies/",
}
GUIDES = (
    "tasks", "datasets", "methods", "protocol", "features", "suites", "explain_and_submit",
    "bundles", "public_leaderboard", "sensitivity", "task_sequences", "regression", "cluster",
)  # fmt: skip
CONTENTS = """
```{toctree}
:hidden:

quickstart
```

```{toctree}
:hidden:
:caption: Guides

%s
```

```{toctree}
:hidden:
:caption: Results
:glob:

studies/*
studies/*/*
```

```{toctree}
:hidden:
:caption: Reference

api
contributing
changelog
```
"""


def stage(folder: Path) -> None:
    """Write all pages, pictures and notebooks of the site into a folder."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "docs", folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    shutil.copytree(ROOT / "results" / "studies", folder / "studies")
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        (folder / MOVED[name]).write_text((ROOT / name).read_text())
    for path in folder.rglob("*.md"):
        path.write_text(relinked(path.read_text(), path.relative_to(folder)))
    with (folder / "index.md").open("a") as index:
        index.write(CONTENTS % "\n".join(GUIDES))
    (folder / "methods").mkdir()
    about = {name: describe(name) for name in sorted({**method_modules(), **incremental_modules()})}
    for name, found in about.items():
        (folder / "methods" / f"{name}.md").write_text(method_page(found))
    (folder / "methods.md").write_text(methods_page(about))


def relinked(text: str, page: Path) -> str:
    """Return a page with links to files of the repository turned into links to their pages."""

    def link(match: re.Match[str]) -> str:
        path = match[1].removeprefix("../" * (match[1].count("../")))
        for old, new in MOVED.items():
            if path.startswith(old):
                return f"]({'../' * len(page.parts[1:])}{new}{path.removeprefix(old)}"
        return match[0]

    return re.sub(r"\]\((?!https?:)((?:\.\./)*[\w./-]+)", link, text)


def method_page(about: dict) -> str:
    """Return the page of a method: its file's own words, what it needs, its settings."""
    settings = markdown(Document(parts=page(about).parts))
    return f"# {about['name']}\n\n{papers(about['about'])}\n\n{settings}"


def methods_page(about: dict) -> str:
    """Return the page of all methods."""
    kinds = {"method": "Zero-shot methods", "incremental": "Class-incremental methods"}
    lead = "A method's page lists where it departs from its paper and the released code."
    parts = ["# Methods", lead]
    for kind, title in kinds.items():
        of_kind = {name: found for name, found in about.items() if found["kind"] == kind}
        rows = [f"| [{name}](methods/{name}.md) | {papers(' '.join(first.split()))} | {needs} |"
                for name, found in of_kind.items()
                for first in [found["about"].split("\n\n")[0]]
                for needs in [", ".join(found["needs"])]]  # fmt: skip
        parts += [f"## {title}", "\n".join(["| method | source | needs |", "|---|---|---|", *rows])]
    tree = "\n".join(f"methods/{name}" for name in about)
    return "\n\n".join([*parts, f"```{{toctree}}\n:hidden:\n\n{tree}\n```\n"])


def papers(text: str) -> str:
    """Return a text with links to the papers and the code that it names."""
    text = re.sub(r"arXiv (\d{4}\.\d{4,5})", r"[arXiv \1](https://arxiv.org/abs/\1)", text)
    return re.sub(r"(?<![/\w])(github\.com/[\w-]+/[\w-]+)", r"[\1](https://\1)", text)


if __name__ == "__main__":
    stage(Path(sys.argv[1]))
