"""What a method's file says of it, read without running it: most files import torch."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec, resolve_name
from pathlib import Path

from zslbench.method import files

BASES = {("zslbench.method.base", "Method"), ("zslbench.method.incremental", "IncrementalMethod")}
Class = tuple[str, ast.ClassDef]  # its module, its definition


@dataclass(frozen=True)
class Outline:
    """A method in a line.

    Attributes:
        about: The first paragraph of its file: where it was published.
        needs: What it must be handed.
        settings: Their names.
    """

    about: str
    needs: tuple[str, ...]
    settings: tuple[str, ...]


def outline(module: str) -> Outline | None:
    """Return what the file of a method says; None where that takes running it."""
    try:
        (*_, found) = [bases for bases in map(_bases, _classes(module)) if _is_method(bases)]
        config = next(filter(None, map(_config, found)))
        needs = next(filter(None, (_value(each, "needs") for each in found)))
        about = ast.get_docstring(_parsed(module)) or ""
        named = ast.literal_eval(needs.args[0]) if isinstance(needs, ast.Call) else ()
    except (OSError, SyntaxError, ValueError, StopIteration, IndexError):
        return None
    fields = [name for each in reversed(_bases(config)) for name in _fields(each[1])]
    first = " ".join(about.split("\n\n")[0].split())
    return Outline(first, tuple(sorted(named)), tuple(dict.fromkeys(fields)))


@cache
def _parsed(module: str) -> ast.Module:
    path = files.listed().get(module)
    if path is None:
        spec = find_spec(module)
        path = Path(spec.origin) if spec and spec.origin else Path(module)
    return ast.parse(path.read_bytes())


def _classes(module: str) -> Iterator[Class]:
    return ((module, node) for node in _parsed(module).body if isinstance(node, ast.ClassDef))


def _find(module: str, name: str) -> Class | None:
    """Return the class that a name means in a module; None outside of methods and of zslbench."""
    package = module if _is_package(module) else module.rpartition(".")[0]
    for node in _parsed(module).body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return module, node
        if isinstance(node, ast.ImportFrom):
            imported = {alias.asname or alias.name: alias.name for alias in node.names}
            home = resolve_name("." * node.level + (node.module or ""), package)
            if name in imported and home.partition(".")[0] in ("zslbench", package.split(".")[0]):
                return _find(home, imported[name])
    return None


def _is_package(module: str) -> bool:
    spec = None if module in files.listed() else find_spec(module)
    return spec is not None and spec.submodule_search_locations is not None


def _bases(cls: Class) -> list[Class]:
    """Return a class and those it inherits from, in the order in which Python asks them."""
    module, node = cls
    names = [base.id for base in node.bases if isinstance(base, ast.Name)]
    above = [
        each for base in filter(None, (_find(module, n) for n in names)) for each in _bases(base)
    ]
    line = [cls, *above]
    return [each for place, each in enumerate(line) if each not in line[place + 1 :]]


def _is_method(bases: list[Class]) -> bool:
    return any((module, node.name) in BASES for module, node in bases)


def _config(cls: Class) -> Class | None:
    """Return the config that a class itself names."""
    module, node = cls
    own = [n for n in node.body if isinstance(n, ast.ClassDef) and n.name == "Config"]
    named = _value(cls, "Config")
    if own:
        return module, own[0]
    return _find(module, named.id) if isinstance(named, ast.Name) else None


def _value(cls: Class, name: str) -> ast.expr | None:
    """Return what a class itself gives an attribute."""
    for node in cls[1].body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
            if isinstance(target, ast.Name) and target.id == name:
                return node.value
    return None


def _fields(node: ast.ClassDef) -> list[str]:
    return [
        each.target.id
        for each in node.body
        if isinstance(each, ast.AnnAssign)
        and isinstance(each.target, ast.Name)
        and "ClassVar" not in ast.unparse(each.annotation)
    ]
