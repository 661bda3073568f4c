"""The command line: one small file for each command; heavy packages load inside commands."""

import json
import sys
from contextlib import suppress

import typer

from zslbench.cli.options import Command
from zslbench.cli.studies import baseline
from zslbench.cli.studies.calibrate import calibrate
from zslbench.cli.studies.explain import explain
from zslbench.cli.studies.incremental import incremental
from zslbench.cli.studies.leaderboard import leaderboard
from zslbench.cli.studies.regress import BISECT, regress
from zslbench.cli.studies.run import run
from zslbench.cli.studies.sensitivity import sensitivity
from zslbench.cli.studies.submit import submit
from zslbench.cli.studies.sweep import sweep
from zslbench.cli.tools import data, site
from zslbench.cli.tools.bundles import export, import_, verify
from zslbench.cli.tools.doctor import doctor
from zslbench.cli.tools.features import features
from zslbench.cli.tools.methods import methods
from zslbench.cli.tools.published import published
from zslbench.cli.tools.ui import ui
from zslbench.errors import ZslbenchError
from zslbench.inputs import recordable
from zslbench.startup import make_lenient

app = typer.Typer(
    name="zslbench",
    help="A benchmark for zero-shot learning: everything chosen on validation classes, test labels "
    "read once per run, every number with an interval.",
    epilog="First: zslbench run eszsl --dataset plumage. Then: zslbench data fetch CUB --data-root "
    "DIR, and zslbench run eszsl --dataset CUB --data-root DIR",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
answers = (run, leaderboard, incremental, sweep, sensitivity, calibrate, explain, submit)
for command in (*answers, export, verify, methods, published, features, ui, doctor, regress):
    app.command(cls=Command)(command)
app.command("import", cls=Command)(import_)
app.add_typer(baseline.app, name="baseline")
app.add_typer(data.app, name="data")
app.add_typer(site.app, name="site")


def main() -> None:
    """Run the command line; what the user can fix is one paragraph and exit status 2."""
    make_lenient()
    status: str | int | None = None
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except ZslbenchError as error:
        status = _refused(error)
    except SystemExit as end:
        status = end.code
    sys.exit(BISECT[2] if status == 2 and "--bisect" in sys.argv else status)


def _refused(error: ZslbenchError) -> int:
    said = recordable(str(error))
    print(f"zslbench: {said}", file=sys.stderr)
    if "--json" in sys.argv:
        with suppress(ZslbenchError):  # it cannot be printed there
            print(json.dumps({"error": said}), flush=True)
    return 2
