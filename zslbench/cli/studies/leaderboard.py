"""`zslbench leaderboard`: run what is missing, print the table, write it."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from zslbench.cli import options as opt


def leaderboard(
    suite: Annotated[
        str | None,
        typer.Argument(help="A published table as a suite: its name, or your own FILE.toml."),
    ] = None,
    dataset: opt.TableDataset = None,
    methods: Annotated[
        str | None,
        typer.Option(help="Methods to have complete (default: all that the data can serve)."),
    ] = None,
    method_file: opt.MethodFiles = None,
    reference: Annotated[
        str | None,
        typer.Option(help="Row or method to print all paired differences from."),
    ] = None,
    seeds: opt.Seeds = None,
    data_root: opt.DataRoot = opt.DATA_ROOT,
    features: opt.Features = None,
    images: opt.Images = None,
    backbone: opt.Backbone = None,
    weights: opt.Weights = None,
    words: opt.Words = None,
    descriptions: opt.Descriptions = None,
    worlds: opt.TableWorlds = None,
    rules: opt.TableRules = None,
    resplit: opt.Resplit = False,
    tune: Annotated[
        int,
        typer.Option(
            min=0,
            help="Search every method's own space, learning rate and weight decay included, "
            "with so many trials in the tuning worlds, and run the winners: a table of its own.",
        ),
    ] = 0,
    plan: opt.Plan = False,
    retry: opt.Retry = False,
    jobs: opt.Jobs = None,
    engine: opt.EngineName = "local",
    address: opt.Address = None,
    results: opt.Results = opt.RESULTS,
    figures: Annotated[
        Path | None, typer.Option(help="Folder for figures for papers, PDF and PNG.")
    ] = None,
    json: opt.Json = False,
) -> None:
    """Run what is missing, print the leaderboard, write results/leaderboard.{md,csv,json,html,tex}.

    A suite is a published table as data (docs/suites.md); its files are called as it is. Without
    suite and --dataset nothing is run: the table shows everything tracked. A run that failed before
    is listed, and run again with --retry. Exit status 1 if a run is missing from the table.

    Examples:
      zslbench leaderboard plumage_svip_table1

      zslbench leaderboard svip_table1 --data-root ~/data --words glove.txt --plan

      zslbench leaderboard plumage_svip_table1 --rules validation,published

      zslbench leaderboard --dataset CUB,AWA2,SUN --data-root ~/data

      zslbench leaderboard --dataset plumage,plumage:clutter=90,spurious=0 --methods eszsl,svip

      zslbench leaderboard --dataset plumage --reference vit_attr_head

      zslbench leaderboard --dataset plumage --methods eszsl --method-file my_method.py

      zslbench leaderboard --dataset plumage --jobs 2

      zslbench leaderboard --dataset CUB,AWA2,SUN --engine ray --address HOST:6379

      zslbench leaderboard --dataset CUB --data-root ~/data --methods eszsl,sae,ale --tune 50

      zslbench leaderboard

      zslbench leaderboard --figures paper/figures
    """
    from zslbench.cli.studies.plan import show_plan
    from zslbench.cli.studies.table import make, options_table, print_leaderboard, suite_table
    from zslbench.errors import ZslbenchError
    from zslbench.method.registry import register_file
    from zslbench.store.garbage import uncollected
    from zslbench.studies.leaderboard.measure import draw_leaderboard, tracked, write_leaderboard
    from zslbench.studies.progress import say

    if method_file and (suite is not None or dataset is None):
        raise ZslbenchError("--method-file: say on which data, with --dataset and without a suite.")
    files = [register_file(path) for path in method_file or []]
    if methods is not None:
        methods = ",".join([methods, *files])
    common: dict[str, Any] = {
        "reference": reference, "seeds": seeds, "worlds": worlds, "rules": rules,
        "data_root": data_root, "features": features, "images": images, "backbone": backbone,
        "weights": weights, "words": words, "descriptions": descriptions, "resplit": resplit,
    }  # fmt: skip
    if suite is not None:
        if methods is not None:
            raise ZslbenchError(f"--methods {methods}: the suite names its rows; leave it out.")
        table = suite_table(suite, dataset=dataset, **common)
    elif dataset is not None:
        table = options_table(methods=methods, dataset=dataset, **common)
    elif tune:
        raise ZslbenchError("--tune: name a suite, or datasets with --dataset.")
    elif plan:
        raise ZslbenchError("--plan: name a suite, or datasets with --dataset.")
    else:
        with uncollected():
            board = tracked(results, opt.parse_list(rules or "validation"), reference)
            if os.access(results, os.W_OK):
                write_leaderboard(board, results)
            else:
                say(f"{results} cannot be written to: the table is shown here only")
            draw_leaderboard(board, figures)
            print_leaderboard(board, json=json)
        raise typer.Exit(0)
    if plan and tune:
        raise ZslbenchError("--plan cannot tell what --tune will find: leave one of the two out.")
    if plan:
        show_plan(table, results, retry=retry, json=json)
        raise typer.Exit(0)
    board, report = make(
        table, results, retry=retry, tune=tune, jobs=jobs, engine=engine, address=address
    )
    draw_leaderboard(board, figures)
    print_leaderboard(board, json=json)
    raise typer.Exit(1 if report.failures or report.unreadable > 0 else 0)
