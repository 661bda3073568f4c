"""`zslbench run`: one method on one dataset, one honest line."""

from pathlib import Path
from typing import Annotated

import typer

from zslbench.cli import options as opt


@opt.spread
def run(
    data: opt.DataOptions,
    engine: opt.EngineOptions,
    method: Annotated[
        str | None, typer.Argument(help="A method's name; see zslbench methods.")
    ] = None,
    method_file: Annotated[
        Path | None,
        typer.Option(help="A Python file with the method, in place of a name."),
    ] = None,
    dataset: opt.Dataset = "plumage",
    set_: opt.Settings = [],  # noqa: B006 - typer reads it, nobody writes to it
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="Trained weights, for a method that can replay them (svip_released)."),
    ] = None,
    seeds: opt.Seeds = None,
    worlds: opt.Worlds = 3,
    tuning_seeds: opt.TuningSeeds = 1,
    rules: opt.Rules = "validation",
    results: opt.Results = opt.RESULTS,
    details: opt.Details = False,
    json: opt.Json = False,
) -> None:
    """Choose in the tuning worlds, fit once, open the test labels once, print the line.

    A finished run is not run again: the same command prints it. Exit status 1 if a run failed.

    Examples:
      zslbench run svip

      zslbench run svip --dataset plumage:clutter=80 --set M=30 --seeds 0,1

      zslbench run eszsl --dataset CUB --data-root ~/data

      zslbench run eszsl --dataset cub20 --features mobilenetv2 --set reg_x=10

      zslbench run svip_released --dataset CUB --words sum:w.npy --checkpoint x.pth --rule published

      zslbench run --method-file my_method.py --worlds 1 --seeds 0

      zslbench run svip --seeds 0,1,2,3 --jobs 2

      zslbench run eszsl --dataset SUN --rules validation,published --json
    """
    import zslbench as zsl
    from zslbench.cli.output import print_leaderboard

    named = method_file or method
    if named is None or None not in (method, method_file):
        raise zsl.ZslbenchError("Say which method to run: its name, or --method-file FILE.py.")
    settings = opt.parse_settings(set_)
    if checkpoint is not None:
        settings["checkpoint"] = str(checkpoint)
    board = zsl.run(
        named,
        data.request(dataset),
        settings=settings,
        seeds=opt.parse_seeds(seeds),
        worlds=worlds,
        tuning_seeds=tuning_seeds,
        rules=opt.parse_list(rules),
        results=results,
        **vars(engine),
    )
    print_leaderboard(board, json=json, details=details)
    raise typer.Exit(1 if board.failed else 0)
