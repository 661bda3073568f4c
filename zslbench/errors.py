"""The errors a user can cause, each one paragraph: which file, which value, how to fix it."""

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


class ZslbenchError(Exception):
    """Something the user can fix; the command line prints it plainly and exits with status 2."""


class DataError(ZslbenchError):
    """A dataset, feature file, class list or word table that cannot be used as it is.

    Args:
        where: The file or folder at fault.
        what: What was found there, with the value.
        fix: What the user can do about it.
    """

    def __init__(self, where: object, what: str, fix: str) -> None:
        self.where, self.what, self.fix = str(where), what, fix
        super().__init__(f"{where}: {what}. {fix}")


@contextmanager
def reading(
    path: Path, failing: str, fix: str, *kinds: type[Exception], missing: str = ""
) -> Iterator[None]:
    """Turn what goes wrong while a file is read into a `DataError`.

    Args:
        path: The file.
        failing: What to say where it cannot be read.
        fix: What to do then.
        kinds: Exceptions that a reader raises beside `OSError` and `ValueError`.
        missing: What to do where there is no such file, if it is something else.
    """
    faults: tuple[type[Exception], ...] = (OSError, ValueError, *kinds)
    try:
        yield
    except FileNotFoundError:
        raise DataError(path, "there is no such file", missing or fix) from None
    except faults as error:
        reason = " ".join((str(error) or type(error).__name__).split())[:120].rstrip(". ")
        raise DataError(path, f"{failing} ({reason})", fix) from error


def refuse_repeated(what: str, values: Iterable[object]) -> None:
    """Refuse a list that names something twice.

    Raises:
        ZslbenchError: With what stands there twice.
    """
    known: list[object] = []
    for value in values:
        if value in known:
            raise ZslbenchError(f"{what} names {value} twice: leave out one of the two.")
        known.append(value)


def unknown(kind: str, name: str, known: Iterable[str], where: str = "") -> ZslbenchError:
    """Return the error for a name that does not exist, with the nearest one that does."""
    names = sorted(known)
    by_folded = {known_name.casefold(): known_name for known_name in names}
    near = difflib.get_close_matches(name.casefold(), by_folded, n=1, cutoff=0.5)
    hint = f" Did you mean {by_folded[near[0]]!r}?" if near else ""
    listing = ", ".join(names) or "none"
    return ZslbenchError(f"There is no {kind} {name!r}{where}.{hint} Known: {listing}.")
