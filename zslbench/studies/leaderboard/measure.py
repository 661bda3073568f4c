"""A leaderboard: run what is missing, read back what is finished, write it."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Unpack

from zslbench.engines.execute import Job, execute
from zslbench.errors import ZslbenchError, unknown
from zslbench.records import Failure, RunSpec
from zslbench.report.files import write_text
from zslbench.report.records import csv_text, flat
from zslbench.store import Store, Stored
from zslbench.store.garbage import uncollected
from zslbench.studies.archive import opened
from zslbench.studies.groups import EXTERNAL, SUBMITTED, called
from zslbench.studies.incremental.figures import write_paths
from zslbench.studies.incremental.results import group_incremental, incremental_rows
from zslbench.studies.leaderboard.plan.planned import PlannedTable, restore_all
from zslbench.studies.leaderboard.plan.request import TableRequest, check_rules
from zslbench.studies.leaderboard.plan.tune import tuned
from zslbench.studies.leaderboard.results import Leaderboard, build_leaderboard
from zslbench.studies.leaderboard.rows import Failed
from zslbench.studies.progress import say
from zslbench.studies.session import EngineChoice, reference_done, report, session
from zslbench.studies.status import status_of


def make(
    table: TableRequest,
    results: Path,
    *,
    retry: bool = True,
    tune: int = 0,
    study: Path | None = None,
    **engine: Unpack[EngineChoice],
) -> Leaderboard:
    """Run what is missing of a table; return it, as far as it is done.

    Args:
        table: What is asked for.
        results: The results folder.
        retry: Whether to run again what failed before; otherwise it is reported as failed.
        tune: Trials to search each config with, whose winner is run in its place; 0: none.
        study: A folder of archives: what they have is not run, and the table's own is written.
        engine: Where the runs are done.

    Raises:
        ZslbenchError: On an unknown name, a setting out of bounds, data that cannot be used.
    """
    with session(results, **engine) as at:
        if study:
            restore_all(study, at.store)
        planned = table.jobs(at.reading)
        _check_reference(table.reference, ((job.label, job.spec) for job in planned))
        untuned: list[Failure] = []
        if tune:
            planned, untuned = tuned(planned, tune, at.store, at.engine)
        known = {} if retry else status_of(planned, at.store).failed
        wanted = [job for job in planned if job.spec.key not in known]
        asked = PlannedTable.of(table, planned, tuned=tune > 0)
        try:
            done = execute(wanted, at.store, engine=at.engine)
        finally:  # a stopped study resumes from what is finished
            if study:
                asked.archive(at.store, study)
    done.failures[:0] = [*known.values(), *untuned]
    report(done, at.store)
    if known:
        say(f"{len(known)} failed before and were left alone: --retry runs them again")
    others = _submitted(at.store, planned) if table.methods is None and not study else []
    board = _board(asked, at.store, others)
    labels = {run.key: run.label for run in asked.runs}
    failures = [Failed.of(each, labels.get(each.spec.key, "")) for each in done.failures]
    failed = {failure.spec.key for failure in done.failures}
    hidden = len(labels.keys() - failed) - (board.planned - board.missing)
    if hidden > 0:
        why = at.store.error or "they were removed meanwhile"
        say(f"{hidden} finished runs cannot be read back now and are not shown: {why}")
    return replace(
        board,
        failures=sorted(failures, key=lambda f: (f.dataset, f.method, f.seed)),
        unreadable=0 if at.store.error else max(hidden, 0),
    )


def show(archive: Path, reference: str | None = None) -> Leaderboard:
    """Return the table of an archive, as it was when it was packed; nothing is run.

    Args:
        archive: The file.
        reference: The row to take paired differences from; None: the one it was packed with.

    Raises:
        DataError: If it is no archive of a table.
        ZslbenchError: If it has no such row.
    """
    with opened(archive) as store:
        table = PlannedTable.read(store, archive)
        if reference is not None:
            labels = {run.key: run.label for run in table.runs}
            specs = [run.record.spec for run in store.runs(labels.keys())]
            _check_reference(reference, ((labels[spec.key], spec) for spec in specs))
            table = table.model_copy(update={"reference": reference})
        return _board(table, store)


def _board(table: PlannedTable, store: Store, others: Sequence[Stored] = ()) -> Leaderboard:
    """Return the leaderboard of a plan, as far as it is done, with what was handed in beside it."""
    keys = {run.key for run in table.runs}
    stored = store.runs(keys)
    specs = {run.record.key: run.record.spec for run in stored}
    own = {run.key: run.label for run in table.runs if run.label}
    labels = {spec.choice_key: own[key] for key, spec in specs.items() if key in own}
    known = {name for key, spec in specs.items() for name in _names(own.get(key, ""), spec)}
    reference = reference_done(table.reference, known)
    board = build_leaderboard([*stored, *others], store.ledger(), table.rules, reference, labels)
    place = {(run.dataset, run.label): number for number, run in enumerate(table.runs)}
    return replace(
        board,
        title=table.title,
        about=table.about,
        name=table.name,
        comparisons=sorted(
            board.comparisons, key=lambda c: place.get((c.dataset, c.method), len(place))
        ),
        planned=len(keys),
        missing=len(keys) - len(stored),
    )


def _submitted(store: Store, jobs: Sequence[Job]) -> list[Stored]:
    datasets, entries = {job.spec.dataset for job in jobs}, store.index.entries("run")
    return store.runs(
        [e.key for e in entries if e.method.startswith(EXTERNAL) and e.dataset in datasets]
    )


def _check_reference(reference: str, rows: Iterable[tuple[str, RunSpec]]) -> None:
    known = {name for label, spec in rows for name in _names(label, spec)}
    if reference and reference not in known:
        raise unknown("reference among these runs", reference, known)


def _names(label: str, spec: RunSpec) -> tuple[str, str]:
    """Return what a row of a table may be called: its title, and its method."""
    return called(spec, label), spec.method


@uncollected()
def tracked(results: Path, rules: Sequence[str], reference: str | None = None) -> Leaderboard:
    """Return the leaderboard of everything tracked."""
    checked = check_rules(rules)
    store = Store(results)
    stored = store.runs()
    store.sync()
    board = build_leaderboard(stored, store.ledger(), checked, reference)
    rows = incremental_rows(group_incremental(store.incremental()), store.ledger())
    board = replace(board, incremental=rows)
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


def draw_leaderboard(board: Leaderboard, folder: Path | None) -> None:
    """Write its figures for papers, where a folder is named."""
    if folder:
        from zslbench.studies.leaderboard.paper import write_paper_figures

        say(f"{len(write_paper_figures(board, folder))} figures for papers are in {folder}")


@uncollected()
def write_leaderboard(board: Leaderboard, results: Path) -> None:
    """Write NAME.{md,csv,json,html,tex}, each whole or not at all; of task sequences NAME-tasks.*.

    CSV and LaTeX have runs in seen/unseen worlds alone; task sequences have a CSV file and a figure
    of their own.
    """
    if results.exists() and not os.access(results, os.W_OK):
        say(f"{results} cannot be written to: the table is only printed")
        return
    alone, name = board.incremental and not board.rows, board.name
    suffixes = ("md", "json", "html", *(() if alone else ("csv", "tex")))
    for suffix in suffixes:
        board.save(results / f"{name}.{suffix}")
    if board.incremental:
        write_text(
            results / f"{name}-tasks.csv", csv_text([flat(row) for row in board.incremental])
        )
        write_paths(results, name, board.incremental)
    more = f", {name}-tasks.{{csv,png,pdf}}" if board.incremental else ""
    say(f"written: {results / name}.{{{','.join(suffixes)}}}{more}")
