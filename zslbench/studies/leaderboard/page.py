"""A leaderboard as one page of HTML that needs nothing but itself; see `zslbench.report.html`.

Scripts sort, filter, and open a row beside the table.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from zslbench.metrics import Float, Int
from zslbench.report import svg
from zslbench.report.html import page
from zslbench.report.numbers import NAMES, number
from zslbench.report.plots import Mark, Plot, Scale, over_cost, over_gamma, plane
from zslbench.report.svg import BOTTOM, HEIGHT, LEFT, LETTER, RIGHT, TOP, WIDTH
from zslbench.studies.incremental.figures import after_each_task, key
from zslbench.studies.incremental.results import IncrementalRow, by_table
from zslbench.studies.leaderboard.evidence import COSTS, CostAxis
from zslbench.studies.leaderboard.rows import (
    EXTERNAL,
    SELECTED_ON_TEST,
    Claim,
    Contents,
    Public,
    Row,
)
from zslbench.studies.leaderboard.tables import control, document_of, facts, podium, span

FOLLOWED = (
    "Methods met one task after the other and carried nothing but what the table says; nothing "
    "was chosen on images of the dataset, and test labels were sealed."
)
COSTS_NOTE = (
    "Each row of the table with its interval over images and seeds, these classes fixed. Shapes "
    "tell methods apart; hollow: selected on test. Costs are those of the machines the runs were "
    "made on."
)
GAMMA_NOTE = (
    "Gamma in standard deviations of class-centred scores; it is subtracted from the seen classes' "
    "scores. Means over seeds."
)
LEDGER_NOTE = (
    "Openings of the final world's test labels, ever, by all configs and seeds of a method; those "
    "of datasets that share test photos count for each other. "
    "The more often one looks, the less a good number means."
)
GAP = 10  # pixels between the unseen and the seen classes


def as_page(board: Contents, public: Public | None = None) -> str:
    """Return the page; `public` where it is that of a public leaderboard."""
    lines: list[Row | Claim] = [*board.rows, *(public.claims if public else ())]
    document = document_of(board)
    names = list(dict.fromkeys(row.evidence.class_names for row in board.rows))
    return page(
        "leaderboard.html",
        board=board,
        document=document,
        notes=[*(public.notes if public else ()), *document.notes],
        rows=board.rows,
        lines=lines,
        public=public,
        lead=_lead(board, lines, public),
        places=podium(board.rows),
        names=NAMES,
        number=number,
        span=span,
        apart=(EXTERNAL, SELECTED_ON_TEST),
        costs=_costs(board.rows),
        costs_note=COSTS_NOTE,
        ledger=_ledger(lines),
        incremental=_sequences(board.incremental),
        facts=lambda row: [*facts(row), f"control of T1: {control(row)}".replace("\n", " ")],
        figures=lambda row: _figures(row, names.index(row.evidence.class_names)),
        class_names=names,
    )


def _lead(board: Contents, rows: Sequence[Row | Claim], public: Public | None) -> str:
    if not rows:
        held = FOLLOWED if board.incremental else ""
        return f"{board.about} {_count(len(board.incremental), 'row')}. {held}".strip()
    methods, datasets = {row.method for row in rows}, {row.dataset for row in rows}
    counted = ", ".join([
        _count(len(rows), "row"), _count(len(methods), "method"), _count(len(datasets), "dataset"),
    ])  # fmt: skip
    apart = {
        "epoch or gamma selected on test": sum(row.selected_on_test for row in board.rows),
        "scores that were handed in": sum(row.external for row in board.rows),
        "numbers that were not recomputed": len(rows) - len(board.rows),
    }
    told = [f"{_count(number, 'row')} with {what}" for what, number in apart.items() if number]
    sealed = "Everything was chosen on validation classes; test labels were sealed."
    held = "" if public else sealed  # for what others ran nobody can vouch
    if told:
        held = (
            f"Hatched: {' and '.join(told)}. These cannot "
            "be compared with the others and stay below them however the table is sorted."
        )
    return f"{board.about} {counted}. {held}".strip()


def _count(number: int, word: str) -> str:
    return f"{number} {word}" + ("s" if number != 1 else "")


def _costs(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """Return what H costs, of each dataset and kind of cost, with its caption."""
    shapes = {name: n for n, name in enumerate(dict.fromkeys(row.name for row in rows))}
    by_dataset: dict[str, list[tuple[int, Row]]] = {}
    for position, row in enumerate(rows):
        if not row.external:  # nobody has measured what it cost
            by_dataset.setdefault(row.table, []).append((position, row))
    return [
        (f"{dataset}: {by.title.lower()}", svg.draw(_cost(members, by, shapes)))
        for dataset, members in by_dataset.items()
        for by in COSTS
    ]


def _cost(rows: Sequence[tuple[int, Row]], by: CostAxis, shapes: dict[str, int]) -> Plot:
    """Return H over what it cost, each row with its interval for these classes."""
    marks = []
    for position, row in reversed(rows):  # the first rows lie on top
        found = row.intervals["h"]["these_classes"]
        words = (
            f"{row.title}, rule {row.rule}: H {found.mean:.1f}, {by.of(row.evidence):.3g} {by.unit}"
        )
        marks.append(
            Mark(by.of(row.evidence), found.mean, shapes[row.name], hollow=row.selected_on_test,
                 whisker=(found.low, found.high), name=row.name, row=position, words=words)
        )  # fmt: skip
    title = f"H over {by.title.lower()}, on {rows[0][1].table}"
    return over_cost(title, by.unit, marks, (1.6, 1.9))


def _ledger(rows: Sequence[Row | Claim]) -> dict[str, Any]:
    """Return how often each method has read each dataset's test labels, and its places."""
    counts: dict[tuple[str, str], int] = {}
    for row in rows:
        place = row.method, row.dataset
        counts[place] = max(counts.get(place, 0), row.openings)
    methods = list(dict.fromkeys(method for method, _ in counts))
    datasets = list(dict.fromkeys(row.dataset for row in rows))
    return {
        "counts": counts,
        "methods": methods,
        "datasets": datasets,
        "column": max([110, *(24 + LETTER * len(dataset) for dataset in datasets)]),
        "margin": 24 + LETTER * max(map(len, methods), default=0),
        "most": max(counts.values(), default=0) or 1,
        "note": LEDGER_NOTE,
    }


def _sequences(rows: Sequence[IncrementalRow]) -> list[dict[str, Any]]:
    return [
        {"table": name, "drawing": svg.draw(after_each_task(group), key=False), "key": key(group)}
        for name, group in by_table(rows).items()
    ]


def _figures(row: Row, names: int) -> dict[str, str]:
    """Return a row's figures; `names` is where its class names stand in the page's list."""
    about, curve = f"{row.title} on {row.dataset}", row.evidence.curve
    ausuc = f"AUSUC {row.value('ausuc'):.3f}"
    order = _order(row)
    weakest = _weakest(row, order[order >= row.evidence.seen], "{} ({:.0f} %)")
    own, words = (row.value("u"), row.value("s")), f"S over U as gamma grows, for {about}; {ausuc}"
    gammas = over_gamma(
        curve, f"U, S and H over gamma, for {about}", float(row.chosen["gamma"]), row.value("h")
    )
    return {
        "plane": svg.draw(plane(curve, words, own, f"rule {row.rule}")),
        "over_gamma": svg.draw(gammas),
        "gamma_note": GAMMA_NOTE,
        "classes": _classes(row, names, order),
        "weakest": f"Weakest unseen: {weakest}. Hover, or use the arrow keys.",
    }


def _order(row: Row) -> Int:
    """Return the classes that have images, the weakest first: the unseen ones, then the seen."""
    found = row.evidence.class_accuracies
    known = np.flatnonzero(~np.isnan(found))
    order: Int = known[np.lexsort((known, found[known], known < row.evidence.seen))]
    return order


def _weakest(row: Row, side: Int, form: str) -> str:
    """Return the names and accuracies of the three weakest classes of a side."""
    names, found = row.evidence.class_names, row.evidence.class_accuracies
    return ", ".join(form.format(names[c], found[c]) for c in side[:3].tolist())


def _classes(row: Row, names: int, order: Int) -> str:
    """Draw each class's accuracy, the weakest first: unseen on the left, seen on the right."""
    found = row.evidence.class_accuracies
    unseen = int(np.count_nonzero(order >= row.evidence.seen))
    frame = svg.Frame(Scale("", 0, 1, bare=True), Scale("percent", 0, 100))
    unit = (WIDTH - LEFT - RIGHT - GAP) / max(len(order), 1)
    left = LEFT + unit * np.arange(len(order)) + GAP * (np.arange(len(order)) >= unseen)
    bars = [_bars(left[:unseen], found[order[:unseen]], unit, "bars u")]
    bars.append(_bars(left[unseen:], found[order[unseen:]], unit, "bars s"))
    middle = (LEFT + unit * unseen / 2, LEFT + GAP + unit * (unseen + len(order)) / 2)
    below = HEIGHT - BOTTOM + 16
    counts = (f"{unseen} unseen", f"{len(order) - unseen} seen")
    bars += [svg.text(x, below, words, "tick mid") for x, words in zip(middle, counts, strict=True)]
    values = svg.each(" %d:%.4g", order, found[order])[1:]
    hover = f' class="classes" tabindex="0" data-names="{names}" data-bars="{values}"'
    hover += f' data-left="{LEFT}" data-unit="{unit:.4f}" data-gap="{GAP}" data-unseen="{unseen}"'
    weakest = "; ".join(
        f"weakest {side} {_weakest(row, members, '{} {:.0f}')}"
        for side, members in (("unseen", order[:unseen]), ("seen", order[unseen:]))
    )
    label = f"Accuracy on each class, for {row.title} on {row.dataset}: {weakest}"
    return frame.figure(label, bars, hover)


def _bars(left: Float, values: Float, unit: float, style: str) -> str:
    width = max(unit * 0.8, 0.3)
    scale = (HEIGHT - TOP - BOTTOM) / 100
    bottom = HEIGHT - BOTTOM
    # A class at zero keeps a hair of height: it is there, and it is wrong.
    heights = np.maximum(values * scale, 0.8)
    way = svg.each(f"M%.1f {bottom}v-%.1fh{width:.2f}V{bottom}z", left, heights)
    return f'<path class="{style}" d="{way}"/>'
