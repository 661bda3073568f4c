"""What a sweep found: its best trials, which settings matter, and how much of the best was luck."""

from dataclasses import dataclass, field
from typing import Any

from zslbench.report.shown import Shown
from zslbench.report.table import Cell, Document, Table

NOTES = (
    "H, sweep: mean over the tuning worlds at the chosen epoch and gamma, which the sweep "
    "maximises: the best of many is in part the luckiest.",
    "H, second look: the same settings with other class splits, images held out and seeds; "
    "the winner is the best by this.",
    "H, test: the winner, fitted once on all training classes; opened: times this method has "
    "read these test labels, for other winners too.",
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
    """Any trial; of a pruned one, `h` is what it had when it was ended, of a failed one nothing.

    Attributes:
        error: What a failed one raised.
    """

    number: int
    state: str
    h: float | None
    params: dict[str, Any]
    error: str = field(default="", repr=False)


@dataclass(frozen=True)
class Winner:
    """The best trial, by the second look if there was one, and what it came to on test.

    Attributes:
        openings: How often the method has read these test labels by now.
        marks: The limits that it has met; see `zslbench.protocol.limits`.
    """

    trial: TrialRow
    test: dict[str, float] | None = None
    run_key: str | None = None
    openings: int = 0
    marks: tuple[str, ...] = ()


@dataclass(frozen=True, repr=False)
class SweepReport(Shown):
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

    @property
    def heading(self) -> str:
        """The sweep's name, and how many trials ended how."""
        counted = ", ".join(f"{count} {state}" for state, count in self.states.items() if count)
        return f"{self.name}: {counted}"

    @property
    def shares(self) -> dict[str, dict[str, float]]:
        """The importances that are known, by how they were found."""
        both = {"PED-ANOVA": self.importances, "fANOVA": self.fanova}
        return {method: found for method, found in both.items() if found}

    @property
    def notes(self) -> list[str]:
        """What must be said of the numbers shown."""
        shown = [True, any(r.second_look_h is not None for r in self.best),
                 bool(self.winner and self.winner.test)]  # fmt: skip
        return [note for note, show in zip(NOTES, shown, strict=True) if show]

    def document(self) -> Document:
        """Return the best trials and the defaults, the importances, and the winner's three H."""
        names = list(self.best[0].params) if self.best else []
        rows = [(str(row.number), row) for row in self.best]
        if self.defaults and self.defaults not in self.best:
            rows.append((f"{self.defaults.number} (defaults)", self.defaults))
        marks = {self.winner.trial.number: self.winner.marks} if self.winner else {}
        cells: list[list[Cell | str]] = [
            [Cell(label, marks=marks.get(row.number, ())),
             *(_value(row.params.get(name)) for name in names), f"{row.h:.1f}",
             "" if row.second_look_h is None else f"{row.second_look_h:.1f}"]
            for label, row in rows
        ]  # fmt: skip
        return Document(
            f"{self.method} on {self.dataset}",
            self.heading,
            [
                Table("", ("trial", *names, "H, sweep", "H, second look"), cells),
                *(
                    f"importance ({by}): {', '.join(f'{n} {share:.2f}' for n, share in of.items())}"
                    for by, of in self.shares.items()
                ),
                *([winner_line(self.winner)] if self.winner else []),
            ],
            notes=self.notes,
        )

    def records(self) -> list[dict[str, Any]]:
        """Return a flat record for each trial, pruned and failed ones too."""
        second = {row.number: row.second_look_h for row in self.best}
        marks = {self.winner.trial.number: "; ".join(self.winner.marks)} if self.winner else {}
        names = dict.fromkeys(name for trial in self.trials for name in trial.params)
        return [
            {
                "trial": trial.number,
                "state": trial.state,
                **{name: trial.params.get(name) for name in names},
                "H": trial.h,
                "H_second_look": second.get(trial.number),
                "marks": marks.get(trial.number, ""),
            }
            for trial in self.trials
        ]


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
