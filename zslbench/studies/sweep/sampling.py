"""What draws a sweep's points, and what ends its trials before their time.

The sampler is seeded anew by a trial's number, so that the trials of an interrupted sweep are those
of one that was not.
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from zslbench.seeding import derive_seed
from zslbench.studies.sweep.plan import SweepPlan
from zslbench.studies.sweep.space import Parameter

if TYPE_CHECKING:
    import optuna

MOST_SEED = 2**32


def pruner(plan: SweepPlan) -> "optuna.pruners.BasePruner":
    """Return the pruner; `median` gives every trial half an epoch schedule of the first world."""
    from optuna import pruners

    length = plan.length(plan.middle)
    if plan.pruner == "median":
        return pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=length // 2)
    if plan.pruner == "hyperband":
        most = length * plan.base.spec.tuning_worlds
        return pruners.HyperbandPruner(min_resource=1, max_resource=most)
    return pruners.NopPruner()


def draw(trial: "optuna.Trial", plan: SweepPlan, first: Sequence[Mapping[str, Any]]) -> None:
    """Give a trial its point: the planned one of its number, else what the sampler draws for it.

    What was drawn by a process that was killed meanwhile is drawn once more, so that the rest is
    what it would have been.

    Args:
        trial: Without a point, or with a part of it, or all.
        plan: The sweep.
        first: The points that are tried before any is drawn.
    """
    from optuna import samplers
    from optuna.exceptions import ExperimentalWarning

    sampler, drawn = _sampler(plan, trial.number), trial.distributions
    if trial.number < len(first):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            sampler = samplers.PartialFixedSampler(dict(first[trial.number]), sampler)
    trial.study.sampler = sampler
    before = trial.study.get_trials(deepcopy=False)[trial.number]
    for name in [parameter.name for parameter in plan.space if parameter.name in drawn]:
        if name not in trial.relative_params:  # else it is drawn with the rest anyway
            sampler.sample_independent(trial.study, before, name, drawn[name])
    for parameter in plan.space:
        _suggest(trial, parameter)


def _sampler(plan: SweepPlan, number: int) -> "optuna.samplers.BaseSampler":
    from optuna import samplers

    seed = derive_seed(plan.seed, "sweep", number) % MOST_SEED
    if plan.sampler == "tpe":
        return samplers.TPESampler(seed=seed)
    return samplers.RandomSampler(seed=seed)


def _suggest(trial: "optuna.Trial", parameter: Parameter) -> None:
    name, low, high = parameter.name, parameter.low, parameter.high
    if parameter.choices:
        trial.suggest_categorical(name, parameter.choices)
    elif parameter.whole:
        trial.suggest_int(name, int(low), int(high), log=parameter.log)
    else:
        trial.suggest_float(name, low, high, log=parameter.log)
