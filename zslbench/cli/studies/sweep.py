"""`zslbench sweep`: search a method's settings in the tuning worlds, then test the winner once."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from zslbench.cli import options as opt

if TYPE_CHECKING:
    from zslbench.data.load import DataRequest
    from zslbench.engines import Engine
    from zslbench.store import Store
    from zslbench.studies.progress import Display
    from zslbench.studies.sweep.measure import Swept
    from zslbench.studies.sweep.plan import SweepPlan
    from zslbench.studies.sweep.results import SweepReport, TrialRow, Winner

DEFAULT_TRIALS, SHOWN = 30, 5
SAMPLERS = ("tpe", "random", "grid")
PRUNERS = ("none", "median", "hyperband")


def sweep(
    method: Annotated[str, typer.Argument(help="A method's name; see zslbench methods.")],
    dataset: Annotated[
        str, typer.Option(help="A dataset's folder below --data-root, or plumage[:knob=n,...].")
    ] = "plumage",
    trials: Annotated[
        int | None,
        typer.Option(min=1, help=f"How many in all ({DEFAULT_TRIALS}; a grid: all its cells)."),
    ] = None,
    space: Annotated[
        list[str],
        typer.Option(
            help="Search this instead of what the method declares: name=low:high[:log], "
            "name=a|b|c, or a name alone for its declared range; repeatable."
        ),
    ] = [],  # noqa: B006 - typer reads it, nobody writes to it
    set_: Annotated[
        list[str], typer.Option("--set", help="A setting that is not searched, key=value.")
    ] = [],  # noqa: B006 - typer reads it, nobody writes to it
    sampler: Annotated[str, typer.Option(help="tpe, random or grid.")] = "tpe",
    pruner: Annotated[
        str,
        typer.Option(help="none, median or hyperband: trials that fall behind are ended."),
    ] = "none",
    points: Annotated[int, typer.Option(min=1, help="Values of each range in a grid.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Of the sampler.")] = 0,
    top: Annotated[
        int, typer.Option(min=0, help="Trials that get a second look; 0: the sweep alone decides.")
    ] = 3,
    test: Annotated[bool, typer.Option(help="Test the winner, once, in the final world.")] = True,
    name: Annotated[str | None, typer.Option(help="The study's name, to give it one.")] = None,
    storage: Annotated[
        str | None,
        typer.Option(help="A database URL for Optuna (default: a journal file in the results)."),
    ] = None,
    data_root: opt.DataRoot = opt.DATA_ROOT,
    features: opt.Features = None,
    images: opt.Images = None,
    backbone: opt.Backbone = None,
    weights: opt.Weights = None,
    words: opt.Words = None,
    descriptions: opt.Descriptions = None,
    worlds: opt.Worlds = 3,
    resplit: opt.Resplit = False,
    jobs: opt.Jobs = None,
    engine: opt.EngineName = "local",
    address: opt.Address = None,
    results: opt.Results = opt.RESULTS,
    json: opt.Json = False,
) -> None:
    """Search settings by mean H in the tuning worlds; look again at the best; test the winner.

    Trial 0 is the method's defaults. No trial sees the test classes. A sweep that was stopped goes
    on with the same command, and does only what is missing to reach --trials. The report, all
    trials, importances and H over pairs of settings go to results/sweeps/. Exit status 1 if there
    is no winner, or its test failed.

    Examples:
      zslbench sweep svip --trials 40 --pruner median

      zslbench sweep svip --trials 40 --jobs 2

      zslbench sweep svip --trials 100 --engine ray --address HOST:6379

      zslbench sweep eszsl --dataset CUB --data-root ~/data --trials 50

      zslbench sweep svip --storage postgresql://USER@HOST/sweeps --trials 100

      zslbench sweep svip --space M=10:48 --space lambda1=0.01:10:log --trials 30

      zslbench sweep ale --dataset cub20 --space 'margin=0.1|1|10' --sampler grid

      zslbench sweep svip --set epochs=6 --worlds 1 --trials 12 --no-test --json
    """
    from zslbench.cli.output import print_json, print_parts
    from zslbench.data.load import DataRequest
    from zslbench.engines import open_engine
    from zslbench.store import Store
    from zslbench.studies.leaderboard.measure import check_writable
    from zslbench.studies.progress import Display, say
    from zslbench.studies.sweep.measure import sweep as search
    from zslbench.studies.sweep.results import as_json, as_terminal
    from zslbench.studies.sweep.tables import write_sweep

    request = DataRequest(
        dataset,
        data_root,
        features=features,
        images=images,
        backbone=backbone,
        weights=weights,
        words=words,
        descriptions=descriptions,
        resplit=resplit,
    )
    check_writable(results)
    store = Store(results)
    with Display() as display, open_engine(jobs, display.tick, engine, address) as opened:
        plan = _plan(method, request, space, set_, worlds, display, sampler, pruner,
                     points=points, seed=seed, named=name)  # fmt: skip
        wanted = trials if sampler == "grid" else trials or DEFAULT_TRIALS
        found = search(plan, store, wanted, storage, opened)
        _tell(found, store)
        report = _report(plan, store, found, top, test, opened)
    written = write_sweep(report, results / "sweeps")
    if json:
        print_json(as_json(report))
    else:
        print_parts(as_terminal(report))
    say(f"written: {', '.join(map(str, written))}")
    raise typer.Exit(0 if report.winner and (report.winner.test or not test) else 1)


def _plan(
    method: str,
    request: "DataRequest",
    space: list[str],
    set_: list[str],
    worlds: int,
    display: "Display",
    sampler: str,
    pruner: str,
    **more: Any,
) -> "SweepPlan":
    from zslbench.errors import unknown
    from zslbench.method.registry import load_method
    from zslbench.studies.plan import plan
    from zslbench.studies.sweep.plan import SweepPlan
    from zslbench.studies.sweep.space import parse_space

    for kind, name, known in (("sampler", sampler, SAMPLERS), ("pruner", pruner, PRUNERS)):
        if name not in known:
            raise unknown(kind, name, known)
    settings = opt.parse_settings(set_)
    searched = parse_space(load_method(method), method, space, settings)
    (base,) = plan(
        [method],
        [request],
        settings=settings,
        seeds=[0],
        worlds=worlds,
        on_progress=lambda done, total: display.tick("decoding images", done, total),
    )
    return SweepPlan(base, tuple(searched), sampler, pruner, **more)  # type: ignore[arg-type]


def _tell(found: "Swept", store: "Store") -> None:
    from zslbench.studies.progress import say

    say(f"{found.name}: {found.done} trials run, {len(found.trials)} in all")
    for trial in found.trials:
        if trial.state == "failed":
            say(f"failed: trial {trial.number}: {trial.error}")
    if notice := store.notice():
        say(notice)


def _report(
    plan: "SweepPlan", store: "Store", found: "Swept", top: int, test: bool, engine: "Engine"
) -> "SweepReport":
    """Look again at the best trials, test the winner, and put it all together."""
    from zslbench.studies.sweep.results import SweepReport, TrialPoint, TrialRow, count_states
    from zslbench.studies.sweep.trials import look_again

    ranked = found.best()
    looks = look_again(plan, store, {t.number: t.params for t in ranked[:top]}, engine)
    second = {look.number: look.value for look in looks}
    rows = [TrialRow(t.number, t.params, t.value or 0.0, second.get(t.number)) for t in ranked]
    first = sorted(rows[: max(top, 1)], key=lambda r: r.second_look_h or 0.0, reverse=True)
    return SweepReport(
        name=found.name,
        method=plan.base.spec.method,
        dataset=plan.base.spec.dataset,
        states=count_states([trial.state for trial in found.trials]),
        best=rows[: max(top, SHOWN)],
        defaults=next((row for row in rows if row.number == 0), None),
        importances=found.importances,
        fanova=found.fanova,
        trials=tuple(TrialPoint(t.number, t.state, t.value, t.params) for t in found.trials),
        log=frozenset(parameter.name for parameter in plan.space if parameter.log),
        winner=_winner(plan, store, first[0], test, engine) if first else None,
    )


def _winner(
    plan: "SweepPlan", store: "Store", row: "TrialRow", test: bool, engine: "Engine"
) -> "Winner":
    """Test the winner, if it is to be tested; say so where that fails."""
    from zslbench.records import Failure, RunRecord
    from zslbench.studies.progress import say
    from zslbench.studies.sweep.results import Winner, scores_on_test
    from zslbench.studies.sweep.trials import final_test

    run = final_test(plan, store, row.number, row.params, engine) if test else None
    if test and not isinstance(run, RunRecord):
        why = run.error if isinstance(run, Failure) else "it cannot be read back now"
        say(f"failed: the test of trial {row.number}: {why}")
    openings = store.ledger()[plan.base.spec.method, plan.base.dataset.test_digest]
    if not isinstance(run, RunRecord):
        return Winner(row, openings=openings)
    return Winner(row, scores_on_test(run), run.key, openings)
