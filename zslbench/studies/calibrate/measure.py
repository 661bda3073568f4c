"""The curve over gamma of a finished run, from what was kept of it: nothing is fitted or opened."""

from zslbench.method.registry import load_method
from zslbench.metrics import Int, Outcome, ScoreSummary, Space
from zslbench.protocol import RULES, Trajectory
from zslbench.protocol.limits import limits_of
from zslbench.records import RuleName, RuleResult, RunRecord
from zslbench.store import Stored, artifacts
from zslbench.studies.calibrate.results import Calibration, RuleCurve


def calibrate(run: Stored, space: Space = "logit") -> Calibration:
    """Return the curve at the epoch of each rule that can be read off what was kept.

    A gamma belongs to the space it was chosen in; in the other one a rule has an epoch, and no
    gamma unless it is 0.

    Args:
        run: Any finished run.
        space: Where gamma acts.
    """
    record = run.record
    summaries = artifacts.read_summaries(run.folder)
    test = artifacts.read_test(run.folder)
    results: dict[RuleName, RuleResult] = dict(record.rules)
    missing = ""
    if not {"published", "submitted"} & results.keys():
        missing = _add_published(results, record, summaries, test)
    curves = [
        RuleCurve(
            rule,
            result,
            Outcome.of(summaries[result.epoch], *test, space, result.average),
            result.gamma if result.space == space or result.gamma == 0 else None,
            limits_of(record),
        )
        for rule, result in results.items()
    ]
    return Calibration(record, space, curves, missing)


def _add_published(
    results: dict[RuleName, RuleResult],
    record: RunRecord,
    summaries: dict[int, ScoreSummary],
    test: tuple[Int, int],
) -> str:
    """Read the published rule too, if what it reads was kept; else return why it is missing."""
    published = load_method(record.spec.method).published
    epochs = record.choice.epochs
    if published.epoch == "best" and len(summaries) < epochs:
        return (
            f"The rule `published` reads all {epochs} epochs and {len(summaries)} were kept: run "
            "it with --rules validation,published."
        )
    trajectory = Trajectory(summaries, *test, record.choice, published)
    results["published"] = RULES["published"](trajectory)
    return ""
