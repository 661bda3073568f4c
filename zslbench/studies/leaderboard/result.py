"""What came of one method on one dataset: a leaderboard of one."""

from dataclasses import dataclass
from typing import Self

from zslbench.errors import ZslbenchError
from zslbench.protocol import RULES
from zslbench.records import Scores
from zslbench.report.curves import MeanCurve
from zslbench.stats import METRICS, Interval, Metric, Population
from zslbench.studies.leaderboard.results import Leaderboard, Row


@dataclass(frozen=True)
class Result(Leaderboard):
    """A method on a dataset: a row for each rule asked for; its numbers are those of the first."""

    @classmethod
    def of(cls, board: Leaderboard) -> Self:
        """Return the leaderboard of one method on one dataset as a result."""
        return cls(**vars(board))

    @property
    def row(self) -> Row:
        """All that is known of the method.

        Raises:
            ZslbenchError: If none of its runs is finished, with the reason.
        """
        if not self.rows:
            why = self.failures[0].error if self.failures else "they cannot be read back now"
            raise ZslbenchError(f"None of the runs has numbers: {why}.")
        return min(self.rows, key=lambda row: list(RULES).index(row.rule))

    @property
    def scores(self) -> Scores:
        """T1, U, S, H in percent and AUSUC in [0, 1], means over seeds."""
        return Scores(**{metric: self.row.value(metric) for metric in METRICS})

    @property
    def intervals(self) -> dict[Metric, dict[Population, Interval]]:
        """Of each metric both 95 % intervals: these classes fixed, and new classes as well."""
        return self.row.intervals

    @property
    def curve(self) -> MeanCurve:
        """U, S and H over gamma, means over seeds."""
        return self.row.evidence.curve
