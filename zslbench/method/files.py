"""Methods in files anywhere, each called as its file: `--method-file my_method.py`.

An environment variable lists the files, so that processes and nodes that work for this one know
them too; whoever sets it has them in every command.
"""

import os
import sys
import traceback
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from zslbench.errors import ZslbenchError

VARIABLE = "ZSLBENCH_METHOD_FILES"
PACKAGE = "zslbench_method_files"


def listed() -> dict[str, Path]:
    """Return module -> file of what the environment lists.

    Raises:
        ZslbenchError: If two files there have one name.
    """
    found: dict[str, Path] = {}
    for name in filter(None, os.environ.get(VARIABLE, "").split(os.pathsep)):
        path = Path(name).resolve()
        if found.setdefault(f"{PACKAGE}.{path.stem}", path) != path:
            raise taken(path, found[f"{PACKAGE}.{path.stem}"])
    return found


def taken(path: Path, other: object) -> ZslbenchError:
    """Return the error for a file whose name is another method's."""
    return ZslbenchError(
        f"{path}: there is a method {path.stem!r} already ({other}). Rename the file."
    )


def check_name(path: Path) -> None:
    """Refuse a file that is not there, or by whose name no method can be called.

    Raises:
        ZslbenchError: With the file.
    """
    if not path.is_file():
        raise ZslbenchError(
            f"{path}: there is no such file. Name the Python file of a method, and see that "
            f"{VARIABLE} lists none that is gone."
        )
    plain = path.suffix == ".py" and path.stem.isidentifier() and not path.stem.startswith("_")
    if not plain or os.pathsep in str(path):
        raise ZslbenchError(
            f"{path}: a method is called as its file, and this is no name for one. Use letters, "
            f"digits and underscores, such as my_method.py, in a folder without {os.pathsep!r}."
        )


def import_file(name: str, path: Path) -> ModuleType:
    """Return a file's module, imported once in each process.

    Raises:
        ZslbenchError: If it is not there, or does not import, with the line.
    """
    if name in sys.modules:
        return sys.modules[name]
    check_name(path)
    spec = spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = sys.modules[name] = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise ZslbenchError(f"{path}{_said(error, path)}. Fix the file.") from error
    return module


def _said(error: BaseException, path: Path) -> str:
    """Return in one line what went wrong in a file, and in which of its lines."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        line, words = error.lineno, error.msg
    else:
        frames = traceback.extract_tb(error.__traceback__)
        line = next((f.lineno for f in reversed(frames) if f.filename == str(path)), None)
        words = " ".join(str(error).split())
    if isinstance(error, ImportError) and error.name == PACKAGE:
        words = "a relative import, but the file stands alone"
    where = f", line {line}" if line else ""
    return f"{where}: does not import ({type(error).__name__}: {words})"
