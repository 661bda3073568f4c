"""`zslbench calibrate`: a finished run's curve over gamma, from its kept scores."""

from typing import Annotated

import typer

from zslbench.cli import options as opt

SPACES = ("logit", "probability")


def calibrate(
    run: Annotated[
        str, typer.Argument(help="The start of a run's key, or its id in MLflow.", metavar="RUN")
    ],
    space: Annotated[str, typer.Option(help="Where gamma acts: logit or probability.")] = "logit",
    results: opt.Results = opt.RESULTS,
    json: opt.Json = False,
) -> None:
    """Show U, S and H at every gamma, at the epoch of each rule; nothing is trained or opened.

    Table, curves and figure go to results/calibration/. Keys of runs are in leaderboard.html under
    "provenance", and in the answer to a key that does not exist.

    Examples:
      zslbench calibrate 3fa9c2

      zslbench calibrate 3fa9c2 --space probability

      zslbench calibrate 3fa9c2 --json
    """
    from zslbench.cli.output import print_result
    from zslbench.errors import unknown
    from zslbench.report.files import write_figure
    from zslbench.store import Store, find_run
    from zslbench.studies.calibrate.measure import calibrate as read
    from zslbench.studies.calibrate.results import draw
    from zslbench.studies.progress import say
    from zslbench.studies.session import check_writable

    if space not in SPACES:
        raise unknown("space", space, SPACES)
    check_writable(results)
    found = read(find_run(Store(results), run), "probability" if space == SPACES[1] else "logit")
    folder = results / "calibration"
    for kind in ("md", "csv"):
        found.save(folder / f"{found.name}.{kind}")
    write_figure(folder, found.name, draw(found))
    print_result(found, json=json)
    say(f"written: {folder / found.name}.{{md,csv,png,pdf}}")
