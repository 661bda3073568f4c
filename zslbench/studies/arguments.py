"""What callers may write for an argument of the API: one check of each, before anything is done."""

import inspect
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from numbers import Integral
from pathlib import Path
from typing import Any, ParamSpec, TypeGuard, TypeVar

from zslbench.data.load import DataRequest
from zslbench.data.provide import DataSource
from zslbench.errors import ZslbenchError, refuse_repeated, unknown
from zslbench.inputs import expanded
from zslbench.method import Method
from zslbench.method.registry import method_modules, register_file
from zslbench.studies.session import EngineChoice

P = ParamSpec("P")
R = TypeVar("R")
MethodName = str | Path | type[Method]
Data = str | DataSource | DataRequest
Seeds = int | Sequence[int] | None
BOUNDS: dict[str, tuple[int, int | None]] = {
    "worlds": (1, 20), "jobs": (1, None), "trials": (1, None), "tune": (0, None), "top": (0, None),
    "points": (1, None), "seed": (0, None), "tuning_seeds": (1, 20), "image_size": (1, None),
    "frozen_blocks": (1, None),
}  # fmt: skip


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """Refuse, before a function is called, an argument it has not and a number out of bounds."""
    signature = inspect.signature(function)
    own = signature.parameters
    known = {**own, **EngineChoice.__annotations__}

    @wraps(function)
    def call(*args: P.args, **given: P.kwargs) -> R:
        for name in given.keys() - known:
            raise unknown(f"argument of {function.__name__}", name, known)
        for name, value in {**signature.bind(*args, **given).arguments, **given}.items():
            optional = name not in own or own[name].default is None
            if name in BOUNDS and not (value is None and optional):
                check_whole(name, value, *BOUNDS[name])
        return function(*args, **given)

    return call


def check_whole(name: str, value: Any, low: int, high: int | None = None) -> None:
    """Refuse what is no whole number within bounds, both included.

    Raises:
        ZslbenchError: With the argument's name.
    """
    if not _whole(value) or value < low or (high is not None and value > high):
        bounds = f"from {low} on" if high is None else f"from {low} to {high}"
        raise ZslbenchError(f"{name}={value!r}: give a whole number {bounds}.")


def _whole(value: Any) -> TypeGuard[int]:
    return isinstance(value, Integral) and not isinstance(value, bool)


def listed(what: str, values: Any, *, empty: bool = False) -> list[Any]:
    """Return several values as a list; one alone need not be written as one.

    Args:
        what: The argument's name.
        values: A value, or several.
        empty: Whether it may be none.

    Raises:
        ZslbenchError: If there is none.
    """
    alone = isinstance(values, str) or not isinstance(values, Iterable)
    found = [values] if alone else list(values)
    if not found and not empty:
        raise ZslbenchError(f"{what}={values!r} names nothing: name one, or leave {what} out.")
    refuse_repeated(what, found)
    return found


def method_name(method: MethodName) -> str:
    """Return what a method is called by; a file becomes a method here.

    Raises:
        ZslbenchError: If a class is in no file of its own, or a file holds no method.
    """
    if isinstance(method, type):
        names = {module: name for name, module in method_modules().items()}
        if method.__module__ in names:
            return names[method.__module__]
        if method.__module__ == "__main__":
            raise ZslbenchError(
                f"{method.__name__} is part of a notebook or script, which no other process can "
                "import. Put it in a file of its own, and import it from there."
            )
        method = Path(inspect.getfile(method))
    if not isinstance(method, str | Path):
        raise ZslbenchError(f"{method!r} is no method: give its name, its class or its file.")
    if isinstance(method, Path) or method.endswith(".py"):
        return register_file(expanded(method))
    return method


def method_names(methods: MethodName | Sequence[MethodName]) -> list[str]:
    """Return what methods are called by."""
    names = [method_name(each) for each in listed("methods", methods)]
    refuse_repeated("methods", names)
    return names


def incremental_names(methods: str | Sequence[str]) -> list[str]:
    """Return names of incremental methods.

    Raises:
        ZslbenchError: On a class or a file, which other processes could not find.
    """
    names = listed("methods", methods)
    for name in names:
        if not isinstance(name, str) or name.endswith(".py"):
            raise ZslbenchError(
                f"{name}: an incremental method is called by its name, and found in a package "
                "(docs/task_sequences.md), not in a file."
            )
    return names


def request_of(data: Data) -> DataRequest:
    """Return the request for a dataset.

    Raises:
        ZslbenchError: If it is neither a dataset nor the name of one.
    """
    if isinstance(data, DataSource):
        return data.request
    if isinstance(data, str):
        return DataRequest(data, Path("data"))
    if not isinstance(data, DataRequest):
        raise no_dataset(data)
    return data


def no_dataset(data: object) -> ZslbenchError:
    """Return the error for what is neither a dataset nor the name of one."""
    return ZslbenchError(
        f"{data!r} is no dataset: give its name, or what load_dataset(name, root) returns."
    )


def requests_of(data: Data | Sequence[Data]) -> list[DataRequest]:
    """Return the requests for datasets."""
    return [request_of(each) for each in listed("data", data)]


def seed_list(seeds: Seeds) -> list[int] | None:
    """Return the seeds meant: the first so many, or those named.

    Raises:
        ZslbenchError: If they are no seeds.
    """
    if seeds is None:
        return None
    named = list(range(seeds)) if _whole(seeds) else listed("seeds", seeds, empty=True)
    if not named or not all(_whole(seed) and seed >= 0 for seed in named):
        raise ZslbenchError(f"seeds={seeds!r}: name a number of seeds, or whole numbers from 0.")
    return sorted(map(int, named))
