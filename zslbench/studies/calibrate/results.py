"""The curve over gamma of one run, rule by rule, as a table and a figure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zslbench.metrics import Outcome, Space
from zslbench.records import RuleName, RuleResult, RunRecord
from zslbench.report import figures
from zslbench.report.curves import mean_curve
from zslbench.report.numbers import NAMES, estimate
from zslbench.report.plots import over_gamma, plane
from zslbench.report.shown import Shown
from zslbench.report.table import Cell, Document, Table
from zslbench.stats import METRICS, Interval, Metric, intervals
from zslbench.studies.groups import called

if TYPE_CHECKING:
    from matplotlib.figure import Figure

UNITS: dict[Space, str] = {
    "logit": "standard deviations of class-centred scores",
    "probability": "of the softmax over all classes",
}
SCALES: dict[Space, str] = {"logit": "logits", "probability": "probabilities"}
HEAD = ("rule", "gamma", *NAMES.values(), "H at 0", "oracle H")
NOTES = (
    "One run, read again from its kept scores. [ ]: 95 % interval over images, these classes "
    "fixed, of this one seed. H at 0: at gamma = 0.",
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
        result: What it read off the run.
        gamma: None where the rule chose none in this space.
        limits: What the run has met of these; see `zslbench.protocol.limits`.
    """

    rule: RuleName
    result: RuleResult
    outcome: Outcome
    gamma: float | None
    limits: tuple[str, ...] = ()

    @property
    def marks(self) -> list[str]:
        """What a reader must know before comparing."""
        image = ["per-image accuracy"] if self.result.average == "image" else []
        test = [WATERMARK] if self.result.selected_on_test else []
        return [*test, *image, *self.limits]

    @property
    def intervals(self) -> dict[Metric, Interval]:
        """Each metric at the chosen gamma, or at 0."""
        gamma = self.gamma or 0.0
        found = intervals([self.outcome], [gamma])
        return {metric: found[metric]["these_classes"] for metric in METRICS}


@dataclass(frozen=True, repr=False)
class Calibration(Shown):
    """A run's curves in one space; `missing` says why a rule is not among them."""

    record: RunRecord
    space: Space
    curves: Sequence[RuleCurve]
    missing: str = ""

    @property
    def title(self) -> str:
        """The run, in words."""
        spec = self.record.spec
        return f"{called(spec)} on {spec.dataset}, seed {spec.seed}, gamma on {SCALES[self.space]}"

    @property
    def name(self) -> str:
        """The stem of its files."""
        return f"{self.record.key[:12]}-{self.space}"

    @property
    def notes(self) -> list[str]:
        """What must be said below its table."""
        elsewhere = [ELSEWHERE] if any(curve.gamma is None for curve in self.curves) else []
        return [*NOTES, *elsewhere, *([self.missing] if self.missing else [])]

    def document(self) -> Document:
        """Return its table, a row for each rule."""
        return Document(
            self.title,
            f"Run {self.record.key}.",
            [Table("", HEAD, [_cells(curve) for curve in self.curves])],
            notes=self.notes,
        )

    def records(self) -> list[dict[str, Any]]:
        """Return the exact curves: U and S hold from the gamma of the row before up to this one."""
        found = []
        for curve in self.curves:
            exact = curve.outcome.curve
            steps = [*exact.steps.tolist(), float("inf")]
            found += [
                {"rule": curve.rule, "up_to_gamma": gamma, "U": u, "S": s, "H": h}
                for gamma, u, s, h in zip(steps, exact.u, exact.s, exact.h, strict=True)
            ]
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return the table as one JSON document."""
        return {
            "schema_version": 1,
            "run_key": self.record.key,
            "title": self.title,
            "space": self.space,
            "rules": [_as_dict(curve) for curve in self.curves],
            "missing": self.missing,
        }


def _as_dict(curve: RuleCurve) -> dict[str, Any]:
    best, at = curve.outcome.curve.best()
    return {
        "rule": curve.rule,
        "epoch": curve.result.epoch,
        "gamma": curve.gamma,
        "marks": curve.marks,
        **{
            NAMES[metric]: {"value": i.mean, "low": i.low, "high": i.high}
            for metric, i in curve.intervals.items()
        },
        "H_gamma_zero": curve.outcome.scores(0.0).h,
        "H_oracle_test_tuned": best,
        "gamma_oracle_test_tuned": at,
    }


def _cells(curve: RuleCurve) -> list[Cell]:
    best, at = curve.outcome.curve.best()
    texts = [
        "-" if curve.gamma is None else f"{curve.gamma:.3f}",
        *(estimate(found, metric=metric) for metric, found in curve.intervals.items()),
        f"{curve.outcome.scores(0.0).h:.1f}",
        f"{best:.1f}\nat {at:.3f}",
    ]
    return [
        Cell(f"{curve.rule}\nepoch {curve.result.epoch}", marks=tuple(curve.marks)),
        *map(Cell, texts),
    ]


def draw(found: Calibration) -> "Figure":
    """Draw a row of two panels for each rule: U, S and H over gamma, and S over U."""
    from matplotlib.figure import Figure

    rows = len(found.curves)
    figure = Figure(figsize=(9, 3.1 * rows + 0.4), layout="constrained")
    panels = figure.subplots(rows, 2, width_ratios=(3, 2), squeeze=False)
    for (left, right), curve in zip(panels, found.curves, strict=True):
        _draw(left, right, curve, UNITS[found.space])
    figure.suptitle(found.title, fontsize=10)
    return figure


def _draw(left: Any, right: Any, curve: RuleCurve, unit: str) -> None:
    outcome, gamma = curve.outcome, curve.gamma
    exact, shown = outcome.curve, mean_curve([outcome], [curve.gamma or 0.0])
    h = outcome.scores(gamma or 0.0).h
    words = WATERMARK if curve.result.selected_on_test else "chosen"
    figures.draw(left, over_gamma(shown, "", gamma, h, f"{words}: H {h:.1f}", unit))
    own = None if gamma is None else (float(exact.at(gamma)[0]), float(exact.at(gamma)[1]))
    figures.draw(right, plane(shown, "", own, words))
    best, at = exact.best()
    left.plot([at], [best], marker="D", color=figures.DARK, markerfacecolor="white",
              linestyle="none", label="oracle H (test-tuned)")  # fmt: skip
    marks = "".join(f", {mark.upper()}" for mark in curve.marks)
    left.set_title(f"rule {curve.rule}, epoch {curve.result.epoch}{marks}", fontsize=9)
    right.set_title(f"AUSUC {exact.area:.3f}")
    for axes in (left, right):
        axes.legend(frameon=False, fontsize=8, loc="best")
