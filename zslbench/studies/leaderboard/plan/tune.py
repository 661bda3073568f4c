"""Equal tuning: as many trials for every method over its own space; the winners run as usual."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from zslbench.engines import Engine
from zslbench.engines.execute import Job, failure_of
from zslbench.method import Method
from zslbench.method.registry import load_method
from zslbench.records import Failure, Trial
from zslbench.store import Store
from zslbench.studies.sweep.measure import sweep
from zslbench.studies.sweep.plan import SweepPlan
from zslbench.studies.sweep.space import Parameter, declared_range, default_space
from zslbench.studies.sweep.trials import look_again

LOOKED_AGAIN = 3
AROUND = 10.0


def tuning_space(cls: type[Method], settings: Collection[str] = ()) -> list[Parameter]:
    """Return what is searched of a method: its own space, all learning rates and weight decay.

    A rate with a default is searched within a factor of ten of it, as far as its bounds go. What
    is set by the user or a suite is not searched.
    """
    space = {parameter.name: parameter for parameter in default_space(cls, settings)}
    for name, info in cls.Config.model_fields.items():
        if name in settings or (name != "weight_decay" and not name.endswith("lr")):
            continue
        allowed = declared_range(cls.Config, name)
        if allowed is not None and info.default:
            low = max(info.default / AROUND, allowed.low)
            high = min(info.default * AROUND, allowed.high)
            space[name] = replace(allowed, low=low, high=high, log=True)
    return list(space.values())


def tuned(
    jobs: Sequence[Job], trials: int, store: Store, engine: Engine
) -> tuple[list[Job], list[Failure]]:
    """Return the runs of a plan with the winner's config in place of each config.

    The winner is the best at a second look at the best three, by mean H in tuning worlds; epoch
    and gamma are those that its trial chose. What is finished of it is not done again.

    Args:
        jobs: A plan.
        trials: How many for each config of it.
        store: Where trials and choices go.
        engine: Where trials run.

    Returns:
        The runs, and a failure for each run whose config has no trial that ended well.
    """
    found: list[Job] = []
    failures = []
    for key in dict.fromkeys(job.spec.choice_key for job in jobs):
        same = [job for job in jobs if job.spec.choice_key == key]
        winner = _winner(same[0], trials, store, engine)
        for job in same:
            if winner is None:
                error = RuntimeError(f"none of {trials} trials ended well")
                failures.append(failure_of(job.spec, error))
            else:
                more = {"seed": job.spec.seed, "rules": job.spec.rules}
                found.append(replace(job, spec=winner.spec.model_copy(update=more)))
    for failed in failures:
        store.commit(failed)
    return found, failures


def _winner(base: Job, trials: int, store: Store, engine: Engine) -> Job | None:
    """Return the run of the winner, its choice made; None where there is no winner."""
    rules = base.spec.model_copy(update={"rules": ("validation", "last"), "seed": 0})
    plan = SweepPlan(
        replace(base, spec=rules),
        tuple(tuning_space(load_method(base.spec.method), base.spec.settings)),
    )
    found = sweep(plan, store, trials, engine=engine)
    best = {trial.number: trial.params for trial in found.best()[:LOOKED_AGAIN]}
    looks = look_again(plan, store, best, engine)
    if not looks:
        return None
    number = max(looks, key=lambda look: look.value or 0.0).number
    job = plan.job(best[number])
    spec = job.spec.model_copy(update={"tuned": trials})
    choice = store.read(Trial, plan.trial_key(number, best[number])).choice
    if choice and store.missing("choice", [spec.choice_key]):
        store.commit(choice.model_copy(update={"key": spec.choice_key}))
    return replace(job, spec=spec)
