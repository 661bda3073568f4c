"""Measurements: what regression tests compare. Methods by seed, in tuning worlds alone."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from zslbench.data.load import DataRequest
from zslbench.environment import environment
from zslbench.protocol.run import Tick, no_tick
from zslbench.records import Measurement, digest, now
from zslbench.stats import METRICS, Metric
from zslbench.store import Store
from zslbench.studies.leaderboard.plan.suite import read_suite
from zslbench.studies.regression.sides import Side, ask, environment_digest


@dataclass(frozen=True)
class Subject:
    """What is measured: a method with settings on a dataset."""

    method: str
    data: DataRequest
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> tuple[str, str]:
        """What the same subject is found by on the other side: its title, and its dataset."""
        return title(self.method, self.settings), self.data.name

    def request(self) -> dict[str, Any]:
        """Return it as the worker reads it."""
        data = {k: v for k, v in asdict(self.data).items() if v is not None}
        plain = {k: str(v) if isinstance(v, Path) else v for k, v in data.items()}
        return {"method": self.method, "settings": self.settings, "data": plain}


def title(method: str, settings: Mapping[str, Any]) -> str:
    """Return a method with its settings, as tables show it."""
    return " ".join([method, *(f"{key}={value}" for key, value in sorted(settings.items()))])


def subjects_of(name: str, root: Path) -> list[Subject]:
    """Return what a suite measures: its rows on its datasets; its seeds and worlds do not count.

    Raises:
        ZslbenchError: If there is no such suite, or it is not as it should be.
    """
    suite = read_suite(name)
    seen_by = suite.model_dump(
        include={"features", "backbone", "image_size", "frozen_blocks", "map", "pair", "words"}
    )
    return [
        Subject(row.method, DataRequest(dataset, root, **seen_by), row.config.changed())
        for dataset in suite.datasets
        for row in suite.entries()
    ]


SubjectName = tuple[str, str]  # title, dataset
Measured = dict[SubjectName, list[Measurement]]
Spreads = Mapping[SubjectName, Mapping[Metric, float]]
Facts = Mapping[str, Any]
FACTS = {
    "data_digest": "data digests",
    "protocol_version": "protocol versions",
    "measure_version": "versions of the measurement",
}


def measure(
    side: Side,
    subjects: Sequence[Subject],
    seeds: Sequence[int],
    store: Store,
    tick: Tick = no_tick,
    repeats: Sequence[int] = (0,),
) -> Measured:
    """Measure what is missing of a side; return all of it, by subject.

    What the same code has measured before, in the same environment, is not measured again, but
    noted under this side's commit too; what is measured is committed at once.
    """
    store.check()
    code = side.code
    known = [
        m
        for m in store.measurements()
        if m.code == code and m.environment_digest == environment_digest(m.environment["device"])
    ]
    keys = {m.key for m in known}
    found: Measured = defaultdict(list)
    total = len(subjects) * len(seeds) * len(repeats)
    answers = measurements_of(side, subjects, seeds, repeats, known)
    for done, (name, record) in enumerate(answers, start=1):
        if record.key not in keys:
            store.commit(record)
        found[name].append(record)
        tick(f"measuring {side.name}", done, total)
    store.sync()
    return found


def measurements_of(
    side: Side,
    subjects: Sequence[Subject],
    seeds: Sequence[int],
    repeats: Sequence[int] = (0,),
    known: Sequence[Measurement] = (),
) -> Iterator[tuple[tuple[str, str], Measurement]]:
    """Yield each measurement with its subject's name, those that are known too.

    Raises:
        SideError: If the side breaks.
    """
    code = side.code
    by_place = {(m.choice_key, m.seed, m.repeat, m.environment["device"]): m for m in known}
    for answer in ask(side.folder, _request(subjects, seeds, repeats, list(by_place))):
        subject = subjects[answer.pop("cell")]
        device = answer.pop("device", environment()["device"])  # older commits do not say
        before = by_place.get((answer["choice_key"], answer["seed"], answer["repeat"], device))
        about = before.model_dump() if before else {**answer, "created": now()}
        yield subject.name, _record(about, side, code, device)


def facts_of(side: Side, subjects: Sequence[Subject]) -> dict[SubjectName, Facts]:
    """Return what each subject is on a side, before anything of it is fitted.

    An older commit that does not state it tells it with the first seed that it measures.

    Raises:
        SideError: If the side breaks.
    """
    found: dict[SubjectName, Facts] = {}
    for answer in ask(side.folder, {**_request(subjects, [0]), "stated": True}):
        found[subjects[answer["cell"]].name] = {name: answer[name] for name in FACTS}
        if len(found) == len(subjects):
            break
    return found


def _request(
    subjects: Sequence[Subject],
    seeds: Sequence[int],
    repeats: Sequence[int] = (0,),
    known: Sequence[tuple[Any, ...]] = (),
) -> dict[str, Any]:
    cells = [subject.request() for subject in subjects]
    return {"cells": cells, "seeds": [*seeds], "repeats": [*repeats], "known": [*known]}


def _record(about: Mapping[str, Any], side: Side, code: str, device: str) -> Measurement:
    """Return what was measured, now or before, as a measurement of this side's commit."""
    tags = {"commit": side.commit, "dirty": "yes" if side.dirty else "no"}
    place, where = [about["choice_key"], about["seed"], about["repeat"]], environment_digest(device)
    return Measurement.model_validate({
        **about,
        "key": digest([*place, code, where, *tags.values()]),
        "code": code,
        "environment": {**environment(), **tags, "device": device},
        "environment_digest": where,
    })  # fmt: skip


def points(measurements: Sequence[Measurement], metric: Metric, repeat: int = 0) -> list[float]:
    """Return a metric by seed, in points: AUSUC too is in percent here."""
    chosen = sorted((m for m in measurements if m.repeat == repeat), key=lambda m: m.seed)
    return [unit(metric) * getattr(m.scores, metric) for m in chosen]


def unit(metric: Metric) -> float:
    """Return how many points one is: AUSUC is kept in [0, 1]."""
    return 100.0 if metric == "ausuc" else 1.0


def spread_of(measurements: Sequence[Measurement]) -> dict[Metric, float]:
    """Return what chance alone moves: the deviation of repeat 1 minus repeat 0 over seeds.

    The two are exchangeable, so that the mean is known to be 0 and not taken from the seeds.
    """
    found: dict[Metric, float] = {}
    for metric in METRICS:
        gaps = np.subtract(points(measurements, metric, 1), points(measurements, metric))
        found[metric] = float(np.sqrt(np.mean(gaps**2)))
    return found
