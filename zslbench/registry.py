"""Names of methods and learners: modules of the packages that entry points name.

The group `zslbench.methods` names packages of methods, `zslbench.learners` those of learners. A
method may also be in a file anywhere.
"""

import inspect
import os
import pkgutil
import sys
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

from zslbench import method_files
from zslbench.errors import ZslbenchError, unknown
from zslbench.learner import Learner
from zslbench.method import Method

Base = TypeVar("Base", Method, Learner)
METHODS, LEARNERS = "zslbench.methods", "zslbench.learners"


@cache
def method_modules() -> dict[str, str]:
    """Return method name -> module, without importing any of them.

    Raises:
        ZslbenchError: Where two packages, or a package and a file, bring a method of the same name.
    """
    modules = _modules(METHODS)
    for module, path in method_files.listed().items():
        if path.stem in modules:
            raise method_files.taken(path, modules[path.stem])
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
    method_files.check_name(path)
    module, before = f"{method_files.PACKAGE}.{path.stem}", os.environ.get(method_files.VARIABLE)
    others = method_files.listed()
    if others.setdefault(module, path) != path:
        raise method_files.taken(path, others[module])
    sys.modules.pop(module, None)
    os.environ[method_files.VARIABLE] = os.pathsep.join(map(str, others.values()))
    method_modules.cache_clear()
    try:
        load_method(path.stem)
    except ZslbenchError:
        os.environ[method_files.VARIABLE] = before or ""
        method_modules.cache_clear()
        raise
    return path.stem


@cache
def learner_modules() -> dict[str, str]:
    """Return learner name -> module; see `method_modules`."""
    return _modules(LEARNERS)


def _modules(group: str) -> dict[str, str]:
    modules: dict[str, str] = {}
    kind = group.removeprefix("zslbench.").removesuffix("s")
    for point in entry_points(group=group):
        for module in pkgutil.iter_modules(_folders(point.value)):
            if module.name.startswith("_"):
                continue
            if module.name in modules:
                raise ZslbenchError(
                    f"Both {modules[module.name]} and {point.value} bring a {kind} called "
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
    return _only_class(modules[name], Method)  # type: ignore[type-abstract]


def load_learner(name: str) -> type[Learner]:
    """Return the learner class of a name, its module's name.

    Raises:
        ZslbenchError: On an unknown name, with the nearest known one.
    """
    modules = learner_modules()
    if name not in modules:
        raise unknown("learner", name, modules)
    return _only_class(modules[name], Learner)  # type: ignore[type-abstract]


def _only_class(name: str, base: type[Base]) -> type[Base]:
    path = method_files.listed().get(name)
    module = method_files.import_file(name, path) if path else import_module(name)
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
            f"{module.__file__}: a {base.__name__.lower()}'s file holds exactly one "
            f"{base.__name__.lower()} class, this one holds {len(classes)}. Move the others to "
            "files of their own."
        )
    return classes.pop()
