"""What of a plan is done, what failed, what is missing, and how long that may take."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from zslbench.engines.execute import Job
from zslbench.records import Failure, RunRecord, RunSpec
from zslbench.store import Store


@dataclass(frozen=True)
class Status:
    """What the store says of a plan's runs, by their keys; the others are missing.

    Attributes:
        done: Those finished.
        failed: The latest failure of those that raised and have not been finished since.
    """

    done: set[str]
    failed: dict[str, Failure]


@dataclass(frozen=True)
class Estimate:
    """How long some jobs may take, one after the other.

    Attributes:
        seconds: Of those that past runs tell of.
        unknown: How many they tell nothing of.
    """

    seconds: float
    unknown: int

    def __add__(self, other: "Estimate") -> "Estimate":
        return Estimate(self.seconds + other.seconds, self.unknown + other.unknown)


def status_of(jobs: Sequence[Job], store: Store) -> Status:
    """Return what is done and what failed of a plan."""
    keys = {job.spec.key for job in jobs}
    done = keys - store.missing("run", keys)
    return Status(done, store.failures(keys - done))


class PastRuns:
    """Wall times of past runs."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.runs: dict[object, list[RunRecord]] = {}
        for run in store.runs():
            self.runs.setdefault(_kind(run.record.spec), []).append(run.record)

    def estimate(self, jobs: Sequence[Job]) -> Estimate:
        """Return how long jobs may take, from runs of their method, dataset and schedule.

        A choice that is not made yet is counted once for all its seeds.
        """
        choices: set[str] = set()
        total = Estimate(0.0, 0)
        for job in jobs:
            past = self.runs.get(_kind(job.spec))
            if not past:
                total += Estimate(0.0, 1)
                continue
            seconds = np.mean([run.cost.fit_seconds + run.cost.score_seconds for run in past])
            key = job.spec.choice_key
            if key not in choices and self.store.missing("choice", [key]):
                choices.add(key)
                per_fit = [run.choice.seconds / _tuning_fits(run.spec) for run in past]
                seconds += _tuning_fits(job.spec) * np.mean(per_fit)
            total += Estimate(float(seconds), 0)
        return total


def _tuning_fits(spec: RunSpec) -> int:
    return spec.tuning_worlds * spec.tuning_seeds


def _kind(spec: RunSpec) -> tuple[object, ...]:
    return spec.method, spec.dataset, spec.config.get("epochs")
