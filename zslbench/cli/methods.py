"""`zslbench methods`: what there is, and what each may be set to."""

from typing import Annotated, Any

import typer

from zslbench.cli import options as opt


def methods(
    name: Annotated[str | None, typer.Argument(help="One method, with its settings.")] = None,
    json: opt.Json = False,
) -> None:
    """List the methods, or one method's source, needs and settings.

    Examples:
      zslbench methods

      zslbench methods eszsl
    """
    from zslbench.cli.output import print_json, print_parts
    from zslbench.registry import method_modules

    names = [name] if name else sorted(method_modules())
    found = {each: describe(each) for each in names}
    if json:
        print_json(found)
    elif name:
        print_parts(_page(found[name]))
    else:
        print_parts([_list(found)])


def describe(name: str) -> dict[str, Any]:
    """Return what a method is, from its file."""
    import inspect

    from zslbench.method import bounds
    from zslbench.registry import load_method

    cls = load_method(name)
    module = inspect.getmodule(cls)
    settings = {}
    for key, info in cls.Config.model_fields.items():
        extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
        low, high = bounds(info) or (None, None)
        settings[key] = {
            "default": info.default,
            "type": str(info.annotation).replace("typing.", ""),
            "meaning": info.description or "",
            "low": low,
            "high": high,
            **extra,
        }
    return {
        "name": name,
        "about": inspect.cleandoc((module and module.__doc__) or ""),
        "needs": sorted(cls.needs),
        "version": cls.version,
        "deterministic": cls.deterministic,
        "published_rule": cls.published.source,
        "settings": settings,
    }


def _list(found: dict[str, dict[str, Any]]) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table("method", "source", "needs", "settings")
    for name, about in found.items():
        source = " ".join(about["about"].split("\n\n")[0].split())
        texts = (name, source, ", ".join(about["needs"]), ", ".join(about["settings"]))
        table.add_row(*map(Text, texts))
    return table


def _page(about: dict[str, Any]) -> list[Any]:
    from rich.table import Table
    from rich.text import Text

    table = Table("setting", "default", "from", "to", "chosen among", "meaning")
    for key, info in about["settings"].items():
        grid = ", ".join(f"{value:g}" for value in info.get("grid", [])) or info["type"]
        texts = key, info["default"], info["low"], info["high"], grid, info["meaning"]
        table.add_row(*(Text("" if text is None and i > 1 else str(text))
                        for i, text in enumerate(texts)))  # fmt: skip
    return [about["about"], "", f"Needs: {', '.join(about['needs'])}.", table]
