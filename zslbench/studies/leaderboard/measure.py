"""What `run` and `leaderboard` share: plan, execute, read back, print, write."""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from zslbench.data.load import DataRequest
from zslbench.engines import open_engine
from zslbench.engines.execute import Job, Report, execute
from zslbench.errors import ZslbenchError, unknown
from zslbench.method.registry import method_modules
from zslbench.protocol import RULES
from zslbench.records import Failure, RuleName, RunSpec
from zslbench.report.files import write_text
from zslbench.store import Store, Stored
from zslbench.studies.groups import EXTERNAL, SUBMITTED, title_of
from zslbench.studies.incremental.figures import write_paths
from zslbench.studies.incremental.results import group_incremental, incremental_rows
from zslbench.studies.incremental.tables import incremental_csv
from zslbench.studies.leaderboard.latex import as_latex
from zslbench.studies.leaderboard.page.page import as_page
from zslbench.studies.leaderboard.render import as_csv, as_json, as_markdown
from zslbench.studies.leaderboard.results import Failed, Leaderboard, build_leaderboard
from zslbench.studies.leaderboard.tune import tuned
from zslbench.studies.plan import Entry, plan
from zslbench.studies.progress import Display, say
from zslbench.studies.status import status_of


def work(
    methods: Sequence[str | Entry] | None,
    requests: Sequence[DataRequest],
    *,
    settings: Mapping[str, str | None],
    seeds: Sequence[int] | None,
    worlds: int,
    rules: Sequence[str],
    results: Path,
    reference: str | None = None,
    jobs: int | None = None,
    engine: str = "local",
    address: str | None = None,
    retry: bool = True,
    tune: int = 0,
) -> tuple[Leaderboard, Report]:
    """Run what is missing of a plan; return the plan's leaderboard and what became of it.

    Args:
        methods: Names, or lines of a suite; None: all that the data can serve.
        requests: The datasets.
        settings: What differs from the defaults of the methods named.
        seeds: None: those of the plan.
        worlds: Tuning worlds.
        rules: The rules to show.
        results: The results folder.
        reference: A row's title, or a method.
        jobs: How many at once; None: as many as the engine has by default.
        engine: Its name.
        address: Of a Ray cluster.
        retry: Whether to run what failed before; otherwise it is told as failed.
        tune: Trials to search each config with, whose winner is run in its place; 0: none.
    """
    checked = check_rules(rules)
    check_writable(results)
    store = Store(results)
    with Display() as display, open_engine(jobs, display.tick, engine, address) as opened:
        planned = jobs_of(methods, requests, settings, seeds, worlds, checked, display)
        known_by = {name for job in planned for name in _names(job.label, job.spec)}
        if reference and reference not in known_by:
            raise unknown("reference among these runs", reference, known_by)
        untuned: list[Failure] = []
        if tune:
            planned, untuned = tuned(planned, tune, store, opened)
        known = {} if retry else status_of(planned, store).failed
        report = execute([j for j in planned if j.spec.key not in known], store, engine=opened)
    report.failures[:0] = [*known.values(), *untuned]
    tell(report, store)
    if known:
        say(f"{len(known)} failed before and were left alone: --retry runs them again")
    return _board(planned, store, checked, reference, report, whole=methods is None), report


def jobs_of(
    methods: Sequence[str | Entry] | None,
    requests: Sequence[DataRequest],
    settings: Mapping[str, str | None],
    seeds: Sequence[int] | None,
    worlds: int,
    rules: Sequence[RuleName],
    display: Display,
) -> list[Job]:
    """Return what a table takes; its arguments are those of `work`."""
    return plan(
        sorted(method_modules()) if methods is None else methods,
        requests,
        settings=settings,
        seeds=seeds,
        worlds=worlds,
        published="published" in rules,
        on_skip=say if methods is None else None,
        on_progress=lambda done, total: display.tick("decoding images", done, total),
    )


def _board(
    jobs: Sequence[Job],
    store: Store,
    rules: Sequence[RuleName],
    reference: str | None,
    report: Report,
    *,
    whole: bool,
) -> Leaderboard:
    """Return the leaderboard of a plan, as far as it is done.

    A whole one, of all methods, also shows what was submitted on the same data.
    """
    keys = {job.spec.key for job in jobs}
    stored = store.runs(keys)
    hidden = len(keys - {failure.spec.key for failure in report.failures}) - len(stored)
    if hidden > 0:
        why = store.error or "they were removed meanwhile"
        say(f"{hidden} finished runs cannot be read back now and are not shown: {why}")
        report.unreadable = 0 if store.error else hidden
    labels = {job.spec.choice_key: job.label for job in jobs if job.label}
    specs = [run.record.spec for run in stored]
    if reference and not any(reference in _names(labels.get(s.choice_key, ""), s) for s in specs):
        say(f"no run of the reference {reference} is done: there are no differences to show")
        reference = None
    submitted = _submitted(store, {job.spec.dataset for job in jobs}) if whole else []
    board = build_leaderboard([*stored, *submitted], store.ledger(), rules, reference, labels)
    place = {(job.spec.dataset, job.label): number for number, job in enumerate(jobs)}
    failures = [
        Failed(f.spec.dataset, _names(labels.get(f.spec.choice_key, ""), f.spec)[0], f.spec.seed,
               f.error)
        for f in report.failures
        if isinstance(f.spec, RunSpec)
    ]  # fmt: skip
    return replace(
        board,
        comparisons=sorted(
            board.comparisons, key=lambda c: place.get((c.dataset, c.method), len(place))
        ),
        planned=len(keys),
        missing=len(keys) - len(stored),
        failures=sorted(failures, key=lambda f: (f.dataset, f.method, f.seed)),
    )


def _submitted(store: Store, datasets: Collection[str]) -> list[Stored]:
    entries = store.index.entries("run")
    return store.runs(
        [e.key for e in entries if e.method.startswith(EXTERNAL) and e.dataset in datasets]
    )


def _names(label: str, spec: RunSpec) -> tuple[str, str]:
    """Return what a row of a table may be called: its title, and its method."""
    return label or title_of(spec.method, spec.settings, spec.tuned), spec.method


def tracked(results: Path, rules: Sequence[str], reference: str | None = None) -> Leaderboard:
    """Return the leaderboard of everything tracked."""
    checked = check_rules(rules)
    store = Store(results)
    stored = store.runs()
    store.sync()
    board = build_leaderboard(stored, store.ledger(), checked, reference)
    rows = incremental_rows(group_incremental(store.sequences()), store.ledger())
    board = replace(board, sequences=rows)
    notice = store.notice()
    if not board.rows and not rows:
        raise ZslbenchError(
            f"{store.results} has no finished runs of its own to show. {notice}"
            if notice
            else f"{store.results} holds no finished runs with the rules {', '.join(rules)}. "
            "Start one: zslbench run eszsl --dataset NAME --data-root DIR."
        )
    if notice:
        say(notice)
    for rule in checked:
        without = sum(not {rule, SUBMITTED} & run.record.rules.keys() for run in stored)
        if without:
            say(
                f"{without} of {len(stored)} runs were not read by the rule {rule} and have no row "
                f"of it: `zslbench leaderboard --dataset NAME --rules {rule}` runs them"
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
    tell_failures(report.failures, store)


def tell_failures(failures: Sequence[Failure], store: Store) -> None:
    """Say what failed, and what still waits for the server."""
    for failure in failures:
        say(f"failed: {failure.spec.method} on {failure.spec.dataset}, seed {failure.spec.seed}: "
            f"{failure.error}")  # fmt: skip
    if notice := store.notice():
        say(notice)


def draw_leaderboard(board: Leaderboard, folder: Path | None) -> None:
    """Write its figures for papers, where a folder is named."""
    if folder:
        from zslbench.studies.leaderboard.page.paper import write_paper_figures

        say(f"{len(write_paper_figures(board, folder))} figures for papers are in {folder}")


def write_leaderboard(board: Leaderboard, results: Path, name: str = "leaderboard") -> None:
    """Write NAME.{md,csv,json,html,tex}, each whole or not at all; of task sequences NAME-tasks.*.

    CSV and LaTeX have runs in seen/unseen worlds alone; task sequences have a CSV file and a figure
    of their own.
    """
    import json

    texts = {
        ".md": as_markdown(board),
        ".json": json.dumps(as_json(board), indent=2, allow_nan=False) + "\n",
        ".html": as_page(board),
    }
    if board.rows or not board.sequences:
        texts |= {".csv": as_csv(board), ".tex": as_latex(board)}
    if board.sequences:
        texts["-tasks.csv"] = incremental_csv(board.sequences)
        write_paths(results, name, board.sequences)
    for suffix, text in texts.items():
        write_text(results / f"{name}{suffix}", text)
