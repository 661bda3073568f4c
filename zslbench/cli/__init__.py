"""The command line: one small file for each command; heavy packages load inside commands."""

import json
import sys

import typer

from zslbench.cli.studies import (
    baseline,
    calibrate,
    explain,
    incremental,
    leaderboard,
    regress,
    run,
    sensitivity,
    submit,
    sweep,
)
from zslbench.cli.tools import data, doctor, features, methods, published, ui
from zslbench.errors import ZslbenchError

app = typer.Typer(
    name="zslbench",
    help="The honest benchmark for zero-shot learning: everything chosen on validation classes, "
    "test labels opened once, every number with an interval.",
    epilog="First: zslbench data list --data-root DIR, then "
    "zslbench run eszsl --dataset CUB --data-root DIR",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(run.run)
app.command()(leaderboard.leaderboard)
app.command()(incremental.incremental)
app.command()(sweep.sweep)
app.command()(sensitivity.sensitivity)
app.command()(calibrate.calibrate)
app.command()(explain.explain)
app.command()(submit.submit)
app.command()(methods.methods)
app.command()(published.published)
app.command()(features.features)
app.command()(ui.ui)
app.command()(doctor.doctor)
app.command()(regress.regress)
app.add_typer(baseline.app, name="baseline")
app.add_typer(data.app, name="data")


def main() -> None:
    """Run the command line; what the user can mend is one paragraph and exit status 2."""
    try:
        app()
    except ZslbenchError as error:
        print(f"zslbench: {error}", file=sys.stderr)
        if "--json" in sys.argv:
            print(json.dumps({"error": str(error)}))
        sys.exit(2)
    except SystemExit as end:
        if end.code == 2 and "--bisect" in sys.argv:  # an option mistyped
            sys.exit(regress.BISECT[2])
        raise
