"""`zslbench leaderboard`: run what is missing, print the table, write it."""

from pathlib import Path
from typing import Annotated, Any

import typer

from zslbench.cli import options as opt

PublishedSuite = Annotated[
    str | None,
    typer.Argument(
        help="A published table as a suite: its name, or your own FILE.toml. A study's "
        "archive, FILE.tar.xz, is shown as it is, or with another --reference."
    ),
]
Datasets = Annotated[
    str | None,
    typer.Option("--dataset", help="Datasets to complete, such as CUB,SUN (default: the suite's)."),
]
Methods = Annotated[
    str | None, typer.Option(help="Methods to complete (default: all that the data can serve).")
]
Reference = Annotated[
    str | None, typer.Option(help="Row or method to print all paired differences from.")
]
Differences = Annotated[
    bool, typer.Option("--differences", help="Print the table of paired differences alone.")
]
SuiteWorlds = Annotated[
    int | None,
    typer.Option(min=1, max=20, help="Number of validation splits (default: the suite's, or 3); "
                                     "fewer than 3 is flagged."),
]  # fmt: skip
SuiteTuningSeeds = Annotated[int | None, typer.Option(min=1, max=20, help=opt.TUNING_SEEDS)]
SuiteRules = Annotated[
    str | None,
    typer.Option("--rules", "--rule",
                 help="Rules to show: validation (default), last, published (chosen on test)."),
]  # fmt: skip
Tune = Annotated[
    int,
    typer.Option(
        min=0,
        help="Search every method's own space, learning rate and weight decay included, "
        "with this many trials in the tuning worlds, and run the winners in a separate table.",
    ),
]
Study = Annotated[
    Path | None,
    typer.Option(help="Folder of a published study: what its archives have is not run again, and "
                      "the archive and the files of this table are written there."),
]  # fmt: skip
Figures = Annotated[Path | None, typer.Option(help="Folder for figures for papers, PDF and PNG.")]


@opt.spread
def leaderboard(
    data: opt.DataOptions,
    engine: opt.EngineOptions,
    suite: PublishedSuite = None,
    dataset: Datasets = None,
    methods: Methods = None,
    method_file: opt.MethodFiles = None,
    reference: Reference = None,
    differences: Differences = False,
    seeds: opt.Seeds = None,
    worlds: SuiteWorlds = None,
    tuning_seeds: SuiteTuningSeeds = None,
    rules: SuiteRules = None,
    tune: Tune = 0,
    plan: opt.Plan = False,
    retry: opt.Retry = False,
    study: Study = None,
    results: opt.Results = opt.RESULTS,
    figures: Figures = None,
    details: opt.Details = False,
    json: opt.Json = False,
) -> None:
    """Run what is missing, print the leaderboard, write results/leaderboard.{md,csv,json,html,tex}.

    A suite is a published table as data (docs/suites.md); its output files carry its name. Without
    suite and --dataset nothing is run: the table shows everything tracked. A run that failed before
    is listed, and run again with --retry. Differences are paired over images and seeds, p values
    adjusted for their number (Holm). Exit status 1 if a run is missing from the table.

    Examples:
      zslbench leaderboard plumage_svip_table1

      zslbench leaderboard svip_table1 --data-root ~/data --words glove.txt --plan

      zslbench leaderboard plumage_svip_table2 --differences

      zslbench leaderboard plumage_svip_table1 --rules validation,published

      zslbench leaderboard --dataset CUB,AWA2,SUN --data-root ~/data

      zslbench leaderboard --dataset plumage,plumage:clutter=90,spurious=0 --methods eszsl,svip

      zslbench leaderboard --dataset plumage --reference vit_attr_head

      zslbench leaderboard --dataset plumage --methods eszsl --method-file my_method.py

      zslbench leaderboard --dataset plumage --jobs 2

      zslbench leaderboard --dataset CUB,AWA2,SUN --engine ray --address HOST:6379

      zslbench leaderboard --dataset CUB --data-root ~/data --methods eszsl,sae,ale --tune 50

      zslbench leaderboard real_features --data-root ~/data --study results/studies/real_features

      zslbench leaderboard results/studies/real_features/real_features.tar.xz

      zslbench leaderboard real_maps.tar.xz --reference DAZLE --differences

      zslbench leaderboard

      zslbench leaderboard --figures paper/figures
    """
    import zslbench as zsl
    from zslbench.cli.output import print_leaderboard, print_result
    from zslbench.method.registry import register_file
    from zslbench.studies.archive import SUFFIX
    from zslbench.studies.leaderboard.measure import draw_leaderboard, write_leaderboard
    from zslbench.studies.leaderboard.plan.outlook import outlook
    from zslbench.studies.leaderboard.plan.request import request_table
    from zslbench.studies.leaderboard.plan.suite import read_suite

    if plan and (tune or study):
        raise zsl.ZslbenchError(
            "plan cannot tell what tune will find or a study has: leave one of the two out."
        )
    if method_file and (suite is not None or dataset is None):
        raise zsl.ZslbenchError("--method-file goes with --dataset and without a suite.")
    files = [register_file(path) for path in method_file or []]
    names = None if dataset is None else opt.parse_datasets(dataset)
    shown = suite is not None and suite.endswith(SUFFIX)
    if suite is not None and dataset is None and not shown:
        names = read_suite(suite).datasets
    asked: dict[str, Any] = {
        "methods": [*opt.parse_list(methods), *files] if methods else None,
        "data": None if names is None else [data.request(name) for name in names],
        "suite": suite,
        "reference": reference,
        "seeds": opt.parse_seeds(seeds),
        "worlds": worlds,
        "tuning_seeds": tuning_seeds,
        "rules": opt.parse_list(rules) if rules else None,
    }
    if differences and not (reference or shown or (suite and read_suite(suite).reference)):
        raise zsl.ZslbenchError(
            f"{suite or '--differences'} has no reference row: name one with --reference ROW."
        )
    if plan:
        print_result(outlook(request_table(**asked), results, retry=retry), json=json)
        return
    board = zsl.leaderboard(
        **asked, tune=tune, retry=retry, study=study, results=results, **vars(engine)
    )
    write_leaderboard(board, study or results)
    draw_leaderboard(board, figures)
    print_leaderboard(board, json=json, details=details, differences=differences)
    raise typer.Exit(1 if board.failed else 0)
