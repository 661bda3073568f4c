"""The ledger as a figure: how often each method has looked at each dataset's test labels."""

from collections.abc import Sequence

from zslbench.report.svg import LETTER, escape, text
from zslbench.studies.leaderboard.results import Row

COLUMN, LINE, HEAD, RADIUS = 110, 30, 34, 11
NOTE = (
    "Openings of the final world's test labels, ever, by all configs and seeds of a method. "
    "The more often one looks, the less a good number means."
)


def ledger(rows: Sequence[Row]) -> str:
    """Return the section of the page that shows it; circles grow with the openings."""
    counts: dict[tuple[str, str], int] = {}
    for row in rows:
        place = row.method, row.dataset
        counts[place] = max(counts.get(place, 0), row.openings)
    methods = list(dict.fromkeys(method for method, _ in counts))
    datasets = list(dict.fromkeys(row.dataset for row in rows))
    column = max([COLUMN, *(24 + LETTER * len(dataset) for dataset in datasets)])
    margin = 24 + LETTER * max((len(method) for method in methods), default=0)
    parts = [
        text(margin + column * (n + 0.5), 18, dataset, "name mid")
        for n, dataset in enumerate(datasets)
    ]
    most = max(counts.values(), default=0) or 1
    for line, method in enumerate(methods):
        y = HEAD + LINE * (line + 0.5)
        parts.append(
            f'<path class="grid" d="M0 {y - LINE / 2:g}H{margin + column * len(datasets):g}"/>'
        )
        parts.append(text(0, y + 4, method, "name"))
        parts += [
            _dot(margin + column * (n + 0.5), y, counts[method, dataset], most)
            for n, dataset in enumerate(datasets)
            if (method, dataset) in counts
        ]
    width, height = margin + column * len(datasets), HEAD + LINE * len(methods)
    shown = "; ".join(f"{m} on {d} {count}" for (m, d), count in counts.items())
    return (
        f'<section><h2>Openings of test labels</h2><p class="note">{escape(NOTE)}</p>'
        '<div class="scroll" tabindex="0" role="region" aria-label="Openings of test labels">'
        f'<svg class="ledger" width="{width:g}" height="{height:g}" role="img" '
        f'viewBox="0 0 {width:g} {height:g}" aria-label="{escape(shown)}">'
        f"{''.join(parts)}</svg></div></section>"
    )


def _dot(x: float, y: float, count: int, most: int) -> str:
    radius = RADIUS * (count / most) ** 0.5
    return f'<circle class="dot" cx="{x - 14:g}" cy="{y:g}" r="{radius:.1f}"/>' + text(
        x + 6, y + 4, count, "count"
    )
