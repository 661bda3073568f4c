"""A sweep's trials, one after the other: Optuna draws the points and keeps the study.

A sweep that is stopped goes on where it was. Trials are numbered without the interrupted ones, and
the sampler is seeded anew by that number, so that the trials of an interrupted sweep are those of
one that was not. The `hyperband` pruner is the exception: it draws a trial's bracket from Optuna's
own number, which counts interrupted ones in.

One process at a time works on a study; the results folder is locked for it.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zslbench.errors import ZslbenchError
from zslbench.run import Tick, no_tick
from zslbench.seeding import derive_seed
from zslbench.studies.search import SweepPlan, planned_points
from zslbench.studies.space import Parameter
from zslbench.studies.trials import run_trial
from zslbench.tracking import Store

if TYPE_CHECKING:
    import optuna

MOST_SEED = 2**32
ENOUGH_FOR_IMPORTANCES = 8


@dataclass(frozen=True)
class Tried:
    """A trial as the study has it; its value as in `Trial`."""

    number: int
    state: str
    value: float | None
    params: dict[str, Any]
    error: str = ""


@dataclass(frozen=True)
class Swept:
    """What a sweep has found.

    Attributes:
        trials: All trials in order, but for interrupted ones.
        done: How many of them are new.
        importances: Share of each parameter in how good a trial is (PED-ANOVA), from 8 complete
            trials on.
    """

    name: str
    trials: list[Tried]
    done: int
    importances: dict[str, float] | None

    def best(self) -> list[Tried]:
        """Return the complete trials, the best first; of equals, the earlier one."""
        complete = [t for t in self.trials if t.state == "complete" and t.value is not None]
        return sorted(complete, key=lambda t: (-(t.value or 0.0), t.number))


def sweep(
    plan: SweepPlan,
    store: Store,
    trials: int | None,
    storage: str | None = None,
    tick: Tick = no_tick,
) -> Swept:
    """Try what is missing to reach a number of trials.

    Args:
        plan: What is searched.
        store: Where the records go.
        trials: How many in all; a grid has no more than its cells and the defaults. None: all of a
            grid.
        storage: A URL that Optuna knows; by default a journal file in the results folder.
        tick: Progress, in epochs.

    Raises:
        ZslbenchError: If the study is there for another search, is being worked on, or cannot be
            reached; if a trial raises one.
    """
    with _alone(plan, store):
        study = _open(plan, store, storage)
        _recover(study, plan)
        if not store.has("sweep", plan.key):
            store.commit(plan.record())
        first = planned_points(plan, store, tick)
        if plan.sampler == "grid":
            trials = min(len(first), trials or len(first))
        done, trials = len(_counted(study)), trials or 0
        for number in range(done, trials):
            trial = _ask(study, plan, number, first)
            _try(study, plan, store, trial, _Progress(plan, tick, number - done, trials - done))
            store.sync()
        store.sync(again=True)
        found = [_tried(trial) for trial in _counted(study)]
        return Swept(plan.name, found, max(0, trials - done), _importances(study))


@contextmanager
def _alone(plan: SweepPlan, store: Store) -> Iterator[None]:
    """Keep a second process from failing this one's running trial."""
    from filelock import Timeout

    try:
        with store.lock(f"sweep-{plan.name}", timeout=0):
            yield
    except Timeout:
        raise ZslbenchError(
            f"The sweep {plan.name} is being worked on in {store.results}. Wait until that is "
            "done, or start another one with --name."
        ) from None


def _open(plan: SweepPlan, store: Store, url: str | None) -> "optuna.Study":
    """Return the study, made where there is none; refuse one of another search."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    place = _storage(store.results / "sweeps" / f"{plan.name}.journal", url)
    pruner = _pruner(plan)
    try:
        study = optuna.load_study(study_name=plan.name, storage=place, pruner=pruner)
    except KeyError:
        study = optuna.create_study(
            study_name=plan.name, storage=place, direction="maximize", pruner=pruner
        )
    known = study.user_attrs
    for name, value in plan.about.items():
        if known.get(name, value) != value:
            raise ZslbenchError(
                f"The sweep {plan.name} exists with another {name}: {known[name]} there, {value} "
                "here. Ask for the same again to go on with it, or start another one with --name."
            )
    for name in plan.about.keys() - known.keys():
        study.set_user_attr(name, plan.about[name])
    return study


def _storage(journal: Path, url: str | None) -> "optuna.storages.BaseStorage":
    from optuna import storages
    from optuna.storages.journal import JournalFileBackend

    if url is None:
        journal.parent.mkdir(parents=True, exist_ok=True)
        return storages.JournalStorage(JournalFileBackend(str(journal)))
    try:
        return storages.get_storage(url)
    except Exception as error:  # what drivers raise is not of one kind
        reason = str(error).strip().splitlines()[0]
        raise ZslbenchError(
            f"--storage {url}: Optuna cannot use it ({reason}). Name a database that is there, "
            "such as sqlite:///sweeps.db, and install its driver."
        ) from error


def _pruner(plan: SweepPlan) -> "optuna.pruners.BasePruner":
    """Return the pruner; `median` gives every trial half an epoch schedule of the first world."""
    from optuna import pruners

    length = plan.length(plan.middle)
    if plan.pruner == "median":
        return pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=length // 2)
    if plan.pruner == "hyperband":
        most = length * plan.base.spec.tuning_worlds
        return pruners.HyperbandPruner(min_resource=1, max_resource=most)
    return pruners.NopPruner()


def _sampler(plan: SweepPlan, number: int) -> "optuna.samplers.BaseSampler":
    from optuna import samplers

    seed = derive_seed(plan.seed, "sweep", number) % MOST_SEED
    if plan.sampler == "tpe":
        return samplers.TPESampler(seed=seed)
    return samplers.RandomSampler(seed=seed)


def _recover(study: "optuna.Study", plan: SweepPlan) -> None:
    """Fail what a killed process left running, and enqueue its point again, once.

    A point that was not yet drawn to its end is left out: the same seed draws the same again.
    """
    from optuna.trial import TrialState

    again = {trial.user_attrs.get("again") for trial in study.trials}
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        whole = len(trial.params) == len(plan.space)
        point = trial.params if whole else trial.system_attrs.get("fixed_params")
        if point and trial.number not in again:
            study.enqueue_trial(point, user_attrs={"again": trial.number})
        study.tell(trial.number, state=TrialState.FAIL)


def _counted(study: "optuna.Study") -> "list[optuna.trial.FrozenTrial]":
    """Return the trials that have come to an end of their own: an interrupted one has no error."""
    from optuna.trial import TrialState

    ended = study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL))
    return [t for t in ended if t.state != TrialState.FAIL or "error" in t.user_attrs]


def _ask(
    study: "optuna.Study", plan: SweepPlan, number: int, first: list[dict[str, Any]]
) -> "optuna.Trial":
    from optuna.trial import TrialState

    waiting = study.get_trials(states=(TrialState.WAITING,))
    if number < len(first) and not waiting:
        study.enqueue_trial(first[number])
    study.sampler = _sampler(plan, number)
    trial = study.ask({p.name: _distribution(p) for p in plan.space})
    trial.set_user_attr("number", number)
    return trial


def _distribution(parameter: Parameter) -> "optuna.distributions.BaseDistribution":
    from optuna import distributions

    if parameter.choices:
        return distributions.CategoricalDistribution(parameter.choices)
    if parameter.whole:
        low, high = int(parameter.low), int(parameter.high)
        return distributions.IntDistribution(low, high, log=parameter.log)
    return distributions.FloatDistribution(parameter.low, parameter.high, log=parameter.log)


@dataclass(frozen=True)
class _Progress:
    """Ticks in epochs over all trials that are missing, so that the time left is the sweep's."""

    plan: SweepPlan
    tick: Tick
    before: int
    missing: int

    def __call__(self, step: int, params: Mapping[str, Any]) -> None:
        spec = self.plan.base.spec
        steps = self.plan.length(params) * spec.tuning_worlds
        stage = f"{spec.method}: {self.missing} trials, in epochs"
        self.tick(stage, self.before * steps + step, self.missing * steps)


def _try(
    study: "optuna.Study",
    plan: SweepPlan,
    store: Store,
    trial: "optuna.Trial",
    progress: _Progress,
) -> None:
    """Run a trial, commit its record, then tell the study: in this order nothing gets lost."""
    from optuna.trial import TrialState

    params = trial.params

    def ask(step: int, value: float) -> bool:
        progress(step, params)
        trial.report(value, step)
        return trial.should_prune()

    record = run_trial(plan, store, trial.user_attrs["number"], params, ask)
    if record.state == "complete":
        study.tell(trial, record.value)
    elif record.state == "pruned":
        study.tell(trial, state=TrialState.PRUNED)
    else:
        trial.set_user_attr("error", record.error)
        study.tell(trial, state=TrialState.FAIL)


def _tried(trial: "optuna.trial.FrozenTrial") -> Tried:
    states = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}
    error = trial.user_attrs.get("error", "")
    number, value = trial.user_attrs["number"], trial.value
    return Tried(number, states[trial.state.name], value, trial.params, error)


def _importances(study: "optuna.Study") -> dict[str, float] | None:
    """Return PED-ANOVA's importances, None where too few trials are complete."""
    import warnings

    from optuna.importance import get_param_importances
    from optuna.trial import TrialState

    if len(study.get_trials(states=(TrialState.COMPLETE,))) < ENOUGH_FOR_IMPORTANCES:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # equal trials tell nothing: equal shares
        return get_param_importances(study)
