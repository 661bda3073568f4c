"""What `leaderboard` and `ablate` share: the table that is asked for, and its making."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from zslbench.cli import options as opt
from zslbench.cli.output import print_result
from zslbench.data.load import DataRequest
from zslbench.engines.execute import Report
from zslbench.studies.leaderboard.measure import work, write_leaderboard
from zslbench.studies.leaderboard.results import TITLE, Leaderboard
from zslbench.studies.leaderboard.suite import Suite, read_suite
from zslbench.studies.plan import Entry
from zslbench.studies.progress import say


@dataclass(frozen=True)
class TableRequest:
    """A table that is asked for.

    Attributes:
        name: Of the files it is written to.
        methods: Names, or lines of a suite; None: all that the data can serve.
        requests: The datasets.
        seeds: None: those of the plan.
        reference: Of the differences; may be empty.
    """

    name: str
    title: str
    about: str
    methods: Sequence[str | Entry] | None
    requests: Sequence[DataRequest]
    seeds: Sequence[int] | None
    worlds: int
    rules: Sequence[str]
    reference: str


def suite_table(
    name: str,
    *,
    dataset: str | None,
    reference: str | None,
    seeds: str | None,
    worlds: int | None,
    rules: str | None,
    data_root: Path,
    features: str | None,
    backbone: str | None,
    words: str | None,
    **data: Any,
) -> TableRequest:
    """Return the table of a suite; what the command line says goes before what the suite says."""
    read = read_suite(name)
    suite = read.model_copy(update={"seeds": opt.parse_seeds(seeds) or read.seeds})
    names = opt.parse_datasets(dataset) if dataset else suite.datasets
    data |= {
        "features": features or suite.features,
        "backbone": backbone or suite.backbone,
        "words": words or suite.words,
        "pair": suite.pair,
    }
    return TableRequest(
        name=suite.name,
        title=suite.title,
        about=_about(suite),
        methods=suite.entries(),
        requests=[DataRequest(each, data_root, **data) for each in names],
        seeds=None,
        worlds=worlds or suite.worlds,
        rules=opt.parse_list(rules) if rules else suite.rules,
        reference=suite.reference if reference is None else reference,
    )


def _about(suite: Suite) -> str:
    source = f"After {suite.source}." if suite.source else ""
    return " ".join(filter(None, (source, " ".join(suite.about.split()))))


def options_table(
    *,
    methods: str | None,
    dataset: str,
    reference: str | None,
    seeds: str | None,
    worlds: int | None,
    rules: str | None,
    data_root: Path,
    **data: Any,
) -> TableRequest:
    """Return the table that options alone ask for."""
    return TableRequest(
        name="leaderboard",
        title=TITLE,
        about="",
        methods=opt.parse_list(methods) if methods else None,
        requests=[DataRequest(each, data_root, **data) for each in opt.parse_datasets(dataset)],
        seeds=opt.parse_seeds(seeds),
        worlds=worlds or 3,
        rules=opt.parse_list(rules or "validation"),
        reference=reference or "",
    )


def make(
    table: TableRequest,
    results: Path,
    *,
    retry: bool,
    tune: int = 0,
    jobs: int | None,
    engine: str,
    address: str | None,
) -> tuple[Leaderboard, Report]:
    """Run what is missing of a table, write it to the results folder, and return it."""
    board, report = work(
        table.methods,
        table.requests,
        settings={},
        seeds=table.seeds,
        worlds=table.worlds,
        rules=table.rules,
        results=results,
        reference=table.reference or None,
        retry=retry,
        tune=tune,
        jobs=jobs,
        engine=engine,
        address=address,
    )
    board = replace(board, title=table.title, about=table.about)
    name = f"{table.name}-tuned" if tune else table.name
    write_leaderboard(board, results, name)
    say(f"written: {results / name}.{{md,csv,json,html,tex}}")
    return board, report


def print_leaderboard(board: Leaderboard, *, json: bool) -> None:
    """Print it to standard output."""
    if json or board.rows or board.sequences:
        print_result(board, json=json)
