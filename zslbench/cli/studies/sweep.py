"""`zslbench sweep`: search a method's settings in the tuning worlds, then test the winner once."""

from typing import Annotated

import typer

from zslbench.cli import options as opt


@opt.spread
def sweep(
    data: opt.DataOptions,
    engine: opt.EngineOptions,
    method: opt.Method,
    dataset: opt.Dataset = "plumage",
    trials: Annotated[
        int | None,
        typer.Option(min=1, help="Number of trials (default: 30; for a grid, all its cells)."),
    ] = None,
    space: Annotated[
        list[str],
        typer.Option(
            help="Search space in place of the method's own: name=low:high[:log], "
            "name=a|b|c, or a name alone for its declared range; repeatable."
        ),
    ] = [],  # noqa: B006 - typer reads it, nobody writes to it
    set_: opt.Settings = [],  # noqa: B006 - typer reads it, nobody writes to it
    sampler: Annotated[
        str, typer.Option(help="Sampler: tpe, random, sobol (fills the space evenly) or grid.")
    ] = "tpe",
    pruner: Annotated[
        str, typer.Option(help="Stop trials that fall behind: none, median or hyperband.")
    ] = "none",
    points: Annotated[
        int, typer.Option(min=1, help="Number of values for each range in a grid.")
    ] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the sampler.")] = 0,
    top: Annotated[
        int, typer.Option(min=0, help="Best trials to run again on other class splits; 0: none.")
    ] = 3,
    test: Annotated[bool, typer.Option(help="Test the winner, once, in the final world.")] = True,
    name: Annotated[str | None, typer.Option(help="A name for the sweep.")] = None,
    storage: Annotated[
        str | None,
        typer.Option(help="A database URL for Optuna (default: a journal file in the results)."),
    ] = None,
    worlds: opt.Worlds = 3,
    tuning_seeds: opt.TuningSeeds = 1,
    results: opt.Results = opt.RESULTS,
    json: opt.Json = False,
) -> None:
    """Search settings by mean H in the tuning worlds; rerun the best; test the winner.

    Trial 0 is the method's defaults. No trial sees the test classes. The best trials are rerun on
    other class splits. The same command resumes a sweep that was stopped, and runs only what is
    missing to reach --trials. The report, all trials, importances and H over pairs of settings go
    to results/sweeps/. Exit status 1 if there is no winner, or its test failed.

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
    import zslbench as zsl
    from zslbench.cli.output import print_result
    from zslbench.studies.progress import say
    from zslbench.studies.sweep.figures import write_sweep

    found = zsl.sweep(
        method,
        data.request(dataset),
        trials=trials,
        space=space,
        settings=opt.parse_settings(set_),
        sampler=sampler,
        pruner=pruner,
        points=points,
        seed=seed,
        top=top,
        test=test,
        worlds=worlds,
        tuning_seeds=tuning_seeds,
        name=name,
        storage=storage,
        results=results,
        **vars(engine),
    )
    written = write_sweep(found, results / "sweeps")
    print_result(found, json=json)
    say(f"written: {', '.join(map(str, written))}")
    raise typer.Exit(0 if found.winner and (found.winner.test or not test) else 1)
