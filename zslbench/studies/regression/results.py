"""Comparisons of two commits, and the power table, as text and JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from zslbench.report.numbers import NAMES
from zslbench.stats import Metric
from zslbench.stats.noninferiority import (
    Cell,
    Verdict,
    margin_of,
    overall,
    power,
    seeds_for,
    sight,
)

if TYPE_CHECKING:
    from rich.console import RenderableType

STATUS: dict[Verdict, int] = {"PASS": 0, "FAIL": 1, "INCONCLUSIVE": 3}
NOTE = (
    "In points, AUSUC too; means over seeds, each a tuning world of its own. PASS: a drop of the "
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


@dataclass(frozen=True)
class ComparedCell:
    """A cell: means in points, and its test."""

    method: str
    dataset: str
    metric: Metric
    before: float
    now: float
    test: Cell


@dataclass(frozen=True)
class CommitComparison:
    """All cells of two versions of the code."""

    before: str
    now: str
    seeds: tuple[int, ...]
    cells: tuple[ComparedCell, ...]

    @property
    def verdict(self) -> Verdict:
        """FAIL if any cell fails, PASS if all pass."""
        return overall([cell.test for cell in self.cells])


def as_json(found: CommitComparison) -> dict[str, Any]:
    """Return it as one JSON document."""
    return {"schema_version": 1, "verdict": found.verdict, **asdict(found)}


def as_terminal(found: CommitComparison) -> "list[RenderableType]":
    """Return a rich table of the cells, the verdict and the note."""
    from rich.table import Table

    table = Table(title=f"{found.now} against {found.before}", title_justify="left")
    for name in ("method", "metric", "before", "now", "change", "margin", "p drop", "p margin", ""):
        table.add_column(name, justify="left" if name in ("method", "") else "right")
    previous = ""
    for cell in found.cells:
        title = f"{cell.method} on {cell.dataset}"
        test = cell.test
        table.add_row(
            title if title != previous else "", NAMES[cell.metric], f"{cell.before:.1f}",
            f"{cell.now:.1f}", f"{-test.drop:+.2f}", f"{test.margin:.1f}", f"{test.p_drop:.3f}",
            f"{test.p_margin:.3f}", test.verdict,
        )  # fmt: skip
        previous = title
    return [table, f"{found.verdict} at {len(found.seeds)} seeds", NOTE]


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


def sight_table(rows: Sequence[dict[str, Any]]) -> "list[RenderableType]":
    """Return the table of `sight_rows`, one line a cell."""
    from rich.table import Table

    title = f"What each cell can see at {rows[0]['seeds']} seeds, in points"
    table = Table(title=title, title_justify="left")
    for name in ("method", "metric", "spread", "margin", "PASSes to", "FAILs from",
                 f"seeds for {AIM:g}"):  # fmt: skip
        table.add_column(name, justify="left" if name == "method" else "right")
    previous = ""
    for row in rows:
        points = (f"{row[name]:.1f}" for name in ("spread", "margin", "passes_to", "fails_from"))
        method = f"{row['method']} on {row['dataset']}"
        table.add_row(
            row["method"].split()[0] if method != previous else "", NAMES[row["metric"]], *points,
            str(row["seeds_for_aim"]),
        )  # fmt: skip
        previous = method
    return [table, SIGHT_NOTE]


def power_table(rows: Sequence[dict[str, Any]], cells: int) -> "list[RenderableType]":
    """Return the table of `power_rows`, one line a spread and drop."""
    from rich.table import Table

    title = f"PASS / FAIL in percent of a cell, of {cells}"
    table = Table(title=title, title_justify="left")
    for name in ("spread", "margin", "drop", *(f"{n} seeds" for n in SEEDS)):
        table.add_column(name, justify="right")
    for first in range(0, len(rows), len(SEEDS)):
        line = rows[first : first + len(SEEDS)]
        about = [f"{line[0][name]:.1f}" for name in ("spread", "margin", "drop")]
        table.add_row(*about, *(f"{100 * r['PASS']:.0f} / {100 * r['FAIL']:.0f}" for r in line))
    return [table, POWER_NOTE]
