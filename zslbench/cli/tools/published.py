"""`zslbench published`: what papers print, and where they contradict themselves."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zslbench.cli import options as opt

if TYPE_CHECKING:
    from zslbench.report.table import Table
    from zslbench.studies.published.numbers import Published


def published(
    method: Annotated[str | None, typer.Argument(help="One method (default: all).")] = None,
    dataset: Annotated[str | None, typer.Option(help="One dataset, such as CUB.")] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="List values of H that do not follow from U and S, and sources that differ.",
        ),
    ] = False,
    json: opt.Json = False,
) -> None:
    """List the numbers that papers and repositories print.

    Examples:
      zslbench published svip

      zslbench published --dataset SUN --check
    """
    from dataclasses import asdict

    from zslbench.cli.output import print_document, print_json
    from zslbench.report.table import Document
    from zslbench.studies.published import numbers as literature

    rows = _named(literature.read_published(), "method", method, "")
    rows = _named(rows, "dataset", dataset, f" of {method}" if method else "")
    findings = literature.check(rows) if check else []
    if json:
        document: dict[str, Any] = {"published": [asdict(row) for row in rows]}
        print_json(document | ({"findings": [asdict(f) for f in findings]} if check else {}))
        return
    print_document(Document(parts=[_table(rows)]))
    if check:
        print(f"findings: {len(findings)}")
    for finding in findings:
        name = f"{finding.method} {finding.variant}".strip()
        print(f"{name} on {finding.dataset}: {finding.kind}: {finding.what}")


def _named(
    rows: "Sequence[Published]", field: str, name: str | None, whose: str
) -> "Sequence[Published]":
    """Return the rows of one method or dataset, of all where none is named."""
    from zslbench.errors import unknown
    from zslbench.studies.published.numbers import fold

    if name is None:
        return rows
    found = [row for row in rows if fold(getattr(row, field)) == fold(name)]
    if not found:
        known = {getattr(row, field) for row in rows}
        raise unknown(field, name, known, f" with published numbers{whose}")
    return found


def _table(rows: "Sequence[Published]") -> "Table":
    from zslbench.report.table import Table

    words = ("dataset", "backbone (pretraining)", "on test", "source and notes")
    cells = [
        [
            f"{row.method} {row.variant}".strip(),
            row.dataset,
            *("" if x is None else str(x) for x in (row.t1, row.u, row.s, row.h)),
            f"{row.backbone} ({row.pretraining})",
            row.selected_on_test,
            "; ".join([row.source, *row.notes]),
        ]
        for row in rows
    ]
    return Table("", ("method", "dataset", "T1", "U", "S", "H", *words[1:]), cells, words=words)
