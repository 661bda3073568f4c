"""The choice: config, epoch and gamma, picked in the tuning worlds and nowhere else."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from zslbench.data.exposure import imagenet_classes
from zslbench.method import MethodConfig
from zslbench.metrics import Float, Outcome, plateau_middle
from zslbench.protocol.worlds import World
from zslbench.records import Alternative, Candidate, Choice, Scores, TuningWorld

PLATEAU_TOLERANCE = 1e-9

Fits = Sequence[Outcome]  # in one tuning world: one for each tuning seed


@dataclass(frozen=True)
class Tuning:
    """What one tuning world showed: an outcome for each tuning seed, candidate config and epoch."""

    world: World
    outcomes: Sequence[Sequence[Sequence[Outcome]]]

    def at(self, config: int, epoch: int) -> Fits:
        """Return the outcomes of all seeds for one candidate config and epoch, counted from 0."""
        return [fit[config][epoch] for fit in self.outcomes]

    def curves(self) -> Float:
        """Return `[3, C, E]`: AUSUC, T1, and H at gamma = 0, means over the seeds."""
        read = [
            [[(o.curve.area, o.t1, o.scores(0.0).h) for o in config] for config in fit]
            for fit in self.outcomes
        ]
        return np.moveaxis(np.mean(read, axis=0), -1, 0)


def choose(
    candidates: Sequence[MethodConfig], tunings: Sequence[Tuning], **about: str | float
) -> Choice:
    """Pick config and epoch by mean AUSUC over the tuning worlds, then gamma by mean H there.

    Args:
        candidates: The configs tried.
        tunings: One per tuning world.
        about: The choice's `key`, `method`, `dataset` and `seconds`.
    """
    curves = np.stack([tuning.curves() for tuning in tunings])
    ausuc, t1, plain = curves.mean(axis=0)
    best, epoch = divmod(int(np.argmax(ausuc)), ausuc.shape[1])
    picked = [tuning.at(best, epoch) for tuning in tunings]
    gamma, gain, error = choose_gamma(picked)
    last_gamma, *_ = choose_gamma([tuning.at(best, -1) for tuning in tunings])
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
        "alternatives": _alternatives(best, curves[:, 0, best], tunings, gamma, last_gamma),
        **about,
    })  # fmt: skip


def _report(world: World, fits: Fits, gamma: float) -> TuningWorld:
    names = [world.dataset.classes.names[c] for c in world.classes[world.seen :]]
    knows = world.dataset.backbone.exposure in ("1k", "21k")  # the larger one holds the smaller
    return TuningWorld(
        name=world.name,
        train_classes=world.seen,
        validation_classes=len(names),
        pretrained=imagenet_classes(names) if knows else (),
        scores=_mean_scores(fits, gamma),
        plain=_mean_scores(fits, 0.0),
    )


def _mean_scores(fits: Fits, gamma: float) -> Scores:
    found = [outcome.scores(gamma).model_dump() for outcome in fits]
    return Scores(**{name: float(np.mean([each[name] for each in found])) for name in found[0]})


def _alternatives(
    config: int, ausuc: Float, tunings: Sequence[Tuning], gamma: float, last_gamma: float
) -> list[Alternative]:
    """Return what would be chosen without each world in turn: a jackknife.

    The config is held, since no other was fitted in the final world; so is the decision to use a
    gamma, since the same gain has a larger standard error over fewer worlds. A world's seeds stay
    together: its mean over seeds carries their noise.

    Args:
        config: The one chosen.
        ausuc: `[W, E]` its AUSUC.
        tunings: One per tuning world.
        gamma: The one chosen.
        last_gamma: The same, at the last epoch.
    """
    found = []
    for left_out in range(len(tunings)) if len(tunings) > 1 else ():
        others = [tuning for n, tuning in enumerate(tunings) if n != left_out]
        epoch = int(np.argmax(np.delete(ausuc, left_out, axis=0).mean(axis=0)))
        here, last = (
            (best_gamma if chosen else choose_gamma)([t.at(config, e) for t in others])[0]
            for e, chosen in ((epoch, gamma), (-1, last_gamma))
        )
        name = tunings[left_out].world.name
        found.append(Alternative(without=name, epoch=epoch + 1, gamma=here, last_gamma=last))
    return found


def choose_gamma(worlds: Sequence[Fits]) -> tuple[float, float, float | None]:
    """Return gamma, its mean gain in H over gamma = 0, and the gain's standard error.

    If the best gamma's gain does not exceed its own standard error over the worlds, gamma = 0; one
    world has no standard error and is taken at its word.

    Args:
        worlds: One per tuning world: as many outcomes in each as there are tuning seeds.
    """
    gamma, gain, error = best_gamma(worlds)
    return (gamma if gain > (error or 0.0) else 0.0), gain, error


def best_gamma(worlds: Sequence[Fits]) -> tuple[float, float, float | None]:
    """Return the gamma with the best mean H, whatever its gain, and the rest as `choose_gamma`.

    The mean H of several step functions is a step function: it is evaluated once on each of its
    intervals, and gamma is the middle of the plateau.
    """
    steps = np.unique(np.concatenate([o.curve.steps for fits in worlds for o in fits]))
    if not len(steps):
        return 0.0, 0.0, None
    inside = np.append(steps, steps[-1] + 1.0)
    h = np.mean([_h_at(o, inside) for fits in worlds for o in fits], axis=0)
    first = int(np.argmax(h))
    after = np.flatnonzero(h[first:] < h[first] - PLATEAU_TOLERANCE)
    last = first + int(after[0]) - 1 if len(after) else len(h) - 1
    gamma = plateau_middle(steps, first, last)
    gains = np.array([np.mean([_h_at(o, gamma) - _h_at(o, 0.0) for o in fits]) for fits in worlds])
    gain = float(gains.mean())
    error = float(gains.std(ddof=1) / len(gains) ** 0.5) if len(gains) > 1 else None
    return gamma, gain, error


def _h_at(outcome: Outcome, gamma: float | Float) -> Float:
    u, s = outcome.curve.at(gamma)
    total = np.maximum(u + s, 1e-12)
    return np.asarray(2 * u * s / total)
