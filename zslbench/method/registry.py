"""Names of methods, and of incremental ones: modules of the packages that entry points name.

The group `zslbench.methods` names packages of methods, `zslbench.incremental` those of methods
that learn a task sequence. A method may also be in a file anywhere.
"""

import inspect
import os
import pkgutil
import sys
import warnings
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, TypeVar

from zslbench.errors import ZslbenchError, unknown
from zslbench.method import Method, MethodConfig, files
from zslbench.method.incremental import IncrementalMethod
from zslbench.method.settings import Settings

Base = TypeVar("Base", Method, IncrementalMethod)
METHODS, INCREMENTAL = "zslbench.methods", "zslbench.incremental"
broken: dict[str, str] = {}  # packages that do not import and were passed over, and why


@cache
def method_modules() -> dict[str, str]:
    """Return method name -> module, without importing any of them.

    Raises:
        ZslbenchError: Where two packages, or a package and a file, bring a method of the same name.
    """
    modules = _modules(METHODS)
    for module, path in files.listed().items():
        if path.stem in modules:
            raise files.taken(path, modules[path.stem])
        modules[path.stem] = module
    return modules


def register_file(path: Path) -> str:
    """Make a file's class a method here, and in processes that are started from here.

    A file that was registered before is read again.

    Returns:
        The method's name, which is the file's.

    Raises:
        ZslbenchError: If the file does not import or holds no method, or its name is taken.
    """
    path = path.resolve()
    files.check_name(path)
    module, before = f"{files.PACKAGE}.{path.stem}", os.environ.get(files.VARIABLE)
    others = files.listed()
    if others.setdefault(module, path) != path:
        raise files.taken(path, others[module])
    sys.modules.pop(module, None)
    os.environ[files.VARIABLE] = os.pathsep.join(map(str, others.values()))
    method_modules.cache_clear()
    try:
        load_method(path.stem)
    except ZslbenchError:
        os.environ.pop(files.VARIABLE)
        if before is not None:
            os.environ[files.VARIABLE] = before
        method_modules.cache_clear()
        raise
    return path.stem


@cache
def incremental_modules() -> dict[str, str]:
    """Return incremental method's name -> module; see `method_modules`."""
    return _modules(INCREMENTAL)


def _modules(group: str) -> dict[str, str]:
    modules: dict[str, str] = {}
    for point in entry_points(group=group):
        for module in pkgutil.iter_modules(_folders(point.value)):
            if module.name.startswith("_") or module.ispkg:
                continue
            if module.name in modules:
                raise ZslbenchError(
                    f"Both {modules[module.name]} and {point.value} bring a method called "
                    f"{module.name!r}: rename one of the two files, or uninstall one package."
                )
            modules[module.name] = f"{point.value}.{module.name}"
    return modules


def _folders(package: str) -> list[str]:
    """Return where a package's modules lie; nowhere if it is gone, is no package or breaks."""
    try:
        spec = find_spec(package)
    except ImportError:
        return []
    except (Exception, SystemExit) as error:  # a third party's package may raise anything
        broken[package] = f"does not import ({type(error).__name__}: {error})"
        note = f"{package} {broken[package]}: passed over. Fix the package, or uninstall it."
        warnings.warn(note, stacklevel=2)
        return []
    return list(spec.submodule_search_locations or []) if spec else []


def load_method(name: str) -> type[Method]:
    """Return the method class of a name, its module's name.

    Raises:
        ZslbenchError: On an unknown name, with the nearest known one.
    """
    return _load("method", name, method_modules(), Method)  # type: ignore[type-abstract]


def load_incremental(name: str) -> type[IncrementalMethod]:
    """Return the incremental method's class of a name, its module's name.

    Raises:
        ZslbenchError: On an unknown name, with the nearest known one.
    """
    modules, base = incremental_modules(), IncrementalMethod
    return _load("incremental method", name, modules, base)  # type: ignore[type-abstract]


class NamesMethod(Protocol):
    """A record that names a method and its config: a specification, or a choice."""

    method: str
    config: dict[str, Any]


def resolve(
    record: NamesMethod, changes: Mapping[str, Any] | None = None
) -> tuple[type[Method], MethodConfig]:
    """Return the method that a record names, and its config, typed.

    Args:
        record: A specification, or a choice.
        changes: Settings that differ from the record's.

    Raises:
        ZslbenchError: If there is no such method here.
    """
    cls = load_method(record.method)
    return cls, cls.Config.model_validate({**record.config, **(changes or {})})


def resolve_incremental(record: NamesMethod) -> tuple[type[IncrementalMethod], Settings]:
    """Return the incremental method that a record names, and its config, typed.

    Raises:
        ZslbenchError: If there is no such method here.
    """
    cls = load_incremental(record.method)
    return cls, cls.Config.model_validate(record.config)


def _load(kind: str, name: str, modules: Mapping[str, str], base: type[Base]) -> type[Base]:
    """Return the one class of a kind that a name's module holds."""
    if name not in modules:
        raise unknown(kind, name, modules)
    path = files.listed().get(modules[name])
    module = files.import_file(modules[name], path) if path else import_module(modules[name])
    classes = {
        member
        for member in vars(module).values()
        if inspect.isclass(member)
        and issubclass(member, base)
        and member.__module__ == module.__name__
        and not inspect.isabstract(member)
    }
    if len(classes) != 1:
        raise ZslbenchError(
            f"{module.__file__}: a method's file holds exactly one {base.__name__}, this one holds "
            f"{len(classes)}. Move the others to files of their own."
        )
    return classes.pop()
