"""All that stands behind one row of the page: figures and provenance."""

from typing import Any

import numpy as np

from zslbench.report.svg import escape
from zslbench.studies.leaderboard.page.charts import classes, over_gamma, plane
from zslbench.studies.leaderboard.results import Row
from zslbench.studies.leaderboard.tables import control, details

GAMMA_NOTE = (
    "Gamma in standard deviations of class-centred scores; it is subtracted from the seen classes' "
    "scores. Means over seeds."
)


def run_details(position: int, row: Row, names: int) -> str:
    """Return a row's disclosure; `names` is where its class names stand in the page's list."""
    about = f"{row.title} on {row.dataset}, rule {row.rule}"
    figures = "".join([
        _figure("S over U", f"AUSUC {row.value('ausuc'):.3f}", plane(row)),
        _figure("H over gamma", GAMMA_NOTE, over_gamma(row)),
        _figure("Accuracy on each class, at this gamma", _weakest(row), classes(row, str(names))),
    ])  # fmt: skip
    # The marks open `details`; what follows them says nothing about the row's standing.
    facts = details(row)[len(row.marks) :]
    marks = "".join(f'<span class="mark">{escape(mark)}</span>' for mark in row.marks)
    return (
        f'<details class="run" id="run-{position}"><summary>{escape(about)}</summary>'
        f'<div class="body"><p class="marks">{marks}</p>'
        f'<ul class="facts">{_items([*facts, f"control of T1: {control(row)}"])}</ul>'
        f'<div class="figures">{figures}</div>'
        f"<h3>Provenance</h3>{_provenance(row.evidence.provenance)}</div></details>"
    )


def _items(facts: list[str]) -> str:
    return "".join(f"<li>{escape(fact)}</li>" for fact in facts)


def _figure(title: str, note: str, drawing: str) -> str:
    return (
        f"<figure><figcaption>{escape(title)}<small>{escape(note)}</small></figcaption>"
        f"{drawing}</figure>"
    )


def _weakest(row: Row) -> str:
    found = row.evidence
    numbered = [
        (float(found.class_accuracies[number]), number)
        for number in np.flatnonzero(~np.isnan(found.class_accuracies)).tolist()
        if number >= found.seen
    ]
    names = [
        f"{found.class_names[number]} ({value:.0f} %)" for value, number in sorted(numbered)[:3]
    ]
    return f"Weakest unseen: {', '.join(names)}. Hover, or use the arrow keys."


def _provenance(parts: dict[str, dict[str, Any]]) -> str:
    return '<div class="provenance">' + "".join(map(_part, parts.items())) + "</div>"


def _part(part: tuple[str, dict[str, Any]]) -> str:
    title, entries = part
    lines = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(_shown(value))}</dd>"
        for name, value in entries.items()
    )
    return f"<section><h4>{escape(title)}</h4><dl>{lines}</dl></section>" if entries else ""


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
