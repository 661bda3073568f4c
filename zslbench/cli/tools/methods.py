"""`zslbench methods`: what methods there are, and what each may be set to."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from zslbench.cli import options as opt

if TYPE_CHECKING:
    from zslbench.report.document import Document
    from zslbench.report.table import Table

KINDS = {int: "whole number", float: "number", bool: "True, False", str: "text"}


def methods(
    name: Annotated[str | None, typer.Argument(help="One method, with its settings.")] = None,
    method_file: opt.MethodFiles = None,
    json: opt.Json = False,
) -> None:
    """List the methods, and the incremental ones; or one's source, needs and settings.

    Examples:
      zslbench methods

      zslbench methods eszsl

      zslbench methods spa

      zslbench methods my_method --method-file my_method.py
    """
    from zslbench.cli.output import print_document, print_json, print_table
    from zslbench.method.registry import incremental_modules, method_modules, register_file

    for path in method_file or []:
        register_file(path)
    names = [name] if name else [*sorted(method_modules()), *sorted(incremental_modules())]
    found = {each: describe(each) for each in names}
    if json:
        print_json(found)
    elif name:
        print_document(_page(found[name]))
    else:
        for kind in ("method", "incremental"):
            print_table(_list(kind, {n: f for n, f in found.items() if f["kind"] == kind}))


def describe(name: str) -> dict[str, Any]:
    """Return what a method is, from its file.

    Raises:
        ZslbenchError: If there is neither, with the nearest name.
    """
    import inspect

    from zslbench.errors import unknown
    from zslbench.method import Method, bounds
    from zslbench.method.registry import (
        incremental_modules,
        load_incremental,
        load_method,
        method_modules,
    )

    if name not in {**method_modules(), **incremental_modules()}:
        raise unknown("method", name, [*method_modules(), *incremental_modules()])
    cls = load_method(name) if name in method_modules() else load_incremental(name)
    module = inspect.getmodule(cls)
    settings = {}
    for key, info in cls.Config.model_fields.items():
        extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
        low, high = bounds(info) or (None, None)
        settings[key] = {
            "default": info.default,
            "type": _type(info.annotation),
            "meaning": info.description or "",
            "low": low,
            "high": high,
            **extra,
        }
    about = {
        "name": name,
        "kind": "incremental",
        "about": inspect.cleandoc((module and module.__doc__) or ""),
        "needs": sorted(cls.needs),
        "version": cls.version,
        "settings": settings,
    }
    if not issubclass(cls, Method):
        return about
    rules = {"deterministic": cls.deterministic, "published_rule": cls.published.source}
    return {**about, "kind": "method", **rules}


def _type(annotation: Any) -> str:
    """Return the names that a setting may be, or in a word what kind of value it is."""
    from typing import Literal, get_args, get_origin

    if get_origin(annotation) is Literal:
        return ", ".join(map(str, get_args(annotation)))
    kinds = [kind for kind in (get_args(annotation) or (annotation,)) if kind is not type(None)]
    return KINDS.get(kinds[0]) or str(kinds[0])


def _list(kind: str, found: dict[str, dict[str, Any]]) -> "Table":
    from zslbench.report.table import Table

    words = ("source", "needs", "settings")
    rows = [
        [name, " ".join(about["about"].split("\n\n")[0].split()), ", ".join(about["needs"]),
         ", ".join(about["settings"])]
        for name, about in found.items()
    ]  # fmt: skip
    return Table("", (kind, *words), rows, words=words)


def _page(about: dict[str, Any]) -> "Document":
    from zslbench.report.document import Document
    from zslbench.report.table import Table

    columns = ("setting", "symbol", "default", "from", "to", "chosen among", "meaning")
    rows = []
    for key, info in about["settings"].items():
        grid = ", ".join(f"{value:g}" for value in info.get("grid", [])) or info["type"]
        limits = ("" if limit is None else str(limit) for limit in (info["low"], info["high"]))
        rows.append(
            [key, info.get("symbol", ""), str(info["default"]), *limits, grid, info["meaning"]]
        )
    table = Table("", columns, rows, words=columns)
    return Document(about=about["about"], parts=[f"Needs: {', '.join(about['needs'])}.", table])
