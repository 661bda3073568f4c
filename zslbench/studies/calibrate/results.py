"""The curve over gamma of one run, rule by rule, as a table and a figure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zslbench.metrics import Average, Outcome, Space
from zslbench.records import RuleName, RunRecord
from zslbench.report.figures import HARMONIC, draw_over_gamma, draw_plane
from zslbench.report.files import csv_text
from zslbench.report.numbers import NAMES, number
from zslbench.stats import METRICS, Interval, Metric, intervals
from zslbench.studies.groups import title_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.console import RenderableType

UNITS: dict[Space, str] = {
    "logit": "standard deviations of class-centred scores",
    "probability": "of the softmax over all classes",
}
SCALES: dict[Space, str] = {"logit": "logits", "probability": "probabilities"}
HEAD = ("rule", "epoch", "gamma", *NAMES.values(), "H, gamma 0", "oracle H")
NOTES = (
    "One run, read again from its kept scores. [ ]: 95 % interval over images, these classes "
    "fixed, of this one seed.",
    "Oracle H: the best over all gamma, tuned on these test labels: a bound, no result.",
)
ELSEWHERE = (
    "gamma -: the rule chose its gamma in the other space, so that it has none here; "
    "U, S and H are those of gamma = 0."
)
WATERMARK = "selected on test"


@dataclass(frozen=True)
class RuleCurve:
    """What a rule reads, at all gammas.

    Attributes:
        gamma: None where the rule chose none in this space.
        average: Per-class means, or per-image means where published code has them.
        selected_on_test: Whether test labels chose the epoch or gamma.
    """

    rule: RuleName
    epoch: int
    outcome: Outcome
    gamma: float | None
    average: Average
    selected_on_test: bool

    @property
    def marks(self) -> list[str]:
        """What a reader must know before comparing."""
        image = ["per-image accuracy"] if self.average == "image" else []
        return [*([WATERMARK] if self.selected_on_test else []), *image]

    @property
    def intervals(self) -> dict[Metric, Interval]:
        """Each metric at the chosen gamma, or at 0."""
        gamma = self.gamma or 0.0
        found = intervals([self.outcome], [gamma])
        return {metric: found[metric]["these_classes"] for metric in METRICS}


@dataclass(frozen=True)
class Calibration:
    """A run's curves in one space; `missing` says why a rule is not among them."""

    record: RunRecord
    space: Space
    curves: Sequence[RuleCurve]
    missing: str = ""

    @property
    def title(self) -> str:
        """The run, in words."""
        spec = self.record.spec
        name = title_of(spec.method, spec.settings, spec.tuned)
        return f"{name} on {spec.dataset}, seed {spec.seed}, gamma on {SCALES[self.space]}"

    @property
    def name(self) -> str:
        """The stem of its files."""
        return f"{self.record.key[:12]}-{self.space}"

    @property
    def notes(self) -> list[str]:
        """What must be said below its table."""
        elsewhere = [ELSEWHERE] if any(curve.gamma is None for curve in self.curves) else []
        return [*NOTES, *elsewhere, *([self.missing] if self.missing else [])]


def as_json(found: Calibration) -> dict[str, Any]:
    """Return the table as one JSON document."""
    return {
        "schema_version": 1,
        "run_key": found.record.key,
        "title": found.title,
        "space": found.space,
        "rules": [
            {
                "rule": curve.rule,
                "epoch": curve.epoch,
                "gamma": curve.gamma,
                "marks": curve.marks,
                **{
                    NAMES[metric]: {"value": i.mean, "low": i.low, "high": i.high}
                    for metric, i in curve.intervals.items()
                },
                "H_gamma_zero": curve.outcome.scores(0.0).h,
                "H_oracle_test_tuned": curve.outcome.curve.best()[0],
                "gamma_oracle_test_tuned": curve.outcome.curve.best()[1],
            }
            for curve in found.curves
        ],
        "missing": found.missing,
    }


def as_terminal(found: Calibration) -> "list[RenderableType]":
    """Return a rich table and its notes."""
    from rich.table import Table

    table = Table(title=found.title, title_justify="left", show_lines=True)
    for place, name in enumerate(HEAD):
        table.add_column(name, justify="right" if place else "left", no_wrap=not place)
    for curve in found.curves:
        table.add_row(*_cells(curve))
    return [table, *found.notes]


def as_markdown(found: Calibration) -> str:
    """Return the table and its notes."""
    lines = [f"# {found.title}", "", f"Run `{found.record.key}`.", ""]
    lines += [f"| {' | '.join(HEAD)} |", f"|{'---|' * len(HEAD)}"]
    lines += [
        f"| {' | '.join(cell.replace(chr(10), '<br>') for cell in _cells(curve))} |"
        for curve in found.curves
    ]
    return "\n".join([*lines, "", *(f"> {note}\n" for note in found.notes)])


def _cells(curve: RuleCurve) -> list[str]:
    best, at = curve.outcome.curve.best()
    return [
        "\n".join([curve.rule, *map(str.upper, curve.marks)]),
        str(curve.epoch),
        "-" if curve.gamma is None else f"{curve.gamma:.3f}",
        *(
            f"{number(m, i.mean)}\n[{number(m, i.low)}, {number(m, i.high)}]"
            for m, i in curve.intervals.items()
        ),
        f"{curve.outcome.scores(0.0).h:.1f}",
        f"{best:.1f}\nat {at:.3f}",
    ]


def as_csv(found: Calibration) -> str:
    """Return the exact curves: U and S hold from the gamma of the line before up to this one."""
    rows = []
    for curve in found.curves:
        exact = curve.outcome.curve
        steps = [*exact.steps.tolist(), float("inf")]
        rows += [
            {"rule": curve.rule, "up_to_gamma": gamma, "U": u, "S": s, "H": h}
            for gamma, u, s, h in zip(steps, exact.u, exact.s, exact.h, strict=True)
        ]
    return csv_text(rows)


def draw(found: Calibration) -> "Figure":
    """Draw a row of two panels for each rule: U, S and H over gamma, and S over U."""
    from matplotlib.figure import Figure

    rows = len(found.curves)
    figure = Figure(figsize=(9, 3.1 * rows + 0.4), layout="constrained")
    panels = figure.subplots(rows, 2, width_ratios=(3, 2), squeeze=False)
    for (over_gamma, plane), curve in zip(panels, found.curves, strict=True):
        words = WATERMARK if curve.selected_on_test else "chosen"
        draw_over_gamma(over_gamma, curve.outcome, curve.gamma, words, UNITS[found.space])
        draw_plane(plane, curve.outcome, curve.gamma)
        best, at = curve.outcome.curve.best()
        style = {"color": HARMONIC, "markerfacecolor": "white", "linestyle": "none"}
        over_gamma.plot([at], [best], marker="D", label="oracle H (test-tuned)", **style)
        over_gamma.legend(frameon=False, fontsize=8, loc="best")
        marks = "".join(f", {mark.upper()}" for mark in curve.marks)
        over_gamma.set_title(f"rule {curve.rule}, epoch {curve.epoch}{marks}", fontsize=9)
    figure.suptitle(found.title, fontsize=10)
    return figure
