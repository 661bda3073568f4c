"""`zslbench sync`: upload what waits in the outbox."""

from zslbench.cli import options as opt


def sync(results: opt.Results = opt.RESULTS, json: opt.Json = False) -> None:
    """Upload records that could not be uploaded when they were made.

    Examples:
      zslbench sync

      MLFLOW_TRACKING_URI=http://server:5000 zslbench sync --results results
    """
    from dataclasses import asdict

    import typer

    from zslbench.cli.output import print_json
    from zslbench.store import Store

    store = Store(results)
    report = store.sync()
    if json:
        print_json({"uri": store.uri, **asdict(report)})
    else:
        print(f"{report.uploaded} uploaded to {store.uri}, {report.left} left in the outbox")
        if report.error:
            print(f"MLflow could not be reached: {report.error}")
        elif report.left:
            print("zslbench doctor says what is wrong with them")
    raise typer.Exit(1 if report.left else 0)
