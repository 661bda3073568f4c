"""The choice: config, epoch and gamma, picked in the tuning worlds and nowhere else."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from zslbench.method import MethodConfig
from zslbench.metrics import Float, Outcome, plateau_middle
from zslbench.protocol.worlds import World
from zslbench.records import Candidate, Choice, TuningWorld

PLATEAU_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Tuning:
    """What one tuning world showed: an outcome for each candidate config and epoch."""

    world: World
    outcomes: Sequence[Sequence[Outcome]]


def choose(
    candidates: Sequence[MethodConfig], tunings: Sequence[Tuning], **about: str | float
) -> Choice:
    """Pick config and epoch by mean AUSUC over the tuning worlds, then gamma by mean H there.

    Args:
        candidates: The configs tried.
        tunings: One per tuning world.
        about: The choice's `key`, `method`, `dataset` and `seconds`.
    """
    outcomes = [tuning.outcomes for tuning in tunings]
    ausuc = np.mean([[[o.curve.area for o in c] for c in w] for w in outcomes], axis=0)
    t1 = np.mean([[[o.t1 for o in c] for c in w] for w in outcomes], axis=0)
    plain = np.mean([[[o.scores(0.0).h for o in c] for c in w] for w in outcomes], axis=0)
    best, epoch = divmod(int(np.argmax(ausuc)), ausuc.shape[1])
    picked = [w[best][epoch] for w in outcomes]
    gamma, gain, error = choose_gamma(picked)
    last_gamma, *_ = choose_gamma([w[best][-1] for w in outcomes])
    return Choice.model_validate({
        "config": candidates[best].stored(),
        "epoch": epoch + 1,
        "t1_epoch": int(np.argmax(t1[best])) + 1,
        "gamma": gamma,
        "last_gamma": last_gamma,
        "gain": gain,
        "gain_error": error,
        "worlds": [_report(t.world, o, gamma) for t, o in zip(tunings, picked, strict=True)],
        "candidates": [
            Candidate(
                config=config.stored(),
                epoch=e + 1, ausuc=ausuc[c, e], t1=t1[c, e], h=plain[c, e],
            )
            for c, config in enumerate(candidates)
            for e in range(ausuc.shape[1])
        ],
        **about,
    })  # fmt: skip


def _report(world: World, outcome: Outcome, gamma: float) -> TuningWorld:
    return TuningWorld(
        name=world.name,
        train_classes=world.seen,
        validation_classes=len(world.classes) - world.seen,
        scores=outcome.scores(gamma),
        plain=outcome.scores(0.0),
    )


def choose_gamma(outcomes: Sequence[Outcome]) -> tuple[float, float, float | None]:
    """Return gamma, its mean gain in H over gamma = 0, and the gain's standard error.

    The mean H of several step functions is a step function: it is evaluated once on each of its
    intervals, and gamma is the middle of the plateau. If the gain does not exceed its own standard
    error over the worlds, gamma = 0; one world has no standard error and is taken at its word.
    """
    steps = np.unique(np.concatenate([o.curve.steps for o in outcomes]))
    if not len(steps):
        return 0.0, 0.0, None
    inside = np.append(steps, steps[-1] + 1.0)
    h = np.mean([_h_at(o, inside) for o in outcomes], axis=0)
    first = int(np.argmax(h))
    after = np.flatnonzero(h[first:] < h[first] - PLATEAU_TOLERANCE)
    last = first + int(after[0]) - 1 if len(after) else len(h) - 1
    gamma = plateau_middle(steps, first, last)
    gains = np.array([float(_h_at(o, gamma) - _h_at(o, 0.0)) for o in outcomes])
    gain = float(gains.mean())
    error = float(gains.std(ddof=1) / len(gains) ** 0.5) if len(gains) > 1 else None
    if gain <= (error or 0.0):
        return 0.0, gain, error
    return gamma, gain, error


def _h_at(outcome: Outcome, gamma: float | Float) -> Float:
    u, s = outcome.curve.at(gamma)
    total = np.maximum(u + s, 1e-12)
    return np.asarray(2 * u * s / total)
