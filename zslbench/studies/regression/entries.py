"""Exact numbers as they are stored: a file a method, in it what was measured, where and why.

They lie in `results/baselines/exact/<method>.toml`; those of incremental methods in
`incremental/<name>.toml` below it, which is also what they are called here. Entries are only ever
added: of another version, or of another arithmetic. None is changed, so that numbers of several
machines stand side by side.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from zslbench.errors import DataError
from zslbench.studies.regression.baseline import FOLDER, load, write

EXACT = FOLDER / "exact"
INCREMENTAL = "incremental/"


class Numbers(BaseModel):
    """What was measured of one method, in one version of it and in one arithmetic.

    Attributes:
        closed_form: Whether it is solved in float64, on features without rounding.
        fingerprint: What last bits depend on.
        values: Losses, scores and accuracies by name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int
    protocol_version: int
    closed_form: bool
    fingerprint: dict[str, str]
    values: dict[str, list[float]]


class ExactEntry(Numbers):
    """Numbers that are stored.

    Attributes:
        commit: The commit that was checked out when they were measured.
    """

    date: str
    commit: str
    reason: str


AnyNumbers = TypeVar("AnyNumbers", bound=Numbers)


def numbers_of(answer: Mapping[str, Any]) -> dict[str, Numbers]:
    """Return by name what `measure_exact` answers."""
    common = {key: answer[key] for key in ("protocol_version", "fingerprint")}
    incremental = {f"{INCREMENTAL}{name}": found for name, found in answer["incremental"].items()}
    measured = {**answer["methods"], **incremental}
    return {name: Numbers(**common, **found) for name, found in measured.items()}


def load_entries(project: Path) -> dict[str, list[ExactEntry]]:
    """Return what is stored, by name, the oldest first.

    Raises:
        DataError: If a file cannot be read, or was changed by hand.
    """
    folder = project / EXACT
    paths = sorted(folder.rglob("*.toml"))
    return {path.relative_to(folder).with_suffix("").as_posix(): _read(path) for path in paths}


def _read(path: Path) -> list[ExactEntry]:
    content = load(path)
    try:
        return [ExactEntry.model_validate(entry) for entry in content["entries"]]
    except (KeyError, ValidationError) as error:
        fix = "Restore it, or store the method's numbers again: zslbench baseline add."
        raise DataError(path, f"holds no exact numbers ({error})", fix) from None


def append(project: Path, name: str, entry: ExactEntry) -> Path:
    """Store one entry more; return its file."""
    path = project / EXACT / f"{name}.toml"
    entries = [*(_read(path) if path.exists() else []), entry]
    write(path, {"entries": [each.model_dump() for each in entries]})
    return path


def to_hold_against(stored: Sequence[AnyNumbers], found: Numbers) -> AnyNumbers | None:
    """Return the stored numbers to compare with: of this version, and if possible from here.

    The latest ones of the same arithmetic; where there are none, the latest from elsewhere.
    """
    version = (found.version, found.protocol_version)
    known = [entry for entry in stored if (entry.version, entry.protocol_version) == version]
    here = [entry for entry in known if entry.fingerprint == found.fingerprint]
    return next(iter((here or known)[-1:]), None)
