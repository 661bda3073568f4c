"""Did accuracy move? Two versions of the code, paired by seed, in tuning worlds alone."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from zslbench.data.load import DataRequest
from zslbench.errors import ZslbenchError
from zslbench.noninferiority import judge, margin_of
from zslbench.records import Measurement, Scores, digest
from zslbench.report.regression import Comparison, ComparedCell
from zslbench.run import Tick, no_tick
from zslbench.stats import METRICS, Metric
from zslbench.studies.sides import Side, ask, environment_digest
from zslbench.tracking import Store

DATA = "plumage:classes=24,unseen=4,images_per_class=12,clutter=0,spurious=0"
BRIEF = {"epochs": 3, "batch_size": 16, "lr": 0.01, "backbone_lr": 0.0, "augment": False}
QUICK = (("eszsl", {}), ("ale", {}), ("svip", BRIEF))

Spreads = Mapping[tuple[str, str], Mapping[Metric, float]]


@dataclass(frozen=True)
class Entry:
    """What is measured: a method with settings on a dataset."""

    method: str
    data: DataRequest
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> tuple[str, str]:
        """What the same entry is found by on the other side: its title, and its dataset."""
        return title(self.method, self.settings), self.data.name

    def request(self) -> dict[str, Any]:
        """Return it as the worker reads it."""
        data = {k: v for k, v in asdict(self.data).items() if v is not None}
        plain = {k: str(v) if isinstance(v, Path) else v for k, v in data.items()}
        return {"method": self.method, "settings": self.settings, "data": plain}


def title(method: str, settings: Mapping[str, Any]) -> str:
    """Return a method with its settings, as tables show it."""
    return " ".join([method, *(f"{key}={value}" for key, value in sorted(settings.items()))])


def quick_entries(root: Path) -> list[Entry]:
    """Return what is compared where no suite is named: a minute or two on two cores."""
    return [Entry(method, DataRequest(DATA, root), dict(settings)) for method, settings in QUICK]


Measured = dict[tuple[str, str], list[Measurement]]


def measure(
    side: Side,
    entries: Sequence[Entry],
    seeds: Sequence[int],
    store: Store,
    tick: Tick = no_tick,
    repeats: Sequence[int] = (0,),
) -> Measured:
    """Measure what is missing of a side; return all of it, by entry.

    What the same code has measured before, in the same environment, is not measured again; what is
    measured is committed at once.
    """
    code, where = side.code, environment_digest()
    known = {
        (m.choice_key, m.seed, m.repeat): m
        for m in store.measurements()
        if (m.code, m.environment_digest) == (code, where)
    }
    request = {
        "cells": [entry.request() for entry in entries],
        "seeds": list(seeds),
        "repeats": list(repeats),
        "known": [list(key) for key in known],
    }
    found: Measured = defaultdict(list)
    total = len(entries) * len(seeds) * len(repeats)
    for done, answer in enumerate(ask(side.folder, request), start=1):
        entry = entries[answer.pop("cell")]
        place = answer["choice_key"], answer["seed"], answer["repeat"]
        record = known.get(place) or _record(answer, side, code, where)
        if place not in known:
            store.commit(record)
            known[place] = record
        found[entry.name].append(record)
        tick(f"measuring {side.name}", done, total)
    store.sync()
    return found


def _record(answer: dict[str, Any], side: Side, code: str, where: str) -> Measurement:
    from zslbench.environment import environment

    place = [answer["choice_key"], answer["seed"], answer["repeat"]]
    tags = {"commit": side.commit, "dirty": "yes" if side.dirty else "no"}
    return Measurement(
        key=digest([*place, code, side.commit, where]),
        code=code,
        environment={**environment(), **tags},
        environment_digest=where,
        **{**answer, "scores": Scores(**answer["scores"])},
    )


def points(measurements: Sequence[Measurement], metric: Metric, repeat: int = 0) -> list[float]:
    """Return a metric by seed, in points: AUSUC too is in percent here."""
    chosen = sorted((m for m in measurements if m.repeat == repeat), key=lambda m: m.seed)
    unit = 100.0 if metric == "ausuc" else 1.0
    return [unit * getattr(m.scores, metric) for m in chosen]


def spread_of(measurements: Sequence[Measurement]) -> dict[Metric, float]:
    """Return what chance alone moves: the deviation of repeat 1 minus repeat 0 over seeds."""
    return {
        metric: float(
            np.std(np.subtract(points(measurements, metric, 1), points(measurements, metric)),
                   ddof=1)
        )
        for metric in METRICS
    }  # fmt: skip


def compare(
    before: Measured, now: Measured, spreads: Spreads, least: float, names: tuple[str, str]
) -> Comparison:
    """Test every cell: entry x metric.

    Args:
        before: Of the reference.
        now: Of this commit, of the same seeds.
        spreads: What chance alone moves, in points, by entry.
        least: The smallest drop that matters, in points.
        names: What the two sides are called.

    Raises:
        ZslbenchError: Where the two do not compare: other data, protocol, seeds.
    """
    cells, drops = [], []
    for entry, ours in now.items():
        theirs = before.get(entry, [])
        check_comparable(entry, theirs, ours)
        for metric in METRICS:
            was, is_ = points(theirs, metric), points(ours, metric)
            margin = margin_of(least, spreads.get(entry, {}).get(metric, 0.0))
            cells.append((entry, metric, float(np.mean(was)), float(np.mean(is_)), margin))
            drops.append([a - b for a, b in zip(was, is_, strict=True)])
    tested = judge(drops, [cell[-1] for cell in cells])
    seeds = sorted({m.seed for ours in now.values() for m in ours})
    return Comparison(
        before=names[0],
        now=names[1],
        seeds=tuple(seeds),
        cells=tuple(
            ComparedCell(*entry, metric, was, is_, test)
            for (entry, metric, was, is_, _), test in zip(cells, tested, strict=True)
        ),
    )


def check_comparable(
    entry: tuple[str, str], theirs: Sequence[Measurement], ours: Sequence[Measurement]
) -> None:
    """Refuse to compare what differs in more than the code.

    Raises:
        ZslbenchError: With what differs.
    """
    what = f"{entry[0]} on {entry[1]}"
    if not theirs:
        raise ZslbenchError(f"{what} was not measured in the reference: compare another suite.")
    for name, label in (
        ("data_digest", "data digests"),
        ("protocol_version", "protocol versions"),
        ("measure_version", "versions of the measurement"),
    ):
        both = getattr(theirs[0], name), getattr(ours[0], name)
        if both[0] != both[1]:
            shown = " and ".join(str(value)[:12] for value in both)
            raise ZslbenchError(
                f"{what}: the {label} differ ({shown}), so that their accuracies do not compare. "
                "Take a reference after the change, or move the baseline: zslbench baseline update."
            )
    if [m.seed for m in theirs if not m.repeat] != [m.seed for m in ours if not m.repeat]:
        raise ZslbenchError(f"{what}: the two sides have other seeds; a baseline has those it says.")
