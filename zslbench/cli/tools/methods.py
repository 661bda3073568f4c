"""`zslbench methods`: what methods there are, and what each may be set to."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from zslbench.cli import options as opt

if TYPE_CHECKING:
    from zslbench.report.table import Document, Table


def methods(
    name: Annotated[str | None, typer.Argument(help="One method, with its settings.")] = None,
    method_file: opt.MethodFiles = None,
    coverage: Annotated[
        bool,
        typer.Option(
            "--coverage",
            help="List the rows of published tables: what they run as here, or why not.",
        ),
    ] = False,
    json: opt.Json = False,
) -> None:
    """List the methods, and the incremental ones; or one's source, needs and settings.

    Examples:
      zslbench methods

      zslbench methods eszsl

      zslbench methods spa

      zslbench methods my_method --method-file my_method.py

      zslbench methods --coverage
    """
    from zslbench.cli.output import print_document, print_json
    from zslbench.method.describe import describe
    from zslbench.method.registry import incremental_modules, method_modules, register_file
    from zslbench.report.table import Document

    if coverage:
        _print_coverage(name, json)
        return
    for path in method_file or []:
        register_file(path)
    kinds = {"method": method_modules(), "incremental": incremental_modules()}
    if name:
        found = describe(name)
        if json:
            print_json({name: found})
        else:
            print_document(page(found))
    elif json:
        print_json({name: describe(name) for names in kinds.values() for name in sorted(names)})
    else:
        print_document(Document(parts=[_list(*each) for each in kinds.items()]))


def _print_coverage(name: str | None, json: bool) -> None:
    from dataclasses import asdict

    from zslbench.cli.output import print_document, print_json
    from zslbench.errors import ZslbenchError
    from zslbench.report.table import Document, Table
    from zslbench.studies.published.coverage import coverage, printed

    if name:
        raise ZslbenchError(f"--coverage is about all published rows: leave {name} out.")
    rows = coverage()
    if json:
        print_json([asdict(row) for row in rows])
        return
    words = ("published row", "runs as", "suites", "why not", "T1 / U / S / H")
    cells = [
        [row.source, row.title, row.runs_as, ", ".join(row.suites), row.why, printed(row.published)]
        for row in rows
    ]
    run = sum(bool(row.method) for row in rows)
    about = f"{run} of {len(rows)} rows of published tables run here."
    print_document(Document(about=about, parts=[Table("", ("table", *words), cells, words=words)]))


def _list(kind: str, modules: dict[str, str]) -> "Table":
    from zslbench.method.describe import outline_of
    from zslbench.report.table import Table

    found = {name: outline_of(name, module) for name, module in sorted(modules.items())}
    rows = [
        [name, each.about, ", ".join(each.needs), ", ".join(each.settings)]
        for name, each in found.items()
    ]
    words = ("source", "needs", "settings")
    return Table("", (kind, *words), rows, words=words)


def page(about: dict[str, Any]) -> "Document":
    """Return what `describe` says of a method as a document."""
    from zslbench.report.table import Document, Table

    columns = ("setting", "symbol", "default", "from", "to", "chosen among", "meaning")
    rows = []
    for key, info in about["settings"].items():
        values = info.get("grid", [])
        grid = ", ".join(v if isinstance(v, str) else f"{v:g}" for v in values) or info["type"]
        limits = ("" if limit is None else str(limit) for limit in (info["low"], info["high"]))
        rows.append(
            [key, info.get("symbol", ""), str(info["default"]), *limits, grid, info["meaning"]]
        )
    table = Table("", columns, rows, words=columns)
    presets = [
        f"--set preset={name}: " + ", ".join(f"{k}={v}" for k, v in values.items()) + "."
        for name, values in about["presets"].items()
    ]
    needs = f"Needs: {', '.join(about['needs'])}."
    return Document(about=about["about"], parts=[needs, table, *presets])
