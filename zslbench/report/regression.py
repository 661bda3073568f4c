"""Comparisons of two commits, and the power table, as text and JSON."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from zslbench.noninferiority import Cell, Verdict, margin_of, overall, power
from zslbench.report.cells import NAMES
from zslbench.stats import Metric

if TYPE_CHECKING:
    from rich.console import RenderableType

STATUS: dict[Verdict, int] = {"PASS": 0, "FAIL": 1, "INCONCLUSIVE": 3}
NOTE = (
    "In points, AUSUC too; means over seeds, each a tuning world of its own. PASS: a drop of the "
    "margin is excluded (5 %). FAIL: a drop is proven (5 %, Holm over cells) and not within the "
    "margin. A margin is 1.5 times what chance alone moves, or the smallest drop that matters."
)

SEEDS = (3, 5, 8, 10, 15)
POWER_NOTE = (
    "The rest is INCONCLUSIVE. Spreads are measured: the deviation over seeds of what two fits of "
    "one commit differ by (smallest, middle and largest of the cells that chance moves)."
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
class Comparison:
    """All cells of two versions of the code."""

    before: str
    now: str
    seeds: tuple[int, ...]
    cells: tuple[ComparedCell, ...]

    @property
    def verdict(self) -> Verdict:
        """FAIL if any cell fails, PASS if all pass."""
        return overall([cell.test for cell in self.cells])


def as_json(found: Comparison) -> dict[str, Any]:
    """Return it as one JSON document."""
    return {"schema_version": 1, "verdict": found.verdict, **asdict(found)}


def as_terminal(found: Comparison) -> "list[RenderableType]":
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
