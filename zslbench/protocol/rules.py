"""The rules: how epoch and gamma are read off one and the same run.

`validation` and `last` take gamma from the tuning worlds and never look at a test label to decide.
`published` does what a method's paper or code did, on test labels, and is marked for it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from zslbench.method import PublishedRule
from zslbench.metrics import Int, Outcome, ScoreSummary
from zslbench.records import Choice, RuleName, RuleResult


@dataclass(frozen=True)
class Trajectory:
    """A run's score summaries by epoch, with labels and the choice made beforehand."""

    summaries: Mapping[int, ScoreSummary]
    labels: Int
    seen: int
    choice: Choice
    published: PublishedRule

    def outcome(self, epoch: int) -> Outcome:
        """Return an epoch's outcome on logits, per-class, margins in units of the scale."""
        return Outcome.of(self.summaries[epoch], self.labels, self.seen)

    @property
    def last(self) -> int:
        """The last epoch."""
        return max(self.summaries)


def epochs_needed(rules: tuple[RuleName, ...], choice: Choice, epochs: int) -> set[int]:
    """Return the epochs whose test scores the rules read."""
    if "published" in rules:
        return set(range(1, epochs + 1))
    return {choice.epoch, choice.t1_epoch, epochs}


def read_validation(run: Trajectory) -> RuleResult:
    """Read the epoch and gamma chosen in the tuning worlds."""
    return _read(run, run.choice.epoch, run.choice.t1_epoch, run.choice.gamma)


def read_last(run: Trajectory) -> RuleResult:
    """Read the last epoch, with the gamma that the tuning worlds have for it."""
    return _read(run, run.last, run.last, run.choice.last_gamma)


def _read(run: Trajectory, epoch: int, t1_epoch: int, gamma: float) -> RuleResult:
    return RuleResult(
        scores=run.outcome(epoch).scores(gamma),
        epoch=epoch,
        t1_best=run.outcome(t1_epoch).t1,
        t1_epoch=t1_epoch,
        gamma=gamma,
        gamma_raw=gamma * run.summaries[epoch].scale,
    )


def read_published(run: Trajectory) -> RuleResult:
    """Read epoch and gamma as the method's paper or code picked them on the test images."""
    rule = run.published
    outcomes = {
        epoch: Outcome.of(summary, run.labels, run.seen, rule.space, rule.average)
        for epoch, summary in run.summaries.items()
        if rule.epoch == "best" or epoch == run.last
    }
    gammas = {epoch: _published_gamma(run, epoch, outcome) for epoch, outcome in outcomes.items()}
    epoch = max(outcomes, key=lambda e: outcomes[e].scores(gammas[e]).h)
    # T1 is never calibrated and was per-class in all code read, so it is here.
    t1 = {e: run.outcome(e).t1 for e in outcomes}
    t1_epoch = max(t1, key=lambda e: t1[e])
    scale = run.summaries[epoch].scale if rule.space == "logit" else 1.0
    return RuleResult(
        scores=outcomes[epoch].scores(gammas[epoch]),
        epoch=epoch,
        t1_best=t1[t1_epoch],
        t1_epoch=t1_epoch,
        gamma=gammas[epoch],
        gamma_raw=gammas[epoch] * scale,
        space=rule.space,
        average=rule.average,
        selected_on_test=rule.gamma != 0 or len(outcomes) > 1,
    )


def _published_gamma(run: Trajectory, epoch: int, outcome: Outcome) -> float:
    if run.published.gamma == "best":
        return outcome.curve.best()[1]
    scale = run.summaries[epoch].scale if run.published.space == "logit" else 1.0
    return run.published.gamma / scale


RULES: dict[RuleName, Callable[[Trajectory], RuleResult]] = {
    "validation": read_validation,
    "last": read_last,
    "published": read_published,
}
