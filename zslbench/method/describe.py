"""What a method is, and what each of its settings may be, from its class."""

import inspect
from typing import Any, Literal, get_args, get_origin

from zslbench.errors import unknown
from zslbench.method import Method, bounds
from zslbench.method.outline import Outline, outline
from zslbench.method.registry import (
    incremental_modules,
    load_incremental,
    load_method,
    method_modules,
)

KINDS = {int: "whole number", float: "number", bool: "True, False", str: "text"}


def describe(name: str) -> dict[str, Any]:
    """Return what a method is, from its file.

    Raises:
        ZslbenchError: If there is neither, with the nearest name.
    """
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
        "presets": {key: dict(values) for key, values in cls.Config.presets.items()},
    }
    if not issubclass(cls, Method):
        return about
    rules = {"deterministic": cls.deterministic, "published_rule": cls.published.source}
    return {**about, "kind": "method", **rules}


def _type(annotation: Any) -> str:
    """Return the names that a setting may be, or in a word what kind of value it is."""
    if type(None) in get_args(annotation):
        annotation = next(kind for kind in get_args(annotation) if kind is not type(None))
    if get_origin(annotation) is Literal:
        return ", ".join(map(str, get_args(annotation)))
    return KINDS.get(annotation) or str(annotation)


def outline_of(name: str, module: str) -> Outline:
    """Return a method in a line; its file is run only where reading it does not tell."""
    found = outline(module)
    if found is not None:
        return found
    about = describe(name)
    first = " ".join(about["about"].split("\n\n")[0].split())
    return Outline(first, tuple(about["needs"]), tuple(about["settings"]))
