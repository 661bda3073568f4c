"""What stands behind a row: its curve, its accuracy on each class, its cost, its provenance."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from zslbench.metrics import Float, Outcome
from zslbench.records import Choice, RunRecord
from zslbench.report.curves import MeanCurve, mean_curve
from zslbench.studies.groups import SUBMITTED, SeedGroup


@dataclass(frozen=True)
class Evidence:
    """What a row's figures are drawn from.

    Attributes:
        curve: Means over seeds.
        class_names: `[C]`, seen first.
        class_accuracies: `[C]` percent at the row's gamma, means over seeds; NaN without images.
        seen: Number of seen classes.
        fit_seconds: Mean over seeds.
        peak_memory_mib: The largest of any seed.
        provenance: Where the numbers come from, by headings.
    """

    curve: MeanCurve
    class_names: tuple[str, ...]
    class_accuracies: Float
    seen: int
    fit_seconds: float
    peak_memory_mib: float
    provenance: dict[str, dict[str, Any]]


def evidence_of(group: SeedGroup) -> Evidence:
    """Gather it from the runs of one row."""
    costs = [record.cost for record in group.records]
    classes = len(group.class_names)
    accuracies = [
        class_accuracies(outcome, gamma, classes)
        for outcome, gamma in zip(group.outcomes, group.gammas, strict=True)
    ]
    return Evidence(
        curve=mean_curve(group.outcomes, group.gammas),
        class_names=group.class_names,
        class_accuracies=np.mean(accuracies, axis=0),
        seen=group.test[1],
        fit_seconds=float(np.mean([cost.fit_seconds for cost in costs])),
        peak_memory_mib=max(cost.peak_memory_mib for cost in costs),
        provenance=provenance_of(group),
    )


def class_accuracies(outcome: Outcome, gamma: float, classes: int) -> Float:
    """Return `[C]` the share of each class's images answered right among all classes, percent."""
    right = np.where(outcome.margin >= gamma, outcome.seen_hit, outcome.unseen_hit)
    tested, places, counts = outcome.classes
    shares: Float = np.full(classes, np.nan)
    shares[tested] = 100 * np.bincount(places, weights=right) / counts
    return shares


def provenance_of(group: SeedGroup) -> dict[str, dict[str, Any]]:
    """Return where the numbers of some runs come from, by headings."""
    first, spec = group.records[0], group.records[0].spec
    words, told = spec.words, spec.descriptions
    return {
        "method": {
            "name": spec.method,
            "version": spec.method_version,
            "precision": spec.precision,
            "protocol version": spec.protocol_version,
        },
        "config": first.choice.config,
        "choice": _choice(first.choice),
        "data": {
            "dataset": spec.dataset,
            "data digest": spec.data_digest,
            "test digest": first.test_digest,
        },
        "backbone": {
            "name": spec.backbone.name,
            "weights digest": spec.backbone.weights_digest,
            "pretraining": spec.backbone.exposure,
            **spec.backbone.adjusted,
            **({"words": words.description, "words digest": words.digest} if words else {}),
            **({"descriptions": told.description, "their digest": told.digest} if told else {}),
        },
        "runs": {f"seed {record.spec.seed}": record.key for record in group.records},
        "cost": {} if group.rule == SUBMITTED else _cost(group.records),
        "environment": _environment(group.records),
    }


def _choice(choice: Choice) -> dict[str, Any]:
    error = "" if choice.gain_error is None else f" ± {choice.gain_error:.2f}"
    return {
        "key": choice.key,
        "epoch": choice.epoch,
        "epoch for T1": choice.t1_epoch,
        "gamma": choice.gamma,
        "gamma at the last epoch": choice.last_gamma,
        "gain in H over gamma = 0": f"{choice.gain:.2f}{error}",
        "epochs of configs tried": len(choice.candidates),
        **{f"H in tuning world {world.name}": world.scores.h for world in choice.worlds},
        **{
            f"known to the pretraining in tuning world {world.name}": ", ".join(world.pretrained)
            for world in choice.worlds
            if world.pretrained
        },
    }


def _cost(records: Sequence[RunRecord]) -> dict[str, str]:
    costs = [record.cost for record in records]
    return {
        "fit seconds": ", ".join(f"{cost.fit_seconds:.3g}" for cost in costs),
        "score seconds": ", ".join(f"{cost.score_seconds:.3g}" for cost in costs),
        "training images a second": ", ".join(f"{cost.images_per_second:.3g}" for cost in costs),
        "peak memory, MiB": ", ".join(f"{cost.peak_memory_mib:.0f}" for cost in costs),
    }


def _environment(records: Sequence[RunRecord]) -> dict[str, str]:
    """Return each entry's values over all runs."""
    names = dict.fromkeys(name for record in records for name in record.environment)
    return {
        name: ", ".join(sorted({record.environment.get(name, "-") for record in records}))
        for name in names
    }


@dataclass(frozen=True)
class CostAxis:
    """A way to count what a row cost."""

    title: str
    unit: str
    field: str

    def of(self, evidence: Evidence) -> float:
        """Return the cost; what took no time to speak of is put at a millisecond."""
        return max(float(getattr(evidence, self.field)), 1e-3)


COSTS = (
    CostAxis("Time to fit", "seconds, mean over seeds", "fit_seconds"),
    CostAxis("Peak memory", "MiB, the largest of any seed", "peak_memory_mib"),
)
