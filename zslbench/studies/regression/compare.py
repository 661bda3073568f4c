"""Did accuracy move? Two versions of the code, paired by seed, in tuning worlds alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from zslbench.errors import ZslbenchError
from zslbench.inputs import expanded
from zslbench.protocol.run import Tick, no_tick
from zslbench.stats import METRICS
from zslbench.stats.noninferiority import judge, margin_of
from zslbench.store import Store
from zslbench.studies.regression.baseline import load, measured_of, place_of, spreads_of
from zslbench.studies.regression.measure import (
    FACTS,
    Facts,
    Measured,
    Spreads,
    Subject,
    SubjectName,
    facts_of,
    measure,
    points,
)
from zslbench.studies.regression.results import CommitComparison, ComparedCell
from zslbench.studies.regression.sides import SideError, blamed, install


def regress(
    project: Path,
    against: str,
    suite: str,
    subjects: Sequence[Subject],
    seeds: int,
    least: float,
    store: Store,
    tick: Tick = no_tick,
    after: str | None = None,
) -> CommitComparison:
    """Compare the working tree, or a commit, with a git ref or with a baseline.

    What the two sides cannot be compared by is said before anything is measured.

    Args:
        project: The checkout.
        against: A git ref, or a file whose name ends in `.toml`.
        suite: The name of the subjects, whose baseline says what chance alone moves.
        subjects: What is measured.
        seeds: How many; of a baseline the first ones it has.
        least: The smallest drop that matters, in points.
        store: Keeps what is measured.
        tick: Progress.
        after: A git ref to compare in place of the working tree.

    Raises:
        SideError: Where what is compared cannot be measured or does not compare.
        ZslbenchError: Where the reference cannot be measured, or the request is at fault.
    """
    usual = place_of(project, suite)
    stored = expanded(against) if against.endswith(".toml") else usual
    content = load(stored) if against.endswith(".toml") or usual.exists() else {"cells": []}
    wanted, packages = range(seeds), store.results / "packages"
    with blamed(ZslbenchError):
        if against.endswith(".toml"):
            before = _first(measured_of(content), subjects, wanted, stored)
            expected = _facts(before)
        else:
            reference = install(project, against, packages)
            expected = facts_of(reference, subjects)
    with blamed(SideError):
        now = install(project, after, packages)
        check_comparable(expected, facts_of(now, subjects))
    if not against.endswith(".toml"):
        with blamed(ZslbenchError):
            before = measure(reference, subjects, wanted, store, tick)
    with blamed(SideError):
        found = measure(now, subjects, wanted, store, tick)
        return compare(before, found, spreads_of(content), least, (against, now.name))


def _first(measured: Measured, subjects: Sequence[Subject], seeds: range, path: Path) -> Measured:
    """Return what a baseline has of some seeds."""
    for subject in subjects:
        known = {m.seed for m in measured.get(subject.name, [])}
        if known and not known >= set(seeds):
            raise ZslbenchError(
                f"{path} has {len(known)} seeds of {subject.name[0]}, {len(seeds)} are asked for: "
                f"say --seeds {len(known)} or fewer."
            )
    return {name: [m for m in ms if m.seed in seeds] for name, ms in measured.items()}


def compare(
    before: Measured, now: Measured, spreads: Spreads, least: float, names: tuple[str, str]
) -> CommitComparison:
    """Test every cell: subject x metric.

    Args:
        before: Of the reference.
        now: Of this commit, of the same seeds.
        spreads: What chance alone moves, in points, by subject.
        least: The smallest drop that matters, in points.
        names: What the two sides are called.

    Raises:
        ZslbenchError: Where the two do not compare: other data, protocol, seeds.
    """
    cells, drops = [], []
    check_comparable(_facts(before), _facts(now))
    for subject, ours in now.items():
        theirs = before[subject]
        if [m.seed for m in theirs if not m.repeat] != [m.seed for m in ours if not m.repeat]:
            raise ZslbenchError(
                f"{subject[0]} on {subject[1]}: the two sides have other seeds; a baseline has "
                "those it says."
            )
        for metric in METRICS:
            was, is_ = points(theirs, metric), points(ours, metric)
            margin = margin_of(least, spreads.get(subject, {}).get(metric, 0.0), len(was))
            cells.append((subject, metric, float(np.mean(was)), float(np.mean(is_)), margin))
            drops.append([a - b for a, b in zip(was, is_, strict=True)])
    tested = judge(drops, [cell[-1] for cell in cells])
    seeds = sorted({m.seed for ours in now.values() for m in ours})
    return CommitComparison(
        before=names[0],
        now=names[1],
        seeds=tuple(seeds),
        cells=tuple(
            ComparedCell(*subject, metric, was, is_, test)
            for (subject, metric, was, is_, _), test in zip(cells, tested, strict=True)
        ),
    )


def _facts(measured: Measured) -> dict[SubjectName, Facts]:
    first = {name: found[0] for name, found in measured.items() if found}
    return {name: {fact: getattr(m, fact) for fact in FACTS} for name, m in first.items()}


def check_comparable(before: Mapping[SubjectName, Facts], now: Mapping[SubjectName, Facts]) -> None:
    """Refuse to compare what differs in more than the code.

    Raises:
        ZslbenchError: With what differs.
    """
    for subject, ours in now.items():
        what = f"{subject[0]} on {subject[1]}"
        if subject not in before:
            raise ZslbenchError(f"{what} was not measured in the reference: compare another suite.")
        for name, label in FACTS.items():
            both = before[subject][name], ours[name]
            if both[0] != both[1]:
                shown = " and ".join(str(value)[:12] for value in both)
                raise ZslbenchError(
                    f"{what}: the {label} differ ({shown}), so that their accuracies do not "
                    "compare. Take a reference after the change, or move the baseline: "
                    "zslbench baseline update."
                )
