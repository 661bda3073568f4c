"""Names of methods: every module of a package named by an entry point in `zslbench.methods`."""

import inspect
import pkgutil
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec

from zslbench.errors import ZslbenchError, unknown
from zslbench.method import Method


@cache
def method_modules() -> dict[str, str]:
    """Return method name -> module, without importing any of them.

    Raises:
        ZslbenchError: Where two packages bring a method of the same name.
    """
    modules: dict[str, str] = {}
    for point in entry_points(group="zslbench.methods"):
        for module in pkgutil.iter_modules(_folders(point.value)):
            if module.name.startswith("_"):
                continue
            if module.name in modules:
                raise ZslbenchError(
                    f"Both {modules[module.name]} and {point.value} bring a method called "
                    f"{module.name!r}: rename one of the two files, or uninstall one package."
                )
            modules[module.name] = f"{point.value}.{module.name}"
    return modules


def _folders(package: str) -> list[str]:
    """Return where a package's modules lie; nowhere if it is gone or is no package."""
    try:
        spec = find_spec(package)
    except ImportError:
        return []
    return list(spec.submodule_search_locations or []) if spec else []


def load_method(name: str) -> type[Method]:
    """Return the method class of a name, its module's name.

    Raises:
        ZslbenchError: On an unknown name, with the nearest known one.
    """
    modules = method_modules()
    if name not in modules:
        raise unknown("method", name, modules)
    module = import_module(modules[name])
    classes = {
        member
        for member in vars(module).values()
        if inspect.isclass(member)
        and issubclass(member, Method)
        and member.__module__ == module.__name__
        and not inspect.isabstract(member)
    }
    if len(classes) != 1:
        raise ZslbenchError(
            f"{module.__file__}: a method's file holds exactly one method class, "
            f"this one holds {len(classes)}. Move the others to files of their own."
        )
    return classes.pop()
