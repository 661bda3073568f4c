"""A whole sweep: search, look again at the best trials, test the winner once, report."""

from collections import Counter

from zslbench.engines import Engine
from zslbench.method.registry import load_method
from zslbench.protocol.limits import limits_of
from zslbench.records import Failure, RunRecord, Trial
from zslbench.store import Store
from zslbench.studies.progress import say
from zslbench.studies.sweep.measure import STATES, Swept, sweep
from zslbench.studies.sweep.plan import SweepPlan
from zslbench.studies.sweep.results import SweepReport, TrialRow, Winner
from zslbench.studies.sweep.space import places
from zslbench.studies.sweep.trials import final_test, look_again

DEFAULT_TRIALS, SHOWN = 30, 5


def search(
    plan: SweepPlan,
    store: Store,
    engine: Engine,
    *,
    trials: int | None = None,
    storage: str | None = None,
    top: int = 3,
    test: bool = True,
) -> SweepReport:
    """Search, and return what was found.

    Args:
        plan: What is searched.
        store: Where the records go.
        engine: Where trials run.
        trials: How many in all, by default 30, or all cells of a grid.
        storage: A URL that Optuna knows; by default a journal file in the results folder.
        top: Trials that get a second look; 0: the sweep alone decides.
        test: Whether to test the winner, once, in the final world.
    """
    wanted = trials if plan.sampler == "grid" else trials or DEFAULT_TRIALS
    found = sweep(plan, store, wanted, storage, engine)
    _say(found, store)
    ranked = found.best()
    looks = look_again(plan, store, {t.number: t.params for t in ranked[:top]}, engine)
    second = {look.number: look.value for look in looks}
    rows = [TrialRow(t.number, t.params, t.h or 0.0, second.get(t.number)) for t in ranked]
    first = sorted(rows[: max(top, 1)], key=lambda r: r.second_look_h or 0.0, reverse=True)
    ends = Counter(trial.state for trial in found.trials)
    return SweepReport(
        name=found.name,
        method=plan.base.spec.method,
        dataset=plan.base.spec.dataset,
        states={state: ends[state] for state in STATES},
        best=rows[: max(top, SHOWN)],
        defaults=next((row for row in rows if row.number == 0), None),
        importances=found.importances,
        fanova=found.fanova,
        trials=tuple(found.trials),
        log=frozenset(parameter.name for parameter in plan.space if parameter.log),
        winner=_winner(plan, store, first[0], test, engine) if first else None,
    )


def _say(found: Swept, store: Store) -> None:
    say(f"{found.name}: {found.done} trials run, {len(found.trials)} in all")
    for trial in found.trials:
        if trial.state == "failed":
            say(f"failed: trial {trial.number}: {trial.error}")
    if notice := store.notice():
        say(notice)


def _winner(plan: SweepPlan, store: Store, row: TrialRow, test: bool, engine: Engine) -> Winner:
    """Test the winner, if it is to be tested; report where that fails."""
    run = final_test(plan, store, row.number, row.params, engine) if test else None
    if test and not isinstance(run, RunRecord):
        why = run.error if isinstance(run, Failure) else "it cannot be read back now"
        say(f"failed: the test of trial {row.number}: {why}")
    openings = store.ledger()[plan.base.spec.method, plan.base.dataset.test_digest]
    marks = _marks(plan, store, row, run)
    if not isinstance(run, RunRecord):
        return Winner(row, openings=openings, marks=marks)
    scores = run.rules["validation"].scores.model_dump()
    return Winner(row, scores, run.key, openings, marks)


def _marks(
    plan: SweepPlan, store: Store, row: TrialRow, run: RunRecord | Failure | None
) -> tuple[str, ...]:
    """Return the limits that the winner has met: in its test, or in its trial where untested."""
    tried = store.get("trial", plan.trial_key(row.number, row.params))
    known = run if isinstance(run, RunRecord) else tried
    if not isinstance(known, RunRecord | Trial):
        return ()
    config = load_method(plan.base.spec.method).Config
    return limits_of(known, config, places(plan.space, row.params))
