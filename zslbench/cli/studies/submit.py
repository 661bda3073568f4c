"""`zslbench submit`: someone else's scores, read in our protocol."""

from pathlib import Path
from typing import Annotated

import typer

from zslbench.cli import options as opt


def submit(
    dataset: opt.Dataset,
    files: Annotated[
        list[Path] | None, typer.Argument(help="Filled templates, one for each seed.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name in the tables, as external:NAME.")] = None,
    template: Annotated[
        Path | None, typer.Option(help="Write a template file to fill in, then exit.")
    ] = None,
    data_root: opt.DataRoot = opt.DATA_ROOT,
    results: opt.Results = opt.RESULTS,
    details: opt.Details = False,
    json: opt.Json = False,
) -> None:
    """Score a matrix that you bring: a score for each test item and each class.

    The template holds `items` (test items, numbered as in res101.mat from 0) and `classes` (seen
    ones first), whose order is checked, `scores` to fill in, and `gamma` (0), subtracted from the
    seen classes' scores: choose it on your own validation classes. Each file opens the test
    labels once, which the ledger counts. The row is marked external in every table: the protocol
    cannot know how the scores were made, or whether test images were used.

    Examples:
      zslbench submit --template mine.npz --dataset CUB --data-root ~/data

      zslbench submit mine.npz --name MyViT --dataset CUB --data-root ~/data

      zslbench submit seed0.npz seed1.npz seed2.npz --name MyViT --dataset plumage
    """
    from zslbench.cli.output import decoded, print_leaderboard
    from zslbench.data.load import DataRequest
    from zslbench.errors import ZslbenchError
    from zslbench.protocol import final_world
    from zslbench.store import Store
    from zslbench.studies.leaderboard.results import build_leaderboard
    from zslbench.studies.session import check_writable
    from zslbench.studies.submit.measure import submit as score
    from zslbench.studies.submit.submission import read_submission, write_template

    if (template is None) == (not files):
        raise ZslbenchError("Name either files to score, or --template FILE to write one.")
    if files and name is None:
        raise ZslbenchError("--name is missing: name the row, such as --name MyViT.")
    data = decoded(DataRequest(dataset, data_root, resplit=True, bare=True))
    world = final_world(data)
    if template is not None:
        write_template(template, world)
        print(template)
        return
    found = [read_submission(path, world) for path in files or ()]
    check_writable(results)
    store = Store(results)
    keys = score(found, name or "", data, store)
    store.sync(again=True)
    print_leaderboard(
        build_leaderboard(store.runs(keys), store.ledger(), ()), json=json, details=details
    )
