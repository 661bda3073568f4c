"""`zslbench ablate`: what each part is worth, as differences from the whole."""

from typing import Annotated

import typer

from zslbench.cli import options as opt


def ablate(
    suite: Annotated[
        str, typer.Argument(help="An ablation table as a suite: its name, or your own FILE.toml.")
    ],
    dataset: opt.TableDataset = None,
    reference: Annotated[
        str | None, typer.Option(help="Row to take the differences from (default: the suite's).")
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
    plan: opt.Plan = False,
    retry: opt.Retry = False,
    jobs: opt.Jobs = None,
    engine: opt.EngineName = "local",
    address: opt.Address = None,
    results: opt.Results = opt.RESULTS,
    json: opt.Json = False,
) -> None:
    """Run what is missing of a suite, print how each row differs from the reference row.

    Differences are paired over images and seeds, p values adjusted for their number (Holm). The
    same files are written as by `zslbench leaderboard SUITE`, with the numbers themselves.

    Examples:
      zslbench ablate plumage_svip_table2

      zslbench ablate svip_table2 --data-root ~/data --words glove.txt --plan

      zslbench ablate svip_table2 --dataset CUB --data-root ~/data --words glove.txt

      zslbench ablate my_ablation.toml --retry
    """
    from zslbench.cli.output import print_document, print_json
    from zslbench.cli.studies.plan import show_plan
    from zslbench.cli.studies.table import make, suite_table
    from zslbench.errors import ZslbenchError
    from zslbench.studies.leaderboard.tables import differences

    table = suite_table(
        suite,
        dataset=dataset,
        reference=reference,
        seeds=seeds,
        worlds=worlds,
        rules=rules,
        data_root=data_root,
        features=features,
        images=images,
        backbone=backbone,
        weights=weights,
        words=words,
        descriptions=descriptions,
        resplit=resplit,
    )
    if not table.reference:
        raise ZslbenchError(f"{suite} has no reference row: name one with --reference ROW.")
    if plan:
        show_plan(table, results, retry=retry, json=json)
        raise typer.Exit(0)
    board, report = make(table, results, retry=retry, jobs=jobs, engine=engine, address=address)
    if json:
        print_json(board.to_dict())
    else:
        print_document(differences(board))
    raise typer.Exit(1 if report.failures or report.unreadable > 0 else 0)
