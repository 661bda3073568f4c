"""The curve of U, S and H over gamma as figures draw it: a mean over seeds, at some gammas."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from zslbench.metrics import Float, Outcome

POINTS = 128


@dataclass(frozen=True)
class MeanCurve:
    """U, S and H over gamma, means over seeds, at no more than `POINTS` gammas.

    Attributes:
        gammas: `[k]`, increasing. As on `SeenUnseenCurve`, values at one hold down to the one
            before it: exactly, as long as the curve has no more steps than there are points.
        u: `[k]` percent.
        s: `[k]` percent.
        h: `[k]` percent: the mean of each seed's H, as in the table.
    """

    gammas: Float
    u: Float
    s: Float
    h: Float

    def at(self, gamma: float) -> tuple[float, float, float]:
        """Return U, S and H at one of its gammas."""
        place = int(np.searchsorted(self.gammas, gamma))
        return float(self.u[place]), float(self.s[place]), float(self.h[place])


def mean_curve(outcomes: Sequence[Outcome], gammas: Sequence[float]) -> MeanCurve:
    """Return the mean curve over seeds, with 0 and the chosen gammas among its points."""
    fixed = np.unique([0.0, *gammas])
    # A stable sort merges what is in order already.
    steps = np.sort(np.concatenate([outcome.curve.steps for outcome in outcomes]), kind="stable")
    steps = steps[np.append(np.diff(steps) > 0, True)[: len(steps)]]
    ends = np.concatenate((fixed, steps))
    margin = 0.03 * (ends.max() - ends.min()) or 1.0
    fixed = np.union1d(fixed, [ends.min() - margin, ends.max() + margin])[:POINTS]
    kept = np.linspace(0, len(steps) - 1, min(len(steps), POINTS - len(fixed))).astype(np.int64)
    grid = np.union1d(fixed, steps[kept])
    u, s = np.stack([outcome.curve.at(grid) for outcome in outcomes], axis=1)
    total = u + s
    h = np.divide(2 * u * s, total, out=np.zeros_like(total), where=total > 0)
    return MeanCurve(grid, u.mean(axis=0), s.mean(axis=0), h.mean(axis=0))
