"""`zslbench leaderboard`: run what is missing, print the table, write it."""

from pathlib import Path
from typing import Annotated

import typer

from zslbench.cli import options as opt


def leaderboard(
    dataset: Annotated[
        str | None, typer.Option(help="Datasets to have complete, such as CUB,SUN.")
    ] = None,
    methods: Annotated[
        str | None,
        typer.Option(help="Methods to have complete (default: all that the data can serve)."),
    ] = None,
    reference: Annotated[
        str | None, typer.Option(help="Method to print every other's paired difference from.")
    ] = None,
    seeds: opt.Seeds = None,
    data_root: opt.DataRoot = opt.DATA_ROOT,
    features: opt.Features = None,
    images: opt.Images = None,
    backbone: opt.Backbone = None,
    weights: opt.Weights = None,
    words: opt.Words = None,
    worlds: opt.Worlds = 3,
    rules: opt.Rules = "validation",
    resplit: opt.Resplit = False,
    jobs: opt.Jobs = 1,
    results: opt.Results = opt.RESULTS,
    figures: Annotated[
        Path | None, typer.Option(help="Folder for figures for papers, PDF and PNG.")
    ] = None,
    json: opt.Json = False,
) -> None:
    """Run what is missing, print the leaderboard, write results/leaderboard.{md,csv,json,html,tex}.

    Without --dataset nothing is run: the table shows everything tracked.

    Examples:
      zslbench leaderboard --dataset CUB,AWA2,SUN --data-root ~/data

      zslbench leaderboard --dataset plumage,plumage:clutter=90,spurious=0 --methods eszsl,svip

      zslbench leaderboard --dataset plumage --reference vit_attr_head

      zslbench leaderboard --dataset cub20 --methods eszsl --rules validation,published

      zslbench leaderboard

      zslbench leaderboard --figures paper/figures
    """
    from zslbench.cli.work import (
        draw_leaderboard,
        print_leaderboard,
        tracked,
        work,
        write_leaderboard,
    )
    from zslbench.data.load import DataRequest

    failed = False
    if dataset is None:
        board = tracked(results, opt.parse_list(rules), reference)
    else:
        board, report = work(
            opt.parse_list(methods) if methods else None,
            [
                DataRequest(
                    name,
                    data_root,
                    features=features,
                    images=images,
                    backbone=backbone,
                    weights=weights,
                    words=words,
                    resplit=resplit,
                )
                for name in opt.parse_datasets(dataset)
            ],
            settings={},
            seeds=opt.parse_seeds(seeds),
            worlds=worlds,
            rules=opt.parse_list(rules),
            results=results,
            jobs=jobs,
            reference=reference,
        )
        failed = bool(report.failures) or report.unreadable > 0
    write_leaderboard(board, results)
    if figures:
        draw_leaderboard(board, figures)
    print_leaderboard(board, json=json)
    raise typer.Exit(1 if failed else 0)
