"""Which numbers are the best and second best of their dataset and rule."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Literal

from zslbench.report.numbers import number
from zslbench.stats import METRICS, Metric
from zslbench.studies.leaderboard.results import Row

Place = Literal["best", "second"]
Podium = dict[tuple[int, Metric], Place]


def podium(rows: Sequence[Row]) -> Podium:
    """Return the places taken, by the row's position and metric.

    Values are compared as they are printed, so that equal numbers share a place. What is set apart
    takes none, and where fewer than two rows compete there is none to take.
    """
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for position, row in enumerate(rows):
        if not row.set_apart:
            groups[row.table, row.rule].append(position)
    places: Podium = {}
    for members in groups.values():
        if len(members) > 1:
            for metric in METRICS:
                places |= _places(rows, members, metric)
    return places


def _places(rows: Sequence[Row], members: Sequence[int], metric: Metric) -> Podium:
    printed = {member: float(number(metric, rows[member].value(metric))) for member in members}
    levels: dict[float, Place] = dict(
        zip(sorted(set(printed.values()), reverse=True), ("best", "second"), strict=False)
    )
    return {(m, metric): levels[value] for m, value in printed.items() if value in levels}
