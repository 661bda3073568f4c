"""The rules: how epoch and gamma are read off one and the same run.

`validation` and `last` take gamma from the tuning worlds and never look at a test label to decide.
`published` does what a method's paper or code did, on test labels, and is marked for it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from zslbench.method import PublishedRule
from zslbench.metrics import Average, Int, Outcome, ScoreSummary, Space
from zslbench.records import Choice, RuleName, RuleResult

PLAIN = PublishedRule()  # what rules without test labels read: logits, per-class means


@dataclass(frozen=True)
class Trajectory:
    """A run's score summaries by epoch, with labels and the choice made beforehand."""

    summaries: Mapping[int, ScoreSummary]
    labels: Int
    seen: int
    choice: Choice
    published: PublishedRule

    def outcome(self, epoch: int, space: Space = "logit", average: Average = "class") -> Outcome:
        """Return an epoch's outcome; margins of logits are in units of the scale."""
        return Outcome.of(self.summaries[epoch], self.labels, self.seen, space, average)

    def unit(self, epoch: int, space: Space) -> float:
        """Return what gamma is in units of."""
        return self.summaries[epoch].scale if space == "logit" else 1.0

    @property
    def last(self) -> int:
        """The last epoch."""
        return max(self.summaries)


def epochs_needed(rules: tuple[RuleName, ...], choice: Choice, epochs: int) -> set[int]:
    """Return the epochs whose test scores the rules read, and the choice spread."""
    if "published" in rules:
        return set(range(1, epochs + 1))
    others = {alternative.epoch for alternative in choice.alternatives}
    return {choice.epoch, choice.t1_epoch, epochs} | others


def read_validation(run: Trajectory) -> RuleResult:
    """Read the epoch and gamma chosen in the tuning worlds."""
    return read_at(run, run.choice.epoch, run.choice.t1_epoch, run.choice.gamma)


def read_last(run: Trajectory) -> RuleResult:
    """Read the last epoch, with the gamma that the tuning worlds have for it."""
    return read_at(run, run.last, run.last, run.choice.last_gamma)


def read_at(
    run: Trajectory,
    epoch: int,
    t1_epoch: int,
    gamma: float,
    rule: PublishedRule = PLAIN,
    on_test: bool = False,
) -> RuleResult:
    """Read given epochs at a given gamma, in the space and with the average of a rule."""
    # T1 is never calibrated and was per-class in all code read, so it is here.
    return RuleResult(
        scores=run.outcome(epoch, rule.space, rule.average).scores(gamma),
        epoch=epoch,
        t1_best=run.outcome(t1_epoch).t1,
        t1_epoch=t1_epoch,
        gamma=gamma,
        gamma_raw=gamma * run.unit(epoch, rule.space),
        space=rule.space,
        average=rule.average,
        selected_on_test=on_test,
    )


def read_published(run: Trajectory) -> RuleResult:
    """Read epoch and gamma as the method's paper or code picked them on the test images."""
    rule = run.published
    outcomes = {
        epoch: run.outcome(epoch, rule.space, rule.average)
        for epoch in run.summaries
        if rule.epoch == "best" or epoch == run.last
    }
    gammas = {epoch: _published_gamma(run, epoch, outcome) for epoch, outcome in outcomes.items()}
    epoch = max(outcomes, key=lambda e: outcomes[e].scores(gammas[e]).h)
    t1_epoch = max(outcomes, key=lambda e: run.outcome(e).t1)
    on_test = rule.gamma != 0 or len(outcomes) > 1
    return read_at(run, epoch, t1_epoch, gammas[epoch], rule, on_test)


def _published_gamma(run: Trajectory, epoch: int, outcome: Outcome) -> float:
    if run.published.gamma == "best":
        return outcome.curve.best()[1]
    return run.published.gamma / run.unit(epoch, run.published.space)


RULES: dict[RuleName, Callable[[Trajectory], RuleResult]] = {
    "validation": read_validation,
    "last": read_last,
    "published": read_published,
}
