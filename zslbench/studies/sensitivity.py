"""How much hangs on each setting: one at a time around the defaults, in tuning worlds.

Every value is a choice like any run's, made in the dataset's tuning worlds (seed 0) and in cuts of
their own (all other seeds); it is kept under a key of its own, so that a study that was killed, or
is asked for more values, does only what is missing.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import count
from typing import Any

from zslbench.errors import ZslbenchError
from zslbench.execute import Job, choice_for, choice_key, execute, failure_of
from zslbench.method import MethodConfig
from zslbench.records import Choice, Failure, digest
from zslbench.registry import load_method
from zslbench.report.groups import Group, group_runs
from zslbench.report.sensitivity import WATERMARK, Curve, Point, Sensitivity
from zslbench.run import Tick, no_tick
from zslbench.stats import METRICS, Interval, Metric, Reading, interval, over_seeds, paired
from zslbench.studies.axes import Axis, axes_of
from zslbench.studies.plan import changed
from zslbench.studies.trials import objective
from zslbench.tracking import Store, Stored

DEFAULTS = "defaults"

Values = list[dict[Metric, float]]


@dataclass(frozen=True)
class SensitivityPlan:
    """What is varied, around which run.

    Attributes:
        base: The run with the defaults; what is open in it the tuning worlds choose.
        parameters: Settings to vary; where none are named here or in `grids`, those whose curves
            the paper shows, or all that a sweep would search.
        grids: Values to vary settings over, as written.
        seeds: Repetitions. In tuning worlds each has its own cut of them.
        final: Whether to fit in the final world and read test labels, instead of tuning worlds.
    """

    base: Job
    parameters: tuple[str, ...] = ()
    grids: Mapping[str, Sequence[str]] = field(default_factory=dict)
    seeds: tuple[int, ...] = (0, 1, 2)
    final: bool = False

    def __post_init__(self) -> None:
        self.axes(self._config.candidates()[0])  # refuses what cannot be varied

    @property
    def name(self) -> str:
        """The stem of its files: what is varied where, and the start of a digest of the rest."""
        spec = self.base.spec
        asked = [
            spec.choice_key, self.parameters, {n: list(v) for n, v in self.grids.items()},
            self.seeds, self.final,
        ]  # fmt: skip
        plain = re.sub(r"[^\w.-]", "_", f"{spec.method}-{spec.dataset}")
        return f"{plain}-{digest(asked)[:8]}" + ("-final" if self.final else "")

    @cached_property
    def _config(self) -> MethodConfig:
        spec = self.base.spec
        return load_method(spec.method).Config.model_validate(spec.config)

    def axes(self, config: MethodConfig) -> list[Axis]:
        """Return what is varied around a config without open settings."""
        spec = self.base.spec
        cls = load_method(spec.method)
        return axes_of(cls, spec.method, config, self.parameters, self.grids)

    def centre(self, store: Store, tick: Tick) -> Job:
        """Return the run that all others differ from in one setting: the base, nothing open."""
        if len(self._config.candidates()) == 1:
            return self.base
        return changed(self.base, choice_for(self.base, store, tick).config)


def sensitivity(
    plan: SensitivityPlan, store: Store, tick: Tick = no_tick
) -> tuple[Sensitivity, list[Failure]]:
    """Measure what is missing; return the curves, and what failed and is therefore not in them.

    Args:
        plan: What is varied.
        store: Holds what was measured before.
        tick: Progress, in epochs.

    Raises:
        ZslbenchError: If the defaults themselves fail.
    """
    centre = plan.centre(store, tick)
    axes = plan.axes(load_method(centre.spec.method).Config.model_validate(centre.spec.config))
    jobs = {DEFAULTS: centre}
    for axis in axes:
        others = [value for value in axis.values if value != axis.default]
        jobs |= {_name(axis, value): changed(centre, {axis.name: value}) for value in others}
    measure = _on_test if plan.final else _in_tuning_worlds
    points, failures = measure(plan, jobs, store, tick)
    store.sync(again=True)
    if DEFAULTS not in points:
        raise ZslbenchError(
            f"{centre.spec.method} fails at its defaults ({failures[0].error}): mend that first, "
            "or set others with --set."
        )
    curves = tuple(_curve(axis, points) for axis in axes)
    return _report(plan, curves, store), failures


def _name(axis: Axis, value: Any) -> str:
    if value == axis.default:
        return DEFAULTS
    return f"{axis.name}={value:g}" if isinstance(value, float) else f"{axis.name}={value}"


def _curve(axis: Axis, points: Mapping[str, Point]) -> Curve:
    named = [(value, points.get(_name(axis, value))) for value in axis.values]
    return Curve(
        axis.name,
        axis.symbol,
        axis.default,
        axis.optimum,
        axis.log,
        tuple(replace(point, value=value) for value, point in named if point),
    )


def _report(plan: SensitivityPlan, curves: tuple[Curve, ...], store: Store) -> Sensitivity:
    spec, dataset = plan.base.spec, plan.base.dataset
    marks = {
        WATERMARK: plan.final,
        "fewer than three tuning worlds": spec.tuning_worlds < 3,
        "random word vectors": bool(spec.words and spec.words.description.startswith("random")),
    }
    return Sensitivity(
        name=plan.name,
        method=spec.method,
        dataset=spec.dataset,
        backbone=spec.backbone.name,
        settings=spec.settings,
        final=plan.final,
        seeds=plan.seeds,
        tuning_worlds=spec.tuning_worlds,
        curves=curves,
        openings=store.ledger()[spec.method, dataset.test_digest],
        marks=tuple(mark for mark, holds in marks.items() if holds),
    )


# -- in tuning worlds ----------------------------------------------------------------------------


def _in_tuning_worlds(
    plan: SensitivityPlan, jobs: Mapping[str, Job], store: Store, tick: Tick
) -> tuple[dict[str, Point], list[Failure]]:
    """Make every choice that is missing; a point's readings are those of each seed's worlds."""
    found: dict[str, dict[int, Values]] = {name: {} for name in jobs}
    failures = []
    missing = {
        (name, seed): _epochs(job)
        for seed in plan.seeds
        for name, job in jobs.items()
        if not store.has("choice", choice_key(job.spec, seed))
    }
    progress = _Progress(plan.base.spec.method, missing, tick)
    for seed in plan.seeds:
        for name, job in jobs.items():
            try:
                choice = choice_for(job, store, progress.of(name, seed), seed)
                found[name][seed] = _by_world(choice)
                progress.found(name, seed, objective(choice))
            except ZslbenchError:
                raise
            except Exception as error:
                failures.append(failure_of(job.spec, error))
                store.commit(failures[-1])
    base = found[DEFAULTS]
    points = {name: _tuned(mine, base) for name, mine in found.items() if mine.keys() & base}
    return points, failures


def _by_world(choice: Choice) -> Values:
    return [{m: getattr(world.scores, m) for m in METRICS} for world in choice.worlds]


def _tuned(mine: Mapping[int, Values], base: Mapping[int, Values]) -> Point:
    """Return means over all worlds of all seeds, each a draw of classes, images and start."""
    worlds = [world for seed in mine for world in mine[seed]]
    means = {m: over_seeds([world[m] for world in worlds]) for m in METRICS}
    tops = {metric: 1.0 if metric == "ausuc" else 100.0 for metric in METRICS}
    pairs = [pair for s in mine if s in base for pair in zip(mine[s], base[s], strict=True)]
    return Point(
        None,
        tuple(mine),
        {m: Interval(i.mean, max(i.low, 0.0), min(i.high, tops[m])) for m, i in means.items()},
        over_seeds([ours["h"] - theirs["h"] for ours, theirs in pairs]),
    )


class _Progress:
    """Ticks in epochs over all that is missing, and says what runs and what is best so far."""

    def __init__(self, method: str, epochs: Mapping[tuple[str, int], int], tick: Tick) -> None:
        self._epochs, self._tick = epochs, tick
        self._stage = f"{method}: {len(epochs)} points, in epochs"
        self._before, self._best, self._said = 0, 0.0, ""

    def of(self, name: str, seed: int) -> Tick:
        """Return the tick of one point, told once for each of its epochs."""
        before, ticks = self._before, count(1)
        self._before += self._epochs.get((name, seed), 0)
        stage = f"{self._stage}; {name}, seed {seed}{self._said}"
        total = sum(self._epochs.values())
        return lambda *_: self._tick(stage, before + next(ticks), total)

    def found(self, name: str, seed: int, h: float) -> None:
        """Take in what a point came to."""
        if h > self._best:
            self._best, self._said = h, f"; best H {h:.1f} ({name}, seed {seed})"


def _epochs(job: Job) -> int:
    """Return the epochs of a choice, over all its worlds; nothing is open in its config."""
    cls = load_method(job.spec.method)
    return cls.epochs(cls.Config.model_validate(job.spec.config)) * job.spec.tuning_worlds


# -- in the final world --------------------------------------------------------------------------


def _on_test(
    plan: SensitivityPlan, jobs: Mapping[str, Job], store: Store, tick: Tick
) -> tuple[dict[str, Point], list[Failure]]:
    """Run what is missing as runs like any others: chosen in tuning worlds, opened once each."""
    names = {
        spec.key: name
        for name, job in jobs.items()
        for spec in (job.spec.model_copy(update={"seed": seed}) for seed in plan.seeds)
    }
    wanted = [
        Job(job.spec.model_copy(update={"seed": seed}), job.dataset)
        for job in jobs.values()
        for seed in plan.seeds
    ]
    failures = execute(wanted, store, tick).failures
    found: dict[str, list[Stored]] = {}
    for run in store.runs():
        if run.record.key in names:
            found.setdefault(names[run.record.key], []).append(run)
    groups = {name: group_runs(runs, ["validation"])[0] for name, runs in found.items()}
    base = groups.get(DEFAULTS)
    points = {name: _tested(group, base) for name, group in groups.items() if base}
    return {name: point for name, point in points.items() if point}, failures


def _tested(mine: Group, base: Group) -> Point | None:
    both = [seed for seed in mine.seeds if seed in base.seeds]
    if not both:
        return None
    ours, theirs = (
        [reading for seed, reading in zip(group.seeds, _readings(group), strict=True)
         if seed in both]
        for group in (mine, base)
    )  # fmt: skip
    found = paired(ours, theirs, "h", "these_classes")
    return Point(
        None,
        mine.seeds,
        {m: interval(mine.outcomes, mine.gammas, m, "these_classes") for m in METRICS},
        Interval(found.mean, found.low, found.high),
    )


def _readings(group: Group) -> list[Reading]:
    return list(zip(group.outcomes, group.gammas, strict=True))
