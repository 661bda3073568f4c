"""`zslbench doctor`: is everything in order, and if not, what to do."""

from pathlib import Path
from typing import Annotated, Any

import typer

from zslbench.cli import options as opt


def doctor(
    data_root: Annotated[
        Path | None,
        typer.Option(
            "--data-root", envvar="ZSLBENCH_DATA", help="Folder of datasets to check as well."
        ),
    ] = None,
    results: opt.Results = opt.RESULTS,
    json: opt.Json = False,
) -> None:
    """Check environment, data, and store; exit status 1 if anything needs attention.

    Examples:
      zslbench doctor

      zslbench doctor --data-root ~/data
    """
    from zslbench.cli.output import print_json
    from zslbench.environment import environment

    found = [
        _check_arithmetic(),
        *_check_methods(),
        *_check_store(results),
        *_check_data(data_root),
    ]
    if json:
        print_json({"environment": environment(), "checks": found})
    else:
        for name, value in environment().items():
            print(f"{name:10} {value}")
        for check in found:
            print(f"{'ok' if check['ok'] else 'ATTENTION':10} {check['what']}")
    raise typer.Exit(0 if all(check["ok"] for check in found) else 1)


def _check(ok: bool, what: str) -> dict[str, Any]:
    return {"ok": ok, "what": what}


def _check_arithmetic() -> dict[str, Any]:
    from zslbench.arithmetic import PRECISION, device, multiplies_bf16

    faster = PRECISION == "float32" and device().type == "cpu" and multiplies_bf16()
    hint = ": ZSLBENCH_PRECISION=bfloat16 is faster on this processor" if faster else ""
    return _check(True, f"networks train in {PRECISION}{hint}")


def _check_methods() -> list[dict[str, Any]]:
    from zslbench.method import registry

    known = [
        *(("method", name, registry.load_method) for name in sorted(registry.method_modules())),
        *(("incremental method", name, registry.load_incremental)
          for name in sorted(registry.incremental_modules())),
    ]  # fmt: skip
    checks = [_check(False, f"package {name} {why}") for name, why in registry.broken.items()]
    for kind, name, load in known:
        try:
            load(name)
            checks.append(_check(True, f"{kind} {name}"))
        except Exception as error:  # a third party's file may raise anything at import
            checks.append(_check(False, f"{kind} {name}: {type(error).__name__}: {error}"))
    return checks


def _check_store(results: Path) -> list[dict[str, Any]]:
    from zslbench.errors import DataError
    from zslbench.store import Store

    store = Store(results)
    if not store.results.is_dir():
        return [_check(True, f"store: {store.results} is made by the first run")]
    checks = []
    names = store.folders.names()
    for name in names:
        kind, _, key = name.partition("-")
        try:
            store.folders.read(kind, key)
        except DataError as error:
            checks.append(_check(False, str(error)))
    checks.append(_check(True, f"store: {len(names)} records in {store.folders.folder}"))
    if not store.writable:
        return [*checks, _check(False, f"store: {store.results} cannot be written to")]
    left = store.sync().left
    note = f", {left} records wait for the next command" if left else ", has every record"
    checks.append(_check(not store.error and not left, store.error or f"MLflow: {store.uri}{note}"))
    return checks


def _check_data(root: Path | None) -> list[dict[str, Any]]:
    from zslbench.data.load import find_datasets
    from zslbench.data.verify import verify

    if root is None:
        return []

    checks = []
    for name in find_datasets(root):
        problems = verify(name, root).problems
        checks += [_check(False, f"data: {problem}") for problem in problems]
        checks += [] if problems else [_check(True, f"data: {name}")]
    return checks
