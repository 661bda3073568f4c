"""`zslbench incremental`: methods along task sequences, one table and one curve."""

from typing import Annotated

import typer

from zslbench.cli import options as opt


@opt.spread
def incremental(
    data: opt.ImageOptions,
    engine: opt.EngineOptions,
    suite: Annotated[
        str | None, typer.Argument(help="A suite of task sequences: its name, or your FILE.toml.")
    ] = None,
    methods: Annotated[
        str | None,
        typer.Option(
            help="Methods, where no suite is named (default: nearest_mean,fine_tuning,joint)."
        ),
    ] = None,
    set_: opt.Settings = [],  # noqa: B006 - typer reads it, nobody writes to it
    dataset: Annotated[str | None, typer.Option(help="Datasets (default: the suite's).")] = None,
    base: Annotated[
        int | None, typer.Option(help="Classes of the first task; 0: as every other (B0).")
    ] = None,
    increment: Annotated[int | None, typer.Option(help="Classes of every other task.")] = None,
    seeds: opt.Seeds = None,
    reference: Annotated[
        str | None, typer.Option(help="Row to take all paired differences from.")
    ] = None,
    retry: opt.Retry = False,
    results: opt.Results = opt.RESULTS,
    json: opt.Json = False,
) -> None:
    """Learn the seen classes a few at a time: accuracy after each task as a table and a curve.

    B0-IncN gives every task N classes, Bm-IncN a first task of m. Images of old and of later tasks
    are out of a method's reach; test labels are opened once a run. What is finished is not run
    again. Exit status 1 if a run failed.

    Examples:
      zslbench incremental plumage_spa

      zslbench incremental --dataset plumage --increment 12

      zslbench incremental --dataset CUB --data-root ~/data --base 50 --increment 20 \
--backbone clip:ViT-B-16.laion400m_e32 --methods spa,zero_shot,nearest_mean
    """
    import zslbench as zsl
    from zslbench.cli.output import print_leaderboard
    from zslbench.studies.incremental.suite import read_incremental_suite
    from zslbench.studies.leaderboard.measure import write_leaderboard

    if dataset is not None:
        names = opt.parse_datasets(dataset)
    else:
        names = read_incremental_suite(suite).datasets if suite else ["plumage"]
    board = zsl.incremental(
        opt.parse_list(methods) if methods else None,
        [data.request(name) for name in names],
        suite=suite,
        base=base,
        increment=increment,
        settings=opt.parse_settings(set_),
        reference=reference,
        seeds=opt.parse_seeds(seeds),
        retry=retry,
        results=results,
        **vars(engine),
    )
    write_leaderboard(board, results)
    print_leaderboard(board, json=json)
    raise typer.Exit(1 if board.failed else 0)
