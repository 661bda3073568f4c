"""The tables of a leaderboard, and its rows as flat records."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

from zslbench.report.numbers import NAMES, estimates, number, p_value
from zslbench.report.table import Cell, Document, Rank, Table
from zslbench.stats import METRICS, Interval, Metric, Population
from zslbench.stats.selection_bias import Chosen
from zslbench.studies.incremental.tables import incremental_tables
from zslbench.studies.leaderboard.paired import PairedRow
from zslbench.studies.leaderboard.rows import Contents, Row
from zslbench.studies.leaderboard.selection_bias import Inflated, chosen_in
from zslbench.studies.leaderboard.standings import Standing
from zslbench.studies.leaderboard.verdicts import PaperVerdict, verdicts
from zslbench.studies.published.numbers import PRINTED, TRANSDUCTIVE, Printed

NOTES = (
    "First line: mean over seeds. [ ]: 95 % interval over images and seeds, these classes fixed. "
    "( ): over new classes as well.",
    "p: T1 against 200 permutations of the unseen classes' identities, with their 95th percentile.",
    "Epoch, gamma and open settings were chosen once, in the tuning worlds, unless the rule is "
    "`published`; intervals are given that choice, unless they say `and the choice`. Choice "
    "spread: standard error of H over choices in other tuning worlds. Opened: times this method "
    "has read labels of these test photos.",
)
BRIEF_NOTE = (
    "Means over seeds, in percent; AUSUC in [0, 1]. ±: half of the 95 % interval over images and "
    "seeds, these classes fixed. `--details` prints all intervals, what was chosen, and how."
)
FAILED_NOTE = "These runs raised an error and are not in the table; `--retry` runs them again."
EXTERNAL_NOTE = (
    "External: a matrix of scores handed in, with its gamma. Order and labels are the protocol's; "
    "how the scores were made, and whether test images were used, is unknown. Gamma "
    "is in standard deviations of class-centred scores on test images."
)
PAIRED_NOTE = (
    "Differences over the same images and seeds, intervals as above; p two-sided, these classes "
    "(new classes), adjusted for the number of comparisons (Holm)."
)
INFLATION_NOTE = (
    "What choosing epoch, gamma or all on test would add to H = optimism (what a half of the test "
    "images says of itself beyond the other half) + regret (what our choice cost), in points."
)
STANDING_NOTE = (
    "By H; what was selected on test takes no part. Win rate: percent of dataset x seed pairs on "
    "which a method beats another, ties half; first the mean over opponents, then each. Mean rank: "
    "over datasets, 1 the best, among the methods that were run on all of them. Of datasets that "
    "share test photos the largest takes part. A critical-difference diagram would take at least "
    "10 datasets."
)
LOCALISATION = {
    "patch_auc": "patches ranked (AUC)",
    "patch_precision": "patches kept on the object",
    "attribute_hit": "attributes found on their part",
    "part_hit": "parts found (APN's rule)",
}
LOCALISATION_NOTE = (
    "In percent, on test images, at the chosen epoch, with the 95 % interval over seeds. A patch "
    "is on the object if that (on photos the bird's box) covers a quarter of it; an attribute is "
    "found if its best patch shows the bearing part; a part as `zslbench explain` says. Without "
    "looking: any patch, or the ones nearest to the middle; best: as many patches as are kept, all "
    "on the object where there are enough, and of parts the most that the grid allows: only equal "
    "grids can be compared."
)

PAPER_NOTE = (
    "First line: the published value. [ ]: our 95 % interval over images and seeds, these classes "
    "fixed; T1 is ours at the epoch of H. Last line: where the published value lies: below our "
    "interval, above it, or within. `zslbench published` lists all published values."
)

Podium = dict[tuple[int, Metric], Rank]


def document_of(board: Contents) -> Document:
    """Return a table for each dataset, and one for each other question that was asked."""
    return _document(board, _main_tables(board.rows), NOTES)


def brief(board: Contents) -> Document:
    """Return the same for a terminal: a line for each row, its marks as letters with a legend."""
    marks = list(dict.fromkeys(mark for row in board.rows for mark in row.marks))
    columns = ("method", *NAMES.values(), "backbone", *(["marks"] if marks else []))
    tables = [
        Table(name, columns, [_line(row, marks) for row in rows], words=("backbone", "marks"))
        for name, rows in groupby(board.rows, key=lambda row: row.table)
    ]
    legend = [f"[{_letter(n)}] {mark.upper()}" for n, mark in enumerate(marks)]
    return _document(board, tables, [*legend, BRIEF_NOTE])


def _document(board: Contents, main: list[Table], notes: Sequence[str]) -> Document:
    others = other_tables(board)
    external = [EXTERNAL_NOTE] if any(row.external for row in board.rows) else []
    return Document(
        title=board.heading if board.is_titled else "",
        about=board.about,
        parts=main or others,
        asides=others if main else [],
        notes=[*notes, *external] if board.rows else [],
    )


def _line(row: Row, marks: Sequence[str]) -> list[str]:
    title = row.title.replace("\n", " ")
    t1, u, s, h, ausuc = (number(metric, row.value(metric)) for metric in METRICS)
    laid = row.intervals["h"]["these_classes"]
    half = f" ± {(laid.high - laid.low) / 2:.1f}" if laid.low < laid.high else ""
    rule = "" if row.rule == "validation" else f", rule {row.rule}"
    letters = [" ".join(_letter(marks.index(mark)) for mark in row.marks)] if marks else []
    return [title + rule, t1, u, s, h + half, ausuc, row.backbone, *letters]


def _letter(place: int) -> str:
    """Return a, b, ..., z, aa, ab, ..."""
    first, last = divmod(place, 26)
    return (_letter(first - 1) if first else "") + chr(ord("a") + last)


def differences(board: Contents) -> Document:
    """Return the paired differences alone, and what failed."""
    return Document(board.heading, board.about, _filled(_failed_table(board), _paired_table(board)))


def _main_tables(rows: Sequence[Row]) -> list[Table]:
    places = podium(rows)
    return [
        Table(dataset, ("method", *NAMES.values()), [_cells(n, row, places) for n, row in members])
        for dataset, members in groupby(enumerate(rows), key=lambda item: item[1].table)
    ]


def _cells(position: int, row: Row, places: Podium) -> list[Cell]:
    title = row.title.replace("\n", " ")
    name = f"{title}\nrule {row.rule}; {row.backbone}"
    cells = []
    for metric in METRICS:
        permuted = tuple(control(row).split("\n")) if metric == "t1" else ()
        text = estimates(row.intervals[metric], metric)
        cells.append(Cell(text, places.get((position, metric)), facts=permuted))
    return [Cell(name, marks=row.marks, facts=tuple(facts(row))), *cells]


def podium(rows: Sequence[Row]) -> Podium:
    """Return the places taken, by the row's position and metric: per dataset and rule.

    Values are compared as they are printed, so that equal numbers share a place. What is set apart
    takes none, and where fewer than two rows compete there is none to take.
    """
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for position, row in enumerate(rows):
        if not row.set_apart:
            groups[row.table, row.rule].append(position)
    places: Podium = {}
    for members in groups.values():
        for metric in METRICS if len(members) > 1 else ():
            printed = {n: float(number(metric, rows[n].value(metric))) for n in members}
            first, *others = sorted(set(printed.values()), reverse=True)
            levels: dict[float, Rank] = {first: "best", **dict.fromkeys(others[:1], "second")}
            places |= {(n, metric): levels[v] for n, v in printed.items() if v in levels}
    return places


def span(row: Row, metric: Metric, population: Population) -> str:
    """Return an interval as `low, high`."""
    found = row.intervals[metric][population]
    return f"{number(metric, found.low)}, {number(metric, found.high)}"


def facts(row: Row) -> list[str]:
    """Return what a reader may ask beside the numbers."""
    chosen = ", ".join(
        f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in row.chosen.items()
    )
    inputs = {
        "pretraining": row.exposure, "words": row.words, "class descriptions": row.descriptions,
    }  # fmt: skip
    return [
        *([row.configured] if row.label else []),
        f"chosen: {chosen}",
        "; ".join(f"{name}: {value}" for name, value in inputs.items() if value),
        f"seeds {', '.join(map(str, row.seeds))}; tuning worlds: {row.tuning_worlds}"
        f"{f' of {row.tuning_seeds} seeds each' if row.tuning_seeds > 1 else ''}; "
        f"opened {row.openings}",
        f"H at gamma = 0: {row.plain_h:.1f}; T1 at its own epoch: {row.t1_best:.1f}; "
        f"oracle H (test-tuned): {row.oracle_h:.1f}",
        *_including_choice(row),
        *filter(None, [row.by_lab]),
    ]


def _including_choice(found: Row | PairedRow) -> list[str]:
    """Return the interval of H that includes the choice, where it is known."""
    laid, sign = found.these_classes_and_choice, "+" if isinstance(found, PairedRow) else ""
    if laid is None:
        return []
    ends = f"[{number('h', laid.low, sign)}, {number('h', laid.high, sign)}]"
    return [f"H, these classes and the choice: {ends}; choice spread {found.choice_spread:.1f}"]


def control(row: Row) -> str:
    """Return the permutation control of T1, as two lines."""
    return f"p {p_value(row.control.p)}\n(control {row.control.percentile_95:.1f})"


def other_tables(board: Contents) -> list[Table]:
    """Return the tables that answer other questions than the leaderboard's, where asked."""
    return _filled(
        _failed_table(board), _paired_table(board), _standings_table(board),
        _inflation_table(board), _localisation_table(board.rows), _paper_table(board.rows),
        *incremental_tables(board.incremental, board.incremental_differences),
    )  # fmt: skip


def _filled(*tables: Table) -> list[Table]:
    return [table for table in tables if table.rows]


def _once(rows: Sequence[Row]) -> list[Row]:
    """Return one row of those that several rules read off the same runs."""
    found: dict[tuple[str, ...], Row] = {}
    for row in rows:
        found.setdefault(tuple(row.evidence.provenance["runs"].values()), row)
    return list(found.values())


def _named(board: Contents, method: str, *about: str) -> Cell:
    """Return the head of a row; it is marked if the method trains on unseen attributes."""
    marked = any(TRANSDUCTIVE in row.marks and row.title == method for row in board.rows)
    return Cell("\n".join([method, *about]), marks=(TRANSDUCTIVE,) if marked else ())


def _failed_table(board: Contents) -> Table:
    rows = [[f"{f.method}\n{f.dataset}; seed {f.seed}", f.error] for f in board.failures]
    return Table("failed runs", ("run", "error"), rows, FAILED_NOTE, words=("error",))


def _paired_table(board: Contents) -> Table:
    rows: list[list[Cell | str]] = []
    for c in board.comparisons:
        about = f"{c.dataset}; rule {c.rule}; seeds {', '.join(map(str, c.seeds))}"
        cells = [estimates(c.differences[m], m) for m in METRICS]
        named = _named(board, c.method, f"minus {c.reference}", about)
        rows.append([replace(named, facts=tuple(_including_choice(c))), *cells])
    return Table("paired differences", ("difference", *NAMES.values()), rows, PAIRED_NOTE)


def _standings_table(board: Contents) -> Table:
    rows: list[list[Cell | str]] = [
        [
            _named(board, s.method, f"rule {s.rule}; datasets: {s.datasets}"),
            "-" if s.mean_rank is None else f"{s.mean_rank:.2f}",
            "\n".join([f"{s.win_rate:.0f}", *([_beaten(s)] if s.wins else [])]),
        ]
        for s in board.standings
    ]
    return Table("win rates and ranks", ("method", "mean rank", "win rate"), rows, STANDING_NOTE)


def _beaten(standing: Standing) -> str:
    return ", ".join(f"{name} {win:.0f}" for name, win in standing.wins.items())


def _inflation_table(board: Contents) -> Table:
    rules = ("validation", "last", "published")
    parts = chosen_in(board.inflations)
    columns = (*(f"H, {rule}" for rule in rules), *(f"{c} on test" for c in parts), "sd of seeds")
    cells: list[list[Cell | str]] = [
        [
            _named(board, row.method, row.dataset),
            *(f"{row.h[rule].mean:.1f}" for rule in rules),
            *(_added(row, c) for c in parts),
            "-" if row.spread is None else f"{row.spread:.1f}",
        ]
        for row in board.inflations
    ]
    return Table("inflation", ("method", *columns), cells, INFLATION_NOTE)


def _added(row: Inflated, chosen: Chosen) -> str:
    if chosen not in row.optimism:
        return "-"
    optimism, regret = row.optimism[chosen].mean, row.regret[chosen].mean
    return f"{_points(optimism + regret)}\n= {_points(optimism)} {_points(regret)}"


def _points(value: float) -> str:
    return f"{round(value, 1) + 0.0:+.1f}"  # no -0.0


def _localisation_table(rows: Sequence[Row]) -> Table:
    cells = [
        [f"{row.title}\n{row.dataset}; rule validation", *_found(row.localisation)]
        for row in _once([row for row in rows if row.localisation])
    ]
    return Table("where methods look", ("method", *LOCALISATION.values()), cells, LOCALISATION_NOTE)


def _found(localisation: dict[str, Interval]) -> list[str]:
    found = []
    for name in LOCALISATION:
        share = localisation.get(name)
        if share is None:
            found.append("-")
            continue
        known = {base: localisation.get(f"{name}_{base}") for base in ("random", "centre", "best")}
        beside = [f"{base} {k.mean:.1f}" for base, k in known.items() if k is not None]
        known_to = [f"[{share.low:.1f}, {share.high:.1f}]"] if share.low < share.high else []
        lines = [f"{share.mean:.1f}", *known_to, ", ".join(beside)]
        found.append("\n".join(lines))
    return found


def _paper_table(rows: Sequence[Row]) -> Table:
    cells = [
        [_pair(row, found), *(_held(row, found, metric) for metric in PRINTED)]
        for row in rows
        for found in verdicts(row)
    ]
    columns = ("paper and ours", *(NAMES[metric] for metric in PRINTED))
    return Table("paper versus ours", columns, cells, PAPER_NOTE)


def _pair(row: Row, found: PaperVerdict) -> str:
    """Return which two are compared, and what stands between them."""
    published = found.published
    about = [f"selected on test: {published.selected_on_test}", *published.notes]
    return "\n".join([
        row.title,
        f"{row.dataset}; rule {row.rule}",
        f"{published.source} ({'; '.join(about)})",
        *([f"not comparable: {'; '.join(found.obstacles)}"] if found.obstacles else []),
    ])  # fmt: skip


def _held(row: Row, found: PaperVerdict, metric: Printed) -> str:
    if metric not in found.words:
        return "-"
    value, ours = found.published.scores[metric], span(row, metric, "these_classes")
    return f"{value}\n[{ours}]\n{found.words[metric]}"
