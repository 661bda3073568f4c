"""Comparisons of two commits, and the power table, as text and JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zslbench.report.numbers import NAMES, p_value
from zslbench.report.records import flat
from zslbench.report.shown import Shown
from zslbench.report.table import Document, Table
from zslbench.stats import Metric
from zslbench.stats.noninferiority import (
    CellTest,
    Verdict,
    margin_of,
    overall,
    power,
    seeds_for,
    sight,
)

STATUS: dict[Verdict, int] = {"PASS": 0, "FAIL": 1, "INCONCLUSIVE": 3}
NOTE = (
    "In points, AUSUC too; means over seeds, each its own tuning world. PASS: a drop of the "
    "margin is excluded (5 %). FAIL: a drop is proven (5 %, Holm over cells) and not within the "
    "margin. A margin is the smallest drop that matters, or what these seeds can exclude where "
    "that is more. PASS is no proof against smaller drops: see zslbench regress --power."
)

SEEDS = (3, 5, 10, 20, 40)
AIM = 3.0  # points
POWER_NOTE = (
    "The rest is INCONCLUSIVE. Spreads are measured: the deviation over seeds of what two fits of "
    "one commit differ by (smallest, middle and largest of the cells that chance moves). Margins "
    "shown are those of up to ten seeds; 20 narrow them by 0.71, 40 by half."
)
SIGHT_NOTE = (
    "PASSes to: drops up to this one PASS more often than not, so they are not seen. FAILs from: a "
    "drop of this or more FAILs four times of five. Between them any verdict may come. The last "
    f"column is how many seeds narrow the margin to {AIM:g} points."
)
COLUMNS = ("method", "metric", "before", "now", "change", "margin", "p drop", "p margin", "verdict")


@dataclass(frozen=True)
class ComparedCell:
    """A cell: means in points, and its test."""

    method: str
    dataset: str
    metric: Metric
    before: float
    now: float
    test: CellTest


@dataclass(frozen=True, repr=False)
class CommitComparison(Shown):
    """All cells of two versions of the code."""

    before: str
    now: str
    seeds: tuple[int, ...]
    cells: tuple[ComparedCell, ...]

    @property
    def verdict(self) -> Verdict:
        """FAIL if any cell fails, PASS if all pass."""
        return overall([cell.test for cell in self.cells])

    def document(self) -> Document:
        """Return a table of the cells, and the verdict."""
        rows = []
        for c in self.cells:
            test = c.test
            rows.append([
                f"{c.method} on {c.dataset}", NAMES[c.metric], f"{c.before:.1f}", f"{c.now:.1f}",
                f"{-test.drop:+.2f}", f"{test.margin:.1f}", p_value(test.p_drop).removeprefix("= "),
                f"{test.p_margin:.3f}", test.verdict,
            ])  # fmt: skip
        verdict = f"{self.verdict} at {len(self.seeds)} seeds"
        table = Table("", COLUMNS, _named_once(rows), words=("metric", "verdict"))
        return Document(f"{self.now} against {self.before}", parts=[table, verdict], notes=[NOTE])

    def records(self) -> list[dict[str, Any]]:
        """Return a flat record for each cell."""
        return [flat(cell) for cell in self.cells]

    def to_dict(self) -> dict[str, Any]:
        """Return it as one JSON document."""
        return {**super().to_dict(), "verdict": self.verdict}


def _named_once(rows: Sequence[list[str]]) -> list[list[str]]:
    """Return rows whose first cell is empty where it is that of the row above."""
    above = ["", *(row[0] for row in rows)]
    return [
        ["" if row[0] == name else row[0], *row[1:]] for name, row in zip(above, rows, strict=False)
    ]


@dataclass(frozen=True, repr=False)
class Power(Shown):
    """What a comparison can see: of any cell by its spread, and of each cell of a baseline.

    Attributes:
        rows: See `power_rows`.
        cells: See `sight_rows`.
    """

    rows: list[dict[str, Any]]
    cells: list[dict[str, Any]]

    def document(self) -> Document:
        """Return both tables."""
        verdicts = [
            [
                *(f"{line[0][name]:.1f}" for name in ("spread", "margin", "drop")),
                *(f"{100 * r['PASS']:.0f} / {100 * r['FAIL']:.0f}" for r in line),
            ]
            for line in map(list, zip(*[iter(self.rows)] * len(SEEDS), strict=True))
        ]
        sights = [
            [
                f"{c['method']} on {c['dataset']}", NAMES[c["metric"]],
                *(f"{c[name]:.1f}" for name in ("spread", "margin", "passes_to", "fails_from")),
                str(c["seeds_for_aim"]),
            ]
            for c in self.cells
        ]  # fmt: skip
        columns = ("spread", "margin", "drop", *(f"{n} seeds" for n in SEEDS))
        seen = ("method", "metric", "spread", "margin", "PASSes to", "FAILs from",
                f"seeds for {AIM:g}")  # fmt: skip
        title = f"What each cell can see at {self.cells[0]['seeds']} seeds, in points"
        of_any = f"PASS / FAIL in percent of a cell, of {len(self.cells)}"
        return Document(
            parts=[
                Table(of_any, columns, verdicts, POWER_NOTE),
                Table(title, seen, _named_once(sights), SIGHT_NOTE),
            ]
        )

    def records(self) -> list[dict[str, Any]]:
        """Return what each cell can see."""
        return self.cells


def power_rows(spreads: Sequence[float], least: float) -> list[dict[str, Any]]:
    """Return how often one cell gets each verdict, by spread, true drop and seeds.

    Args:
        spreads: What chance alone moves, in points, of each cell of a comparison: the smallest
            that is not 0, the middle one and the largest are shown.
        least: The smallest drop that matters.
    """
    noisy = sorted(spread for spread in spreads if spread > 0) or [0.0]
    rows = []
    for spread in dict.fromkeys((noisy[0], noisy[len(noisy) // 2], noisy[-1])):
        margin = margin_of(least, spread)
        for drop in (0.0, margin / 2, margin, margin + 3):
            for seeds in SEEDS:
                rates: dict[Any, float] = dict(power(seeds, spread, drop, least, len(spreads)))
                about = {"spread": spread, "margin": margin, "drop": drop, "seeds": seeds}
                rows.append({**about, **rates})
    return rows


def sight_rows(
    spreads: Mapping[tuple[str, str], Mapping[Metric, float]], least: float, seeds: int
) -> list[dict[str, Any]]:
    """Return which drop each cell can see at a number of seeds.

    Args:
        spreads: What chance alone moves, in points, by method and dataset, and metric.
        least: The smallest drop that matters.
        seeds: Number of them.
    """
    cells = [(*name, m, spread) for name, found in spreads.items() for m, spread in found.items()]
    rows = []
    for method, dataset, metric, spread in cells:
        passes, fails = sight(seeds, spread, least, len(cells))
        rows.append({
            "method": method, "dataset": dataset, "metric": metric, "spread": spread,
            "seeds": seeds, "margin": margin_of(least, spread, seeds), "passes_to": passes,
            "fails_from": fails, "seeds_for_aim": seeds_for(AIM, spread),
        })  # fmt: skip
    return rows
