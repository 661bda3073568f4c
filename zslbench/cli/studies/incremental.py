"""`zslbench incremental`: methods along task sequences, one table and one curve."""

from typing import TYPE_CHECKING, Annotated

import typer

from zslbench.cli import options as opt

if TYPE_CHECKING:
    from zslbench.studies.incremental.suite import IncrementalSuite

NAME = "incremental"
PEERS = "nearest_mean,fine_tuning,joint"


def incremental(
    suite: Annotated[
        str | None, typer.Argument(help="A suite of task sequences: its name, or your FILE.toml.")
    ] = None,
    methods: Annotated[str, typer.Option(help="Methods, where no suite is named.")] = PEERS,
    set_: Annotated[
        list[str], typer.Option("--set", help="A setting of the methods that have it, key=value.")
    ] = [],  # noqa: B006 - typer reads it, nobody writes to it
    dataset: Annotated[str | None, typer.Option(help="Datasets (default: the suite's).")] = None,
    base: Annotated[
        int | None, typer.Option(help="Classes of the first task; 0: as every other (B0).")
    ] = None,
    increment: Annotated[int | None, typer.Option(help="Classes of every other task.")] = None,
    descriptions: opt.Descriptions = None,
    seeds: opt.Seeds = None,
    reference: Annotated[
        str | None, typer.Option(help="Row to take all paired differences from.")
    ] = None,
    data_root: opt.DataRoot = opt.DATA_ROOT,
    images: opt.Images = None,
    backbone: opt.Backbone = None,
    weights: opt.Weights = None,
    retry: opt.Retry = False,
    jobs: opt.Jobs = None,
    engine: opt.EngineName = "local",
    address: opt.Address = None,
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
    from functools import partial

    from zslbench.cli.studies.sequences import board_of, tell_incremental
    from zslbench.cli.studies.table import print_leaderboard
    from zslbench.data.provide import Datasets
    from zslbench.engines import open_engine
    from zslbench.protocol.tasks import said, task_sizes
    from zslbench.store import Store
    from zslbench.studies.incremental.plan import execute_incremental, plan_incremental
    from zslbench.studies.leaderboard.measure import check_writable, write_leaderboard
    from zslbench.studies.progress import Display, say

    asked = {
        "datasets": opt.parse_datasets(dataset) if dataset else None, "base": base,
        "increment": increment, "seeds": opt.parse_seeds(seeds),
        "reference": reference,
    }  # fmt: skip
    table = _suite(suite, methods, set_, {k: v for k, v in asked.items() if v is not None})
    check_writable(results)
    store, entries = Store(results), table.entries()
    requests = table.requests(
        data_root, images=images, backbone=backbone, weights=weights, descriptions=descriptions
    )
    with Display() as display, open_engine(jobs, display.tick, engine, address) as opened:
        for request in requests:
            # Read here, where it shows, what the plan finds in the cache.
            data = Datasets(request.data, partial(display.tick, "decoding images")).images
            sizes = task_sizes(len(data.seen), request.base, request.increment, request.data.name)
            say(f"{request.data.name}: {said(sizes, table.increment)}")
        planned = plan_incremental(entries, requests, table.seeds)
        report = execute_incremental(planned, store, opened, retry=retry)
    tell_incremental(report, store)
    board = board_of(planned, store, report, table)
    write_leaderboard(board, results, table.name)
    say(f"written: {results / table.name}.{{md,json,html}}, {table.name}-tasks.{{csv,png,pdf}}")
    print_leaderboard(board, json=json)
    raise typer.Exit(1 if report.failures else 0)


def _suite(
    name: str | None, methods: str, pairs: list[str], asked: dict[str, object]
) -> "IncrementalSuite":
    """Return the suite named, or the one that the options alone make; options go first."""
    from zslbench.errors import ZslbenchError
    from zslbench.studies.incremental.suite import (
        IncrementalSuite,
        IncrementalSuiteRow,
        read_incremental_suite,
    )

    settings = opt.parse_settings(pairs)
    if name is not None:
        if methods != PEERS or settings:
            raise ZslbenchError("--methods, --set: the suite names its rows; leave them out.")
        return read_incremental_suite(name).model_copy(update=asked)
    rows = [IncrementalSuiteRow(method=each) for each in opt.parse_list(methods)]
    made = IncrementalSuite(
        name=NAME, title="Task sequences", datasets=["plumage"], increment=12, rows=rows,
        settings=settings,
    )  # fmt: skip
    return made.model_copy(update=asked)
