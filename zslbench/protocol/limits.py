"""Marks where a choice or a fit has met a limit, so that a default may be too small; what to raise.

They are computed from what records hold: old records have them too.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import ceil
from types import MappingProxyType
from typing import Any

import numpy as np

from zslbench.method import MethodConfig, bounds
from zslbench.records import Choice, IncrementalRecord, RunRecord, Trial

EDGE_SHARE = 0.02  # of a search range, on its own scale
FALLING = 0.05  # of its level, an epoch
FEWEST_FALLS = 3
NEGLIGIBLE = 0.01  # of the first epoch's loss: how fast the rest falls does not matter
STILL_FALLING = "training loss still falling by over 5 % an epoch: raise epochs"


def limits_of(
    record: RunRecord | Trial,
    config: type[MethodConfig] | None = None,
    places: Mapping[str, float] = MappingProxyType({}),
) -> tuple[str, ...]:
    """Return a mark for each limit that a run, or a sweep's trial, has met.

    Args:
        record: Its choice, and of a run the losses in the final world.
        config: The method's, where settings were searched.
        places: Where a sweep's winner lies in the range of each setting searched: 0 at the low end,
            1 at the high one, on the range's own scale.
    """
    choice = record.choice
    if choice is None:
        return ()
    losses = record.losses if isinstance(record, RunRecord) else {}
    falling = [STILL_FALLING] if still_falling(total_loss(losses)) else []
    undecided = [name for name in choice.config if record.spec.config.get(name) is None]
    ranges = _ends_of_ranges(choice.config, config, places) if config else []
    return (*_late_epoch(choice), *_ends_of_grids(choice, undecided), *ranges, *falling)


def limits_of_tasks(record: IncrementalRecord) -> tuple[str, ...]:
    """Return the mark of a run along a task sequence, if a task's loss still fell at its end."""
    by_task = np.array_split(total_loss(record.losses), len(record.sizes))
    return (STILL_FALLING,) if any(still_falling(loss.tolist()) for loss in by_task) else ()


def _late_epoch(choice: Choice) -> Iterator[str]:
    """Yield a mark for an epoch in the last tenth of its schedule, or of its classifier's."""
    length = choice.config.get("classifier_epochs", 1)
    if choice.epochs != length * choice.config.get("epochs", 0):
        length = 1  # it does not yield all epochs of each classifier
    epoch, within = divmod(choice.epoch - 1, length)
    epochs = choice.epochs // length
    if _late(epoch + 1, epochs):
        yield f"epoch {epoch + 1} of {epochs} chosen: raise epochs"
    if _late(within + 1, length):
        fix = "raise classifier_lr or classifier_epochs"
        yield f"epoch of the classifier {within + 1} of {length} chosen: {fix}"


def _late(epoch: int, epochs: int) -> bool:
    return epochs > 1 and 10 * epoch > 9 * epochs


def _ends_of_grids(choice: Choice, names: Sequence[str]) -> list[str]:
    """Return a mark for each number that was chosen at an end of those tried."""
    found = []
    for name in names:
        tried = sorted(set(_numbers(row.config.get(name) for row in choice.candidates)))
        for end, side in ((0, "low"), (-1, "high")) if len(tried) > 1 else ():
            if choice.config[name] == tried[end]:
                found.append(_at_end(name, tried[end], side, "grid"))
    return found


def _ends_of_ranges(
    values: Mapping[str, Any], config: type[MethodConfig], places: Mapping[str, float]
) -> list[str]:
    found = []
    for name, place in places.items():
        low, high = bounds(config.model_fields[name]) or (-np.inf, np.inf)
        for distance, side, limit in ((place, "low", low), (1 - place, "high", high)):
            if 0 <= distance <= EDGE_SHARE:
                found.append(_at_end(name, values[name], side, "range", values[name] == limit))
    return found


def _at_end(name: str, value: float, side: str, of: str, limit: bool = False) -> str:
    fix = "no further value is allowed" if limit else f"try {side}er values"
    return f"{name} {value:g} chosen, the {side} end of its {of}: {fix}"


def _numbers(values: Iterable[Any]) -> Iterator[float]:
    return (v for v in values if isinstance(v, int | float) and not isinstance(v, bool))


def total_loss(losses: Mapping[str, Sequence[float]]) -> Sequence[float]:
    """Return the loss that was minimised, by epoch: `total`, or the only one; else nothing."""
    return losses.get("total", next(iter(losses.values())) if len(losses) == 1 else ())


def still_falling(loss: Sequence[float]) -> bool:
    """Return whether a loss was falling by over 5 % an epoch when the schedule ended.

    That is the slope of a straight line through the last tenth of the epochs, three steps at the
    least, against the mean there. A loss that is not positive throughout has no level to fall by a
    share of; one that is down to a hundredth of its first value has nothing left to fall.
    """
    steps = max(FEWEST_FALLS, ceil(len(loss) / 10))
    if len(loss) <= steps or not all(value > 0 for value in loss):
        return False
    end = np.array(loss[-steps - 1 :])
    slope = np.polyfit(np.arange(len(end)), end, 1)[0]
    return bool(end.mean() > NEGLIGIBLE * loss[0] and -slope > FALLING * end.mean())
