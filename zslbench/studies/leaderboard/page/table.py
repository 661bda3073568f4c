"""The page's main table with its controls."""

import re
from collections.abc import Iterable, Sequence

from zslbench.report.numbers import NAMES, number
from zslbench.report.svg import escape
from zslbench.stats import METRICS, Metric, Population
from zslbench.studies.leaderboard.podium import Podium, podium
from zslbench.studies.leaderboard.results import EXTERNAL, SELECTED_ON_TEST, Row
from zslbench.studies.leaderboard.tables import span

COLUMNS = ("Method", "Marks", "Dataset", "Backbone", "Rule", *NAMES.values(), "Openings")
APART = {EXTERNAL, SELECTED_ON_TEST}
NUMERIC = {*NAMES.values(), "Openings"}


def table(rows: Sequence[Row]) -> str:
    """Return controls and table."""
    places = podium(rows)
    head = "".join(
        f'<th scope="col" class="{"n" if name in NUMERIC else "t"}" aria-sort="none">'
        f'<button type="button">{name}</button></th>'
        for name in COLUMNS
    )
    body = "\n".join(_row(position, row, places) for position, row in enumerate(rows))
    return (
        f"{_controls(rows)}\n"
        '<div class="scroll board" tabindex="0" role="region" aria-label="Leaderboard">'
        f'<table id="board"><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>'
    )


def _controls(rows: Sequence[Row]) -> str:
    return (
        '<form class="controls" hidden>'
        '<label>Filter<input type="search" id="filter" autocomplete="off" spellcheck="false" '
        'placeholder="method, setting, backbone, mark"></label>'
        f"{_selector('dataset', 'Dataset', (row.table for row in rows))}"
        f"{_selector('rule', 'Rule', (row.rule for row in rows))}"
        f'<output id="count" aria-live="polite">{len(rows)} rows</output></form>'
    )


def _selector(name: str, label: str, values: Iterable[str]) -> str:
    options = "".join(
        f'<option value="{escape(value)}">{escape(value)}</option>'
        for value in dict.fromkeys(values)
    )
    return (
        f'<label>{label}<select id="{name}"><option value="">all</option>{options}</select></label>'
    )


def _row(position: int, row: Row, places: Podium) -> str:
    seeds = f"seed{'s' if len(row.seeds) > 1 else ''} {', '.join(map(str, row.seeds))}"
    settings = row.configured if row.label else row.configured.removeprefix(row.method).strip(" ()")
    under = "".join(f"<small>{escape(words)}</small>" for words in (settings, seeds) if words)
    marks = "".join(
        f'<span class="mark{" test" if mark in APART else ""}">{escape(mark)}</span>'
        for mark in row.marks
    )
    return "".join([
        f'<tr data-row="{position}" data-dataset="{escape(row.table)}" data-rule="{row.rule}"'
        f'{" class=test" if row.set_apart else ""}>',
        f'<th scope="row"><a href="#run-{position}">{escape(row.name)}</a>{under}</th>',
        f'<td class="marks">{marks}</td>',
        f'<td class="dataset">{breakable(row.table)}</td>',
        f'<td class="backbone">{breakable(row.backbone)}'
        f"<small>pretraining: {escape(row.exposure)}</small></td>",
        f'<td class="rule">{row.rule}</td>',
        *(_cell(row, metric, places.get((position, metric), "")) for metric in METRICS),
        f'<td class="n" data-value="{row.openings}" data-name="Openings">{row.openings}</td></tr>',
    ])  # fmt: skip


def breakable(name: str) -> str:
    """Return a name that may be broken behind its commas and colons."""
    return re.sub("([,:])", r"\1<wbr>", escape(name))


def _cell(row: Row, metric: Metric, place: str) -> str:
    value = number(metric, row.value(metric))
    below = {"t1": f"<small>p = {row.control.p:.3f}</small>", "h": _whiskers(row)}
    named = f' <span class="hidden">({place})</span>' if place else ""
    return (
        f'<td class="n {metric}" data-value="{row.value(metric)!r}" data-name="{NAMES[metric]}">'
        f'<span class="value {place}">{value}{named}</span>'
        f"<small>[{span(row, metric, 'these_classes')}]</small>"
        f"<small>({span(row, metric, 'new_classes')})</small>"
        f"{below.get(metric, '')}</td>"
    )


def _whiskers(row: Row) -> str:
    """Return H with both its intervals on a line from 0 to 100."""
    mean = row.value("h")
    populations: tuple[Population, ...] = ("new_classes", "these_classes")
    lines = "".join(
        f'<path class="{population}" d="M{found.low:.1f} 4H{found.high:.1f}"/>'
        for population in populations
        for found in [row.intervals["h"][population]]
    )
    return (
        f'<svg class="whiskers" viewBox="-2 0 104 8" aria-hidden="true">'
        f'<path class="range" d="M0 4H100"/>{lines}<circle cx="{mean:.1f}" cy="4" r="2"/></svg>'
    )
