"""Suites: tables as runnable data, one TOML file each; what every kind of them shares."""

import tomllib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from zslbench.data.load import DataRequest
from zslbench.data.texts import read_text
from zslbench.errors import DataError, ZslbenchError, refuse_repeated, unknown
from zslbench.inputs import expanded
from zslbench.studies.groups import title_of
from zslbench.studies.plan import Entry

# What a suite says where a request for data leaves it open.
OPEN = (
    "features",
    "backbone",
    "image_size",
    "frozen_blocks",
    "map",
    "map_size",
    "pair",
    "words",
    "descriptions",
)
FORM = "docs/suites.md shows what a suite may say."


class SuitePart(BaseModel):
    """A part of a suite's file; keys it does not know are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class SuiteRow(SuitePart):
    """One line of the table: a method with settings, and what the table calls it."""

    method: str
    label: str = ""
    settings: dict[str, Any] = Field(default_factory=dict)


class AnySuite(SuitePart):
    """A table.

    Attributes:
        name: Of its file, and of the files that its results are written to.
        title: What the table is.
        source: Where it is published.
        about: What a reader must know: what differs from the published one.
        datasets: As `--dataset` names them, one each.
        seeds: By default 0, 1, 2. A deterministic method gets the first.
        reference: The row that every other's difference is taken from.
        settings: Of all rows whose method has them, unless the row says otherwise.
    """

    name: str
    title: str
    source: str = ""
    about: str = ""
    datasets: list[str] = Field(min_length=1)
    seeds: list[Annotated[int, Field(ge=0)]] = Field(default=[0, 1, 2], min_length=1)
    reference: str = ""
    settings: dict[str, Any] = Field(default_factory=dict)

    @property
    def preface(self) -> str:
        """Its source, and what a reader must know."""
        source = f"After {self.source}." if self.source else ""
        return " ".join(filter(None, (source, " ".join(self.about.split()))))

    def line(self, row: SuiteRow, load: Callable[[str], Any]) -> Entry:
        """Return a row as it is run, from how classes of methods are loaded.

        Raises:
            ZslbenchError: On a method, setting or value that there is not.
        """
        label = row.label or title_of(row.method, row.settings)
        try:
            cls = load(row.method)
            shared = {k: v for k, v in self.settings.items() if k in cls.Config.model_fields}
            config = cls.Config.parse({**shared, **row.settings}, row.method)
        except ZslbenchError as error:
            raise ZslbenchError(f"{self.name}, row {label!r}: {error}") from None
        seeds = self.seeds[:1] if cls.is_deterministic(config) else self.seeds
        return Entry(row.method, config, label, tuple(seeds))

    def requests(self, data: Sequence[DataRequest]) -> list[DataRequest]:
        """Return datasets; what a request leaves open the suite says."""
        told = {key: getattr(self, key) for key in OPEN if hasattr(self, key)}
        return [
            replace(each, **{key: getattr(each, key) or said for key, said in told.items()})
            for each in data
        ]

    def check(self, entries: Sequence[Entry], known: Collection[str]) -> None:
        """Refuse lines of one name or one run, a reference and settings that no line has.

        Args:
            entries: The lines.
            known: What a reference may be.
        """
        refuse_repeated(f"{self.name}: datasets", self.datasets)
        refuse_repeated(f"{self.name}: seeds", self.seeds)
        titles = [entry.label for entry in entries]
        for number, entry in enumerate(entries):
            if titles.count(entry.label) > 1:
                raise ZslbenchError(
                    f"{self.name}: two rows are called {entry.label!r}: rename one."
                )
            for other in entries[:number]:
                if any(same_runs(other, entry, self.datasets)):
                    pair = f"{other.label!r} and {entry.label!r}"
                    raise ZslbenchError(f"{self.name}: {pair} are the same run: remove one.")
        if self.reference and self.reference not in known:
            raise unknown("row", self.reference, known, where=f" in {self.name} to be reference")
        keys = {key for entry in entries for key in type(entry.config).model_fields}
        for key in self.settings:
            if key not in keys:
                raise unknown("setting of any method", key, keys, where=f" in {self.name}")


def same_runs(one: Entry, other: Entry, datasets: Sequence[str]) -> list[bool]:
    """Return whether two lines ask for the same runs, on each of some datasets."""
    return [one.method == other.method and one.on(name) == other.on(name) for name in datasets]


def shipped(*folder: str) -> dict[str, Traversable]:
    """Return name -> file of the suites that come with the package, in a folder of theirs."""
    found = files("zslbench.suites").joinpath(*folder).iterdir()
    named = {p.name.removesuffix(".toml"): p for p in found if p.name.endswith(".toml")}
    return dict(sorted(named.items()))


P = TypeVar("P", bound=SuitePart)


def find_suite(name: str, shipped: Mapping[str, Traversable], kind: str) -> tuple[str, str, str]:
    """Return a suite's name, its text, and where that is from.

    Raises:
        ZslbenchError: If there is none, or its file is no text.
    """
    if not name.endswith(".toml"):
        if name not in shipped:
            raise unknown(kind, name, shipped)
        return name, shipped[name].read_text(encoding="utf-8"), ""
    path = expanded(name)
    return path.stem, read_text(path, missing="Name a suite or its file."), name


def parse_text(kind: type[P], name: str, text: str, where: str = "") -> P:
    """Return what a text holds: a suite of some kind.

    Args:
        kind: Of the suite.
        name: Of the suite.
        text: TOML.
        where: Its file, where it is the user's.

    Raises:
        DataError: If it is none.
        ZslbenchError: On a key that a suite or a part of it does not have, with the nearest one.
    """
    place = where or f"{name}.toml"
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DataError(place, f"is not TOML: {error}", FORM) from None
    if "name" in data:  # it is called as its file is
        raise _no_key("name", kind, f"a suite ({place})")
    try:
        return kind.model_validate({**data, "name": name})
    except ValidationError as error:
        raise _refusal(place, kind, error.errors()) from None


def _refusal(place: str, kind: type[SuitePart], errors: Sequence[Any]) -> ZslbenchError:
    """Return what to say of a text that is no suite: an unknown key first."""
    strange = (error for error in errors if error["type"] == "extra_forbidden")
    first = next(strange, errors[0])
    *path, key = (str(n + 1) if isinstance(n, int) else n for n in first["loc"])
    if first["type"] != "extra_forbidden":
        message = first["msg"][0].lower() + first["msg"][1:]
        return DataError(place, f"{'.'.join([*path, key])}: {message}", FORM)
    model = get_args(kind.model_fields[path[0]].annotation)[0] if path else kind
    return _no_key(key, model, f"{' '.join(path) or 'a suite'} ({place})")


def _no_key(key: str, model: type[SuitePart], where: str) -> ZslbenchError:
    return unknown("key", key, set(model.model_fields) - {"name"}, where=f" in {where}")
