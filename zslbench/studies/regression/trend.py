"""The trend: every value that regression tests tracked, by commit, and where its level changed."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from zslbench.errors import ZslbenchError
from zslbench.records import Measurement
from zslbench.stats import METRICS
from zslbench.stats.changepoints import find_steps
from zslbench.studies.regression.measure import points, title
from zslbench.studies.regression.sides import git
from zslbench.studies.regression.trend_results import Series, ShownStep, Trend

SeriesName = tuple[str, str, str, int]  # title, dataset, data digest, protocol version


def trend(project: Path, measurements: Sequence[Measurement]) -> Trend:
    """Return the series of all methods and datasets along the history of this commit.

    Altered working trees have no place in history and are left out.

    Raises:
        ZslbenchError: If nothing was measured on two commits of it.
    """
    history = git(project, "rev-list", "--topo-order", "--reverse", "HEAD").splitlines()
    place = {commit: number for number, commit in enumerate(history)}
    groups: dict[SeriesName, dict[str, list[Measurement]]] = defaultdict(lambda: defaultdict(list))
    for m in measurements:
        commit = m.environment["commit"]
        if commit in place and m.environment["dirty"] == "no" and not m.repeat:
            name = title(m.method, m.settings), m.dataset, m.data_digest, m.protocol_version
            groups[name][commit].append(m)
    series = [
        found
        for name, by_commit in sorted(groups.items())
        if len(by_commit) > 1
        for found in _series(name, dict(sorted(by_commit.items(), key=lambda kv: place[kv[0]])))
    ]
    if not series:
        raise ZslbenchError(
            "no two commits of this history have been measured: run zslbench regress --against REF "
            "at some, with the same --results."
        )
    return Trend(tuple(series))


def _series(name: SeriesName, by_commit: dict[str, list[Measurement]]) -> list[Series]:
    """Return one series a metric, over the seeds that all commits share, the latest of each."""
    shared = set.intersection(*({m.seed for m in found} for found in by_commit.values()))
    latest = {
        commit: list({m.seed: m for m in sorted(found, key=lambda m: m.created)
                      if m.seed in shared}.values())
        for commit, found in by_commit.items()
    }  # fmt: skip
    if not shared:
        return []
    commits = tuple(latest)
    places = [found[0].environment_digest for found in latest.values()]
    series = []
    for metric in METRICS:
        values = np.array([points(found, metric) for found in latest.values()])
        steps = tuple(
            ShownStep(commits[s.place], s.size, s.p, places[s.place] != places[s.place - 1])
            for s in find_steps(values)
        )
        means = tuple(float(v) for v in values.mean(axis=1))
        series.append(Series(name[0], name[1], metric, commits, means, len(shared), steps))
    return series
