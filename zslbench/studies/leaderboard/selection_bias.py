"""Inflation of every method: what choosing on test would have added, off the same runs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import TypeAdapter

from zslbench.errors import reading
from zslbench.metrics import Outcome
from zslbench.protocol.rules import epochs_needed
from zslbench.records import RuleName
from zslbench.stats import Interval, over_seeds
from zslbench.stats.selection_bias import CHOSEN, Chosen, Inflation, inflation
from zslbench.store import Stored, artifacts
from zslbench.studies.archive import FIX
from zslbench.studies.groups import SeedGroup

KEPT = "inflation.json"  # in an archive, beside the summaries of a few epochs
KEPT_TYPE = TypeAdapter(dict[Chosen, Inflation])


@dataclass(frozen=True)
class Inflated:
    """A method's H by each rule, and the inflation in points, means over seeds.

    Attributes:
        h: H by rule.
        spread: Standard deviation over seeds of H by the validation rule; None for one
            seed of a method that has use for several.
        optimism: By what is chosen on test.
        regret: Likewise.
    """

    dataset: str
    method: str
    h: dict[str, Interval]
    spread: float | None
    optimism: dict[Chosen, Interval]
    regret: dict[Chosen, Interval]


def inflated(groups: Sequence[SeedGroup]) -> list[Inflated]:
    """Return the inflation of the groups whose runs scored every epoch on test images."""
    return [
        _inflated(group)
        for group in groups
        if group.rule == "validation" and all("published" in r.rules for r in group.records)
    ]


def _inflated(group: SeedGroup) -> Inflated:
    found = [of_run(run) for run in group.runs]
    rules: tuple[RuleName, ...] = ("validation", "last", "published")
    return Inflated(
        group.records[0].spec.dataset,
        group.title,
        {rule: over_seeds([record.h(rule) for record in group.records]) for rule in rules},
        _spread(group.h, deterministic=group.deterministic),
        {c: over_seeds([one[c].optimism for one in found]) for c in found[0]},
        {c: over_seeds([one[c].regret for one in found]) for c in found[0]},
    )


def of_run(run: Stored) -> dict[Chosen, Inflation]:
    """Return what choosing on test adds to a run that scored every epoch.

    Raises:
        DataError: If it comes from an archive, and what that says of it cannot be read.
    """
    kept, record = run.folder / KEPT, run.record
    if kept.exists():
        with reading(kept, "is not what an archive holds", FIX):
            return KEPT_TYPE.validate_json(kept.read_bytes())
    test = artifacts.read_test(run.folder)
    outcomes = {
        epoch: Outcome.of(summary, *test)
        for epoch, summary in artifacts.read_summaries(run.folder).items()
    }
    return inflation(outcomes, record.choice.epoch, record.choice.gamma, record.passes)


def condensed(run: Stored) -> dict[str, bytes]:
    """Return what an archive holds of a run that scored every epoch, in place of all summaries.

    Those of the epochs that tables read, and what choosing on test adds: the other epochs serve
    nothing else, and 250 of them take 5 MB for each thousand images.
    """
    record = run.record
    epochs = epochs_needed(("validation",), record.choice, record.choice.epochs)
    epochs |= {e for rule in record.rules.values() for e in (rule.epoch, rule.t1_epoch)}
    return {
        artifacts.SUMMARIES: artifacts.summaries_of(run.folder, epochs),
        KEPT: KEPT_TYPE.dump_json(of_run(run)),
    }


def _spread(values: Sequence[float], *, deterministic: bool) -> float | None:
    if len(values) == 1:
        return 0.0 if deterministic else None
    return float(np.std(values, ddof=1))


def chosen_in(rows: Sequence[Inflated]) -> list[Chosen]:
    """Return what there was to choose in any of the rows."""
    return [chosen for chosen in CHOSEN if any(chosen in row.optimism for row in rows)]
