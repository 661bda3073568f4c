"""`zslbench run`: one method on one dataset, one honest line."""

from pathlib import Path
from typing import Annotated

import typer

from zslbench.cli import options as opt


def run(
    method: Annotated[
        str | None, typer.Argument(help="A method's name; see zslbench methods.")
    ] = None,
    method_file: Annotated[
        Path | None,
        typer.Option(help="In place of a name: a Python file, anywhere, that holds the method."),
    ] = None,
    dataset: Annotated[
        str, typer.Option(help="A dataset's folder below --data-root, or plumage[:knob=n,...].")
    ] = "plumage",
    set_: Annotated[
        list[str], typer.Option("--set", help="A setting of the method, key=value; repeatable.")
    ] = [],  # noqa: B006 - typer reads it, nobody writes to it
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="Trained weights, for a method that can replay them (svip_released)."),
    ] = None,
    seeds: opt.Seeds = None,
    data_root: opt.DataRoot = opt.DATA_ROOT,
    features: opt.Features = None,
    images: opt.Images = None,
    backbone: opt.Backbone = None,
    weights: opt.Weights = None,
    words: opt.Words = None,
    descriptions: opt.Descriptions = None,
    worlds: opt.Worlds = 3,
    rules: opt.Rules = "validation",
    resplit: opt.Resplit = False,
    jobs: opt.Jobs = None,
    engine: opt.EngineName = "local",
    address: opt.Address = None,
    results: opt.Results = opt.RESULTS,
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
    from zslbench.cli.studies.table import print_leaderboard
    from zslbench.data.load import DataRequest
    from zslbench.errors import ZslbenchError
    from zslbench.method.registry import register_file
    from zslbench.studies.leaderboard.measure import work

    if method is None and method_file is not None:
        method = register_file(method_file)
    elif method is None or method_file is not None:
        raise ZslbenchError("Say which method to run: its name, or --method-file FILE.py.")
    settings = opt.parse_settings(set_)
    if checkpoint is not None:
        settings["checkpoint"] = str(checkpoint)
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
    board, report = work(
        [method],
        [request],
        settings=settings,
        seeds=opt.parse_seeds(seeds),
        worlds=worlds,
        rules=opt.parse_list(rules),
        results=results,
        jobs=jobs,
        engine=engine,
        address=address,
    )
    print_leaderboard(board, json=json)
    raise typer.Exit(1 if report.failures or report.unreadable > 0 else 0)
