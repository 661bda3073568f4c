"""What a sweep found: its best trials, which settings matter, and how much of the best was luck."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from zslbench.records import RunRecord

if TYPE_CHECKING:
    from rich.console import RenderableType

NOTES = (
    "H, sweep: mean over the tuning worlds at the chosen epoch and gamma, which the sweep "
    "maximises: the best of many is in part the luckiest.",
    "H, second look: the same settings with other class splits, images held out and seeds; "
    "the winner is the best by this.",
    "H, test: the winner, fitted once on all training classes; opened: times this method has "
    "looked at these test labels, for other winners too.",
)


@dataclass(frozen=True)
class TrialRow:
    """A trial: H over the tuning worlds, and at the second look if there was one."""

    number: int
    params: dict[str, Any]
    h: float
    second_look_h: float | None = None


@dataclass(frozen=True)
class TrialPoint:
    """Any trial; of a pruned one, `h` is what it had when it was ended, of a failed one nothing."""

    number: int
    state: str
    h: float | None
    params: dict[str, Any]


@dataclass(frozen=True)
class Winner:
    """The best trial, by the second look if there was one, and what it came to on test.

    Attributes:
        openings: How often the method has looked at these test labels by now.
    """

    trial: TrialRow
    test: dict[str, float] | None = None
    run_key: str | None = None
    openings: int = 0


@dataclass(frozen=True)
class SweepReport:
    """All that is shown of a sweep.

    Attributes:
        states: How many trials ended how.
        best: The best first.
        defaults: Trial 0.
        importances: Share of each parameter in how the best trials tell themselves from the rest
            (PED-ANOVA); None with too few trials.
        fanova: Share of each parameter in the variance of H over the space (fANOVA); None where it
            cannot be told.
        trials: All of them, in order.
        log: The parameters searched on a logarithmic scale.
    """

    name: str
    method: str
    dataset: str
    states: dict[str, int]
    best: list[TrialRow]
    defaults: TrialRow | None
    importances: dict[str, float] | None
    winner: Winner | None
    fanova: dict[str, float] | None = None
    trials: tuple[TrialPoint, ...] = ()
    log: frozenset[str] = frozenset()


def count_states(states: Sequence[str]) -> dict[str, int]:
    """Return how often each state occurs, those that do not too."""
    found = Counter(states)
    return {state: found[state] for state in ("complete", "pruned", "failed")}


def scores_on_test(record: RunRecord) -> dict[str, float]:
    """Return what the rule `validation` reads off a run."""
    return record.rules["validation"].scores.model_dump()


def as_json(report: SweepReport) -> dict[str, Any]:
    """Return it as one JSON document."""
    return {"schema_version": 1, **asdict(report), "log": sorted(report.log)}


def as_terminal(report: SweepReport) -> "list[RenderableType]":
    """Return a rich table of trials, the importances, the winner's three H, and the notes."""
    parts: list[Any] = [_trials(report, heading(report))]
    for method, found in importances(report).items():
        shares = (f"{name} {share:.2f}" for name, share in found.items())
        parts.append(f"importance ({method}): " + ", ".join(shares))
    if report.winner:
        parts.append(winner_line(report.winner))
    return [*parts, *notes(report)]


def heading(report: SweepReport) -> str:
    """Return the sweep's name, and how many trials ended how."""
    counted = ", ".join(f"{count} {state}" for state, count in report.states.items() if count)
    return f"{report.name}: {counted}"


def importances(report: SweepReport) -> dict[str, dict[str, float]]:
    """Return the importances that are known, by how they were found."""
    both = {"PED-ANOVA": report.importances, "fANOVA": report.fanova}
    return {method: found for method, found in both.items() if found}


def notes(report: SweepReport) -> list[str]:
    """Return what must be said of the numbers shown."""
    shown = [True, any(r.second_look_h is not None for r in report.best),
             bool(report.winner and report.winner.test)]  # fmt: skip
    return [note for note, show in zip(NOTES, shown, strict=True) if show]


def trial_cells(report: SweepReport) -> list[list[str]]:
    """Return the table of the best trials and of the defaults, the heading first."""
    names = list(report.best[0].params) if report.best else []
    rows = [(str(row.number), row) for row in report.best]
    if report.defaults and report.defaults not in report.best:
        rows.append((f"{report.defaults.number} (defaults)", report.defaults))
    return [
        ["trial", *names, "H, sweep", "H, second look"],
        *(
            [label, *(_value(row.params.get(name)) for name in names), f"{row.h:.1f}",
             _points(row.second_look_h)]
            for label, row in rows
        ),
    ]  # fmt: skip


def _trials(report: SweepReport, title: str) -> Any:
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    head, *rows = trial_cells(report)
    for name in head:
        table.add_column(name, justify="right")
    for cells in rows:
        table.add_row(*cells)
    return table


def winner_line(winner: Winner) -> str:
    """Return the winner's H in the sweep, at the second look, and on test."""
    row, test = winner.trial, winner.test
    text = f"winner: trial {row.number}; H {row.h:.1f} in the sweep"
    if row.second_look_h is not None:
        text += f", {row.second_look_h:.1f} at the second look"
    if test:
        text += f", {test['h']:.1f} on test (T1 {test['t1']:.1f}, U {test['u']:.1f}, "
        text += f"S {test['s']:.1f}, AUSUC {test['ausuc']:.3f}; opened {winner.openings})"
    return text


def _value(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _points(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"
