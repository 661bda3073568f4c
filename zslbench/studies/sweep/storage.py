"""Where the study of a sweep is kept, and what is refused there."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from zslbench.errors import DataError, ZslbenchError
from zslbench.studies.sweep.contrast import contrasts
from zslbench.studies.sweep.plan import SweepPlan
from zslbench.studies.sweep.sampling import pruner

if TYPE_CHECKING:
    import optuna

CONNECT_SECONDS = 10
TABLE_TRIES = 20
TABLE_PAUSE = 0.1  # seconds


def open_study(plan: SweepPlan, results: Path, url: str | None) -> "optuna.Study":
    """Return the study of a sweep, made where there is none.

    Args:
        plan: The sweep.
        results: The results folder.
        url: A database; by default a journal file in the results folder.

    Raises:
        ZslbenchError: If the place cannot be reached, or the study there is of another search.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    journal = results / "sweeps" / f"{plan.name}.journal"
    try:
        study = _found(plan, _storage(journal, url))
        begun = study.get_trials(deepcopy=False)  # before its attributes: they are set first
        known, upwards = study.user_attrs, study.direction.name == "MAXIMIZE"
    except Exception as error:  # what drivers and broken files raise is not of one kind
        raise _refusal(journal, url, error) from error
    others = " and another ".join(contrasts(known, plan.about))
    if others:
        raise ZslbenchError(
            f"The sweep {plan.name} exists with another {others}. Ask for the same again to go on "
            "with it, or start another one with --name."
        )
    missing = plan.about.keys() - known.keys()
    older = any(t.state.name == "FAIL" and "error" not in t.user_attrs for t in begun)
    if (begun and missing) or older or not upwards:
        raise ZslbenchError(
            f"The study {plan.name} exists and is none of zslbench's, or of an older version. "
            "Start another one with --name."
        )
    for name in missing:
        study.set_user_attr(name, plan.about[name])
    return study


def _found(plan: SweepPlan, place: "optuna.storages.BaseStorage") -> "optuna.Study":
    import optuna

    with suppress(optuna.exceptions.DuplicatedStudyError):  # another process makes it now
        if plan.name not in optuna.get_all_study_names(place):
            optuna.create_study(study_name=plan.name, storage=place, direction="maximize")
    return optuna.load_study(study_name=plan.name, storage=place, pruner=pruner(plan))


@lru_cache(maxsize=4)
def _storage(journal: Path, url: str | None) -> "optuna.storages.BaseStorage":
    from optuna import storages
    from optuna.storages.journal import JournalFileBackend

    if url is None:
        journal.parent.mkdir(parents=True, exist_ok=True)
        # Optuna's own lock outlives a process that is killed; all others then wait for 30 s.
        lock: Any = FileLock(journal.with_name(f".{journal.stem}.lock"))
        return storages.JournalStorage(JournalFileBackend(str(journal), lock))
    return storages.get_storage(_database(url))


def _database(url: str) -> "optuna.storages.RDBStorage":
    """Connect to a database; to PostgreSQL through psycopg 3, and not waiting long."""
    from optuna.storages import RDBStorage
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import DBAPIError, IntegrityError

    parsed, options = make_url(url), None
    if parsed.get_backend_name() == "postgresql":
        options = {"connect_args": {"connect_timeout": CONNECT_SECONDS}}
    if parsed.drivername == "postgresql":
        url = parsed.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
    for _ in range(TABLE_TRIES):  # of processes that make tables at once, all but one ask again
        try:
            return RDBStorage(url, engine_kwargs=options)
        except DBAPIError as error:
            if not isinstance(error, IntegrityError) and "already exists" not in str(error.orig):
                raise
        time.sleep(TABLE_PAUSE)
    return RDBStorage(url, engine_kwargs=options)


@contextmanager
def within_reach(url: str | None) -> Iterator[None]:
    """Say in a paragraph that the database of a study went away while it was at work.

    Raises:
        ZslbenchError: If it did.
    """
    if url is None:
        yield
        return
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (StorageInternalError, SQLAlchemyError) as error:
        cause = error.__cause__ or error
        raise ZslbenchError(
            f"--storage {_shown(url)}: it went away in the middle of the sweep "
            f"({_first_line(cause)}). Once it is reachable again, run the same command to resume."
        ) from error


def _shown(url: str) -> str:
    """Return a URL without its password."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        return url


def _refusal(journal: Path, url: str | None, error: Exception) -> ZslbenchError:
    if url is not None:
        return ZslbenchError(f"--storage {_shown(url)}: {_reason(url, error)}")
    line = _broken_line(journal)
    if line is None:
        fix = "Make sure that it can be read and written."
        return DataError(journal, f"cannot be used ({type(error).__name__}: {error})", fix)
    return DataError(
        journal,
        f"line {line} is not what Optuna wrote there",
        f"Remove the lines from {line} on to keep the trials before, or move the file away "
        "to start over; records of finished trials are kept elsewhere.",
    )


def _broken_line(journal: Path) -> int | None:
    """Return the first line of a journal that is no entry."""
    with suppress(OSError):
        for number, line in enumerate(journal.read_bytes().splitlines(), start=1):
            try:
                if "op_code" in json.loads(line):
                    continue
            except (ValueError, TypeError):
                pass
            return number
    return None


def _reason(url: str, error: Exception) -> str:
    if isinstance(error, ImportError):
        driver = "'zslbench[postgres]'" if url.startswith("postgresql") else "its driver"
        return f"the driver of this database is not installed. Do pip install {driver}."
    return (
        f"Optuna cannot use it ({_first_line(error)}). Name a database that can be reached from "
        "here, such as sqlite:///sweeps.db or postgresql://USER@HOST/NAME; if this one was "
        "reachable before, run the same command again later to resume."
    )


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0]
