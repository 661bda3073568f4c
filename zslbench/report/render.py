"""A leaderboard as Markdown, CSV, JSON, and for the terminal. Same rows, same bytes."""

import csv
import io
import json
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from zslbench.report.leaderboard import Row
from zslbench.stats import METRICS, Metric, Population

if TYPE_CHECKING:
    from rich.console import RenderableType

NAMES: dict[Metric, str] = {"t1": "T1", "u": "U", "s": "S", "h": "H", "ausuc": "AUSUC"}
NOTES = (
    "First line: mean over seeds. [ ]: 95 % interval over images and seeds, these classes fixed. "
    "( ): over new classes as well.",
    "p: T1 against 200 permutations of the unseen classes' identities, with their 95th percentile.",
    "Epoch, gamma and open settings were chosen in the tuning worlds, unless the rule is "
    "`published`; opened: times this method has looked at these test labels.",
)


def number(metric: Metric, value: float) -> str:
    """Return a value at the precision tables have: one decimal, three for AUSUC."""
    return f"{value:.3f}" if metric == "ausuc" else f"{value:.1f}"


def span(row: Row, metric: Metric, population: Population) -> str:
    """Return an interval as `low, high`."""
    found = row.intervals[metric][population]
    return f"{number(metric, found.low)}, {number(metric, found.high)}"


def title(row: Row) -> str:
    """Return the method with what differs from its defaults."""
    settings = ", ".join(f"{key}={value}" for key, value in row.settings.items())
    return f"{row.method} ({settings})" if settings else row.method


def details(row: Row) -> list[str]:
    """Return what a reader must know beside the numbers, marks first."""
    chosen = ", ".join(
        f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in row.chosen.items()
    )
    return [
        *(mark.upper() for mark in row.marks),
        f"rule {row.rule}: {chosen}",
        f"{row.backbone} (pretraining: {row.exposure})",
        *([f"words: {row.words}"] if row.words else []),
        f"seeds {', '.join(map(str, row.seeds))}; {row.tuning_worlds} tuning worlds; "
        f"opened {row.openings}",
        f"H at gamma = 0: {row.plain_h:.1f}; T1 at its own epoch: {row.t1_best:.1f}; "
        f"oracle H (test-tuned): {row.oracle_h:.1f}",
    ]


def control(row: Row) -> str:
    """Return the permutation control of T1."""
    return f"p = {row.control.p:.3f} (control {row.control.percentile_95:.1f})"


def as_terminal(rows: Sequence[Row]) -> "list[RenderableType]":
    """Return rich tables, one a dataset, and the notes."""
    from rich.table import Table

    parts: list[Any] = []
    for dataset, group in groupby(rows, key=lambda row: row.dataset):
        table = Table(title=f"{dataset}", title_justify="left", show_lines=True)
        table.add_column("method", overflow="fold")
        for name in NAMES.values():
            table.add_column(name, justify="right", no_wrap=True)
        for row in group:
            cells = [
                f"{number(m, row.value(m))}\n[{span(row, m, 'these_classes')}]\n"
                f"({span(row, m, 'new_classes')})"
                for m in METRICS
            ]
            cells[0] += "\n" + control(row).replace(" (", "\n(")
            table.add_row(_plain("\n".join([title(row), *details(row)])), *map(_plain, cells))
        parts.append(table)
    return [*parts, *NOTES]


def _plain(text: str) -> Any:
    from rich.text import Text

    return Text(text)


def as_markdown(rows: Sequence[Row]) -> str:
    """Return one table a dataset."""
    lines = ["# Leaderboard", ""]
    for dataset, group in groupby(rows, key=lambda row: row.dataset):
        lines += [f"## {_cell(dataset)}", "", _line(["method", *NAMES.values(), "control of T1"])]
        lines.append(_line(["---", *["---:"] * len(NAMES), "---"]))
        members = list(group)
        for row in members:
            cells = [
                f"**{number(m, row.value(m))}**<br>[{span(row, m, 'these_classes')}]<br>"
                f"({span(row, m, 'new_classes')})"
                for m in METRICS
            ]
            names = "<br>".join(
                map(_cell, (title(row), f"rule {row.rule}", *map(str.upper, row.marks)))
            )
            lines.append(_line([names, *cells, control(row)]))
        lines.append("")
        lines += [f"* {_cell(title(row))}: {_cell('; '.join(details(row)))}" for row in members]
        lines.append("")
    return "\n".join([*lines, *(f"> {note}\n" for note in NOTES)])


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def as_csv(rows: Sequence[Row]) -> str:
    """Return one line a row, every interval's ends in columns of their own."""
    out = io.StringIO()
    flat = [_flat(row) for row in rows]
    writer = csv.DictWriter(out, fieldnames=list(flat[0]) if flat else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return out.getvalue()


def _flat(row: Row) -> dict[str, Any]:
    numbers: dict[str, Any] = {}
    for metric, name in NAMES.items():
        numbers[name] = row.value(metric)
        for population, found in row.intervals[metric].items():
            numbers |= {f"{name}_low_{population}": found.low}
            numbers |= {f"{name}_high_{population}": found.high}
    return {
        "dataset": row.dataset,
        "method": row.method,
        "settings": json.dumps(row.settings, sort_keys=True),
        "backbone": row.backbone,
        "exposure": row.exposure,
        "words": row.words,
        "rule": row.rule,
        "marks": "; ".join(row.marks),
        "seeds": " ".join(map(str, row.seeds)),
        "tuning_worlds": row.tuning_worlds,
        **numbers,
        "T1_best": row.t1_best,
        "T1_p": row.control.p,
        "T1_control_95": row.control.percentile_95,
        "H_gamma_zero": row.plain_h,
        "H_oracle_test_tuned": row.oracle_h,
        "chosen": json.dumps(row.chosen, sort_keys=True),
        "openings": row.openings,
        "commits": " ".join(row.commits),
        "seconds": row.seconds,
    }


def as_json(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the rows as one JSON document."""
    return {"schema_version": 1, "rows": [row.as_dict() for row in rows]}
