"""`zslbench sensitivity`: sensitivity to each setting, one at a time around the defaults."""

from typing import Annotated

import typer

from zslbench.cli import options as opt


@opt.spread
def sensitivity(
    data: opt.DataOptions,
    engine: opt.EngineOptions,
    method: opt.Method,
    dataset: opt.Dataset = "plumage",
    parameters: Annotated[
        str | None,
        typer.Option(
            help="Settings to vary, such as M,lambda1 (default: those whose curves the paper "
            "shows, or all that a sweep would search)."
        ),
    ] = None,
    grid: Annotated[
        list[str], typer.Option(help="Values to vary a setting over, name=a,b,c; repeatable.")
    ] = [],  # noqa: B006 - typer reads it, nobody writes to it
    set_: opt.Settings = [],  # noqa: B006 - typer reads it, nobody writes to it
    final: Annotated[
        bool, typer.Option("--final", help="Read test classes, as papers do: watermarked, counted.")
    ] = False,
    seeds: opt.Seeds = None,
    worlds: opt.Worlds = 3,
    tuning_seeds: opt.TuningSeeds = 1,
    results: opt.Results = opt.RESULTS,
    json: opt.Json = False,
) -> None:
    """Vary one setting at a time around the defaults: T1, U, S and H in the tuning worlds.

    Tables and figure go to results/sensitivity/. Results are cached: the same
    command resumes a study that was stopped, or measures only the values that were added. In the
    tuning worlds every seed has its own class splits, held-out images and initialisation.
    Exit status 1 if a value failed.

    Examples:
      zslbench sensitivity svip

      zslbench sensitivity svip --parameters M --seeds 0 --worlds 1 --set epochs=6

      zslbench sensitivity svip --grid lambda1=0.01,0.1,1,10 --grid pooling=max,mean

      zslbench sensitivity svip --jobs 2

      zslbench sensitivity svip --engine ray --address HOST:6379

      zslbench sensitivity eszsl --dataset CUB --data-root ~/data

      zslbench sensitivity svip --dataset CUB --backbone vit_base_patch16_224 --words w.npy --final
    """
    import zslbench as zsl
    from zslbench.cli.output import print_result
    from zslbench.studies.progress import say
    from zslbench.studies.sensitivity.axes import parse_grids
    from zslbench.studies.sensitivity.results import write_sensitivity

    found = zsl.sensitivity(
        method,
        data.request(dataset),
        parameters=opt.parse_list(parameters) if parameters else (),
        grids=parse_grids(grid),
        settings=opt.parse_settings(set_),
        seeds=opt.parse_seeds(seeds),
        worlds=worlds,
        tuning_seeds=tuning_seeds,
        final=final,
        results=results,
        **vars(engine),
    )
    written = write_sensitivity(found, results / "sensitivity")
    print_result(found, json=json)
    say(f"written: {written}.{{md,csv,png,pdf}}")
    raise typer.Exit(1 if found.failed else 0)
