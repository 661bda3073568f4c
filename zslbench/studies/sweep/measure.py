"""A sweep's trials: Optuna draws the points and keeps the study, any number of processes try them.

A sweep that was stopped resumes where it was, in one process or several, on this machine or others.
"""

import time
import warnings
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zslbench.engines import Call, Engine, InProcess, dealt
from zslbench.errors import ZslbenchError
from zslbench.protocol.run import Tick
from zslbench.store import Store
from zslbench.studies.sweep import claims
from zslbench.studies.sweep.plan import SweepPlan, planned_points
from zslbench.studies.sweep.results import TrialPoint
from zslbench.studies.sweep.sampling import draw
from zslbench.studies.sweep.storage import open_study, within_reach
from zslbench.studies.sweep.trials import LOST, Ask, keep, run_trial

if TYPE_CHECKING:
    import optuna
    from optuna.importance import BaseImportanceEvaluator

ENOUGH_FOR_IMPORTANCES = 8
LOOK_SECONDS = 1.0
STATES = {"complete": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL"}


@dataclass(frozen=True)
class Swept:
    """What a sweep has found.

    Attributes:
        trials: All trials in order, but for interrupted ones.
        done: How many of them are new.
        importances: Share of each parameter in how good a trial is, from 8 complete trials on: in
            how the best tell themselves from the rest (PED-ANOVA).
        fanova: Likewise, in the variance over the whole space (fANOVA); None without scikit-learn.
    """

    name: str
    trials: list[TrialPoint]
    done: int
    importances: dict[str, float] | None
    fanova: dict[str, float] | None = None

    def best(self) -> list[TrialPoint]:
        """Return the complete trials, the best first; of equals, the earlier one."""
        complete = [trial for trial in self.trials if trial.state == "complete"]
        return sorted(complete, key=lambda trial: (-(trial.h or 0.0), trial.number))


def sweep(
    plan: SweepPlan,
    store: Store,
    trials: int | None,
    storage: str | None = None,
    engine: Engine | None = None,
) -> Swept:
    """Try what is missing to reach a number of trials, together with whoever else does.

    Args:
        plan: What is searched.
        store: Where the records go.
        trials: How many in all; a grid has no more than its cells and the defaults. None: all of a
            grid.
        storage: A URL that Optuna knows; by default a journal file in the results folder.
        engine: Where trials run; by default here, one after the other.

    Raises:
        ZslbenchError: If the study is there for another search or cannot be reached; if a trial
            raises one; if the processes die again and again.
    """
    store.check()
    study = open_study(plan, store.results, storage)
    if store.missing("sweep", [plan.key]):
        store.commit(plan.record())
    engine = engine or InProcess()
    first = planned_points(plan, store, engine)
    if plan.sampler == "grid":
        trials = min(len(first), trials or len(first))
    call = Call(try_next, (plan, store, storage, trials or 0, tuple(first)))
    with within_reach(storage):
        done = _deal(study, call, engine)
        store.sync(again=True)
        found = [tried(trial) for trial in claims.ended(study).values()]
        return Swept(plan.name, found, done, _importances(study), _fanova(study))


def _deal(study: "optuna.Study", call: Call, engine: Engine) -> int:
    """Have trials tried until all have ended, here or elsewhere; return how many ended here."""
    plan, store, _, wanted, _ = call.arguments
    done = deaths = 0
    with store.lock(f"sweep-{plan.name}"):
        claims.release(study)
    while missing := wanted - len(claims.ended(study).keys() & set(range(wanted))):
        ready = deque([call] * missing)
        for end in dealt(engine, ready):
            deaths = deaths + 1 if end.died else 0
            if end.died:
                _mourn(end.died, deaths, engine)
                with store.lock(f"sweep-{plan.name}"):
                    claims.release(study, end.died)
                ready.append(call)
            elif end.value is None:
                ready.clear()
            else:
                done += 1
                _tell(study, wanted, engine)
        if end.value is None:
            time.sleep(LOOK_SECONDS)  # what is missing is being tried elsewhere
    return done


def _mourn(died: str, deaths: int, engine: Engine) -> None:
    if deaths > 2 * engine.places:
        raise ZslbenchError(
            f"The processes of the sweep die again and again ({died}), most often for want of "
            "memory. Take fewer --jobs, or smaller batches; what is finished is kept."
        )


def _tell(study: "optuna.Study", wanted: int, engine: Engine) -> None:
    found = claims.ended(study).values()
    values = [trial.value for trial in found if trial.state.name == "COMPLETE"]
    best = f"; best H {max(filter(None, values), default=0.0):.1f}" if values else ""
    engine.tell(f"trials{best}", min(len(found), wanted), wanted)


def try_next(
    plan: SweepPlan,
    store: Store,
    storage: str | None,
    wanted: int,
    first: Sequence[Mapping[str, Any]],
    *,
    tick: Tick,
) -> TrialPoint | None:
    """Try the next trial that nobody tries; None where there is none, or it was taken over."""
    from optuna.exceptions import UpdateFinishedTrialError

    study = open_study(plan, store.results, storage)
    taken = claims.TakenOverError, UpdateFinishedTrialError
    with within_reach(storage), suppress(*taken), claims.working() as worker:
        with store.lock(f"sweep-{plan.name}"):
            trial = claims.claim(study, wanted, worker)
        if trial is None:
            return None
        with claims.beating(trial):
            draw(trial, plan, first)
            stage = f"{plan.base.spec.method}: trial {trial.number + 1} of {wanted}, in epochs"
            steps = plan.length(trial.params) * plan.base.spec.tuning_worlds

            def ask(step: int, value: float) -> bool:
                tick(stage, step, steps)
                with within_reach(storage):  # a database that is away is no fault of the trial's
                    return claims.report(trial, step, value)

            _try(plan, store, trial, ask)
        store.sync()
        return tried(study.trials[trial.number])
    return None


def _try(plan: SweepPlan, store: Store, trial: "optuna.Trial", ask: Ask) -> None:
    """Run a trial, commit its record, then tell the study: in this order nothing gets lost."""
    from optuna.trial import TrialState

    if lost := trial.user_attrs.get("error"):
        record = keep(plan, store, trial.number, trial.params, 1, error=lost, **LOST)
    else:
        record = run_trial(plan, store, trial.number, trial.params, ask)
    if record.error:
        trial.set_user_attr("error", record.error)
    value = record.value if record.state == "complete" else None  # a pruned one's was reported
    trial.study.tell(trial, value, TrialState[STATES[record.state]], skip_if_finished=True)


def tried(trial: "optuna.trial.FrozenTrial") -> TrialPoint:
    """Return a trial that has ended."""
    (state,) = (ours for ours, theirs in STATES.items() if theirs == trial.state.name)
    error = trial.user_attrs.get("error", "")
    return TrialPoint(trial.number, state, trial.value, trial.params, error)


def _importances(
    study: "optuna.Study", evaluator: "BaseImportanceEvaluator | None" = None
) -> dict[str, float] | None:
    """Return the parameters' importances, None where too few trials are complete."""
    from optuna.importance import get_param_importances
    from optuna.trial import TrialState

    if len(study.get_trials(states=(TrialState.COMPLETE,))) < ENOUGH_FOR_IMPORTANCES:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # equal trials tell nothing: equal shares
        return get_param_importances(study, evaluator=evaluator)


def _fanova(study: "optuna.Study") -> dict[str, float] | None:
    """Return fANOVA's importances; None without scikit-learn, and where all trials are equal."""
    from optuna.importance import FanovaImportanceEvaluator

    try:
        return _importances(study, FanovaImportanceEvaluator(seed=0))
    except (ImportError, RuntimeError):
        return None
