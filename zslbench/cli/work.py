"""What `run` and `leaderboard` share: plan, execute, read back, print, write."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from zslbench.cli.output import Display, print_json, print_parts, say
from zslbench.data.load import DataRequest
from zslbench.engines import open_engine
from zslbench.errors import ZslbenchError, unknown
from zslbench.execute import Report, execute
from zslbench.protocol import RULES
from zslbench.records import RuleName
from zslbench.registry import method_modules
from zslbench.report.latex import as_latex
from zslbench.report.leaderboard import Leaderboard, build_leaderboard
from zslbench.report.page import as_page
from zslbench.report.render import as_csv, as_json, as_markdown, as_terminal
from zslbench.studies.plan import plan
from zslbench.tracking import Store


def work(
    methods: Sequence[str] | None,
    requests: Sequence[DataRequest],
    *,
    settings: Mapping[str, str | None],
    seeds: Sequence[int] | None,
    worlds: int,
    rules: Sequence[str],
    results: Path,
    reference: str | None = None,
    jobs: int = 1,
) -> tuple[Leaderboard, Report]:
    """Run what is missing of a plan; return the plan's leaderboard and what became of it.

    Where no methods are named, all that the data can serve are meant.
    """
    checked = check_rules(rules)
    check_writable(results)
    store = Store(results)
    with Display() as display:
        planned = plan(
            sorted(method_modules()) if methods is None else methods,
            requests,
            settings=settings,
            seeds=seeds,
            worlds=worlds,
            published="published" in checked,
            on_skip=say if methods is None else None,
            on_progress=lambda done, total: display.tick("decoding images", done, total),
        )
        with open_engine(jobs, display.tick) as engine:
            report = execute(planned, store, engine=engine)
    tell(report, store)
    keys = {job.spec.key for job in planned}
    stored = [run for run in store.runs() if run.record.key in keys]
    hidden = len(keys - {failure.spec.key for failure in report.failures}) - len(stored)
    if hidden > 0:
        why = "they are on the server" if store.error else "`zslbench doctor` says why"
        say(f"{hidden} finished runs cannot be read back now and are not shown: {why}")
        report.unreadable = 0 if store.error else hidden
    return build_leaderboard(stored, store.ledger(), checked, reference), report


def tracked(results: Path, rules: Sequence[str], reference: str | None = None) -> Leaderboard:
    """Return the leaderboard of everything tracked."""
    checked = check_rules(rules)
    store = Store(results)
    store.sync()
    if store.error:
        raise ZslbenchError(
            f"MLflow at {store.uri} could not be reached ({store.error}). Try again when it is "
            "back; nothing was written."
        )
    board = build_leaderboard(store.runs(), store.ledger(), checked, reference)
    if not board.rows:
        raise ZslbenchError(
            f"{store.uri} holds no finished runs with the rules {', '.join(rules)}. "
            "Start one: zslbench run eszsl --dataset NAME --data-root DIR."
        )
    return board


def check_writable(results: Path) -> None:
    """Refuse a results folder that nothing can be written to, before any work is done."""
    there = next(path for path in (results, *results.resolve().parents) if path.exists())
    writable = there.is_dir() and os.access(there, os.W_OK)
    if not writable:
        raise ZslbenchError(f"--results {results}: nothing can be written there. Name a folder.")


def check_rules(rules: Sequence[str]) -> tuple[RuleName, ...]:
    """Return the rules named, in the protocol's order."""
    for rule in rules:
        if rule not in RULES:
            raise unknown("rule", rule, RULES)
    return tuple(rule for rule in RULES if rule in rules)


def tell(report: Report, store: Store) -> None:
    """Say what was done, what failed, and what still waits for the server."""
    say(f"{report.done} run, {report.reused} reused, {len(report.failures)} failed")
    for failure in report.failures:
        say(f"failed: {failure.spec.method} on {failure.spec.dataset}, seed {failure.spec.seed}: "
            f"{failure.error}")  # fmt: skip
    waiting = len(list(store.outbox))
    if store.error and waiting:
        say(
            f"MLflow at {store.uri} could not be reached ({store.error}). {waiting} records wait "
            f"in {store.outbox.folder}: nothing is lost, `zslbench sync` uploads them."
        )


def print_leaderboard(board: Leaderboard, *, json: bool) -> None:
    """Print it to standard output."""
    if json:
        print_json(as_json(board))
    elif board.rows:
        print_parts(as_terminal(board))


def draw_leaderboard(board: Leaderboard, folder: Path) -> None:
    """Write its figures for papers."""
    from zslbench.report.paper import write_paper_figures

    paths = write_paper_figures(board, folder)
    say(f"{len(paths)} figures for papers are in {folder}")


def write_leaderboard(board: Leaderboard, results: Path) -> None:
    """Write leaderboard.{md,csv,json,html,tex}, each whole or not at all."""
    import json

    results.mkdir(parents=True, exist_ok=True)
    texts = {
        "md": as_markdown(board),
        "csv": as_csv(board),
        "json": json.dumps(as_json(board), indent=2, allow_nan=False) + "\n",
        "html": as_page(board),
        "tex": as_latex(board),
    }
    for suffix, text in texts.items():
        path = results / f"leaderboard.{suffix}"
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
