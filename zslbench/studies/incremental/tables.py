"""The words and numbers of tables of task sequences."""

from collections.abc import Sequence

from zslbench.metrics.forgetting import INCREMENTAL_METRICS
from zslbench.report.numbers import estimates
from zslbench.report.table import Cell, Table
from zslbench.studies.groups import title_of
from zslbench.studies.incremental.results import IncrementalDifference, IncrementalRow, by_table

NOTE = (
    "Accuracies are per-class means over all classes known by then, in percent: the mean over "
    "tasks, after the last, and after each. Forgetting: from each task's best accuracy to that at "
    "the end, in points, given where the best was. [ ]: 95 % interval over images and seeds (a "
    "seed also orders the classes), these classes fixed; ( ): over new classes as well. Carried: "
    "all that goes from one task to the next, at the end, but for old images where a method is "
    "handed those. Nothing was chosen on images of this dataset: settings are as given, every task "
    "is learnt to the end of its schedule."
)
PAIRED_NOTE = (
    "Over the same images, seeds and orders of classes; p two-sided, these classes (new classes), "
    "adjusted for the number of comparisons (Holm)."
)


def incremental_tables(
    rows: Sequence[IncrementalRow], differences: Sequence[IncrementalDifference]
) -> list[Table]:
    """Return a table for each sequence, and one of the differences."""
    grids = [_grid(name, members) for name, members in by_table(rows).items()]
    if differences:
        columns = ("difference", *INCREMENTAL_METRICS)
        cells = [_difference_cells(each) for each in differences]
        grids.append(Table("task sequences: paired differences", columns, cells, PAIRED_NOTE))
    return grids


def _grid(name: str, rows: Sequence[IncrementalRow]) -> Table:
    columns = ("method", *INCREMENTAL_METRICS, "after each task", "carried")
    cells: list[list[Cell | str]] = [
        [
            _named(row),
            *(estimates(row.intervals[metric]) for metric in INCREMENTAL_METRICS),
            " ".join(f"{found.mean:.1f}" for found in row.accuracy),
            f"{row.carried / 2**20:.2f} MiB",
        ]
        for row in rows
    ]
    sizes = ", ".join(map(str, rows[0].sizes))
    return Table(f"task sequence {name}", columns, cells, f"Tasks of {sizes} classes. {NOTE}")


def _named(row: IncrementalRow) -> Cell:
    facts = [
        *([title_of(row.method, row.settings)] if row.label else []),
        f"{row.backbone} (pretraining: {row.exposure})",
        *([f"descriptions: {row.descriptions}"] if row.descriptions else []),
        f"seeds {', '.join(map(str, row.seeds))}; opened {row.openings}",
    ]
    return Cell(row.title, marks=row.marks, facts=tuple(facts))


def _difference_cells(each: IncrementalDifference) -> list[str]:
    about = f"{each.table}; seeds {', '.join(map(str, each.seeds))}"
    cells = [estimates(each.differences[metric]) for metric in INCREMENTAL_METRICS]
    return [f"{each.method}\nminus {each.reference}\n{about}", *cells]
