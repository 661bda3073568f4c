"""`zslbench ui`: MLflow's page on this machine."""

from typing import Annotated

import typer

from zslbench.cli import options as opt


def ui(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on localhost.")] = 5000,
    results: opt.Results = opt.RESULTS,
    json: opt.Json = False,
) -> None:
    """Start the MLflow UI on localhost.

    Examples:
      zslbench ui

      zslbench ui --port 5001 --results results
    """
    import os
    import sys

    from zslbench.cli.output import print_json
    from zslbench.errors import ZslbenchError
    from zslbench.store import Store
    from zslbench.studies.progress import say

    store = Store(results)
    if store.mirror.server:
        raise ZslbenchError(f"MLFLOW_TRACKING_URI is set: your runs are on {store.uri} already.")
    store.check()
    store.client  # noqa: B018 - makes the database where there is none, and follows a move
    store.sync()
    address = f"http://127.0.0.1:{port}"
    if json:
        print_json({"address": address, "uri": store.mirror.uri})
        sys.stdout.flush()
    say(f"{address} (ctrl-c ends it)")
    settings = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", store.mirror.uri,
               "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]  # fmt: skip
    os.execve(sys.executable, command, {**os.environ, **settings})
