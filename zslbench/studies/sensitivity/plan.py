"""Sensitivity to each setting: one at a time around the defaults, in tuning worlds.

Every value is a choice like any run's, made in the dataset's tuning worlds (seed 0) and in cuts of
their own (all other seeds); it is kept under a key of its own, so that a study that was killed, or
is asked for more values, does only what is missing.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from zslbench.engines import Engine, InProcess
from zslbench.engines.execute import Job, chosen
from zslbench.errors import ZslbenchError
from zslbench.method import MethodConfig
from zslbench.method.registry import load_method, resolve
from zslbench.records import Failure, digest
from zslbench.store import Store
from zslbench.studies.plan import changed
from zslbench.studies.sensitivity.axes import VariedSetting, axes_of
from zslbench.studies.sensitivity.measure import DEFAULTS, in_tuning_worlds, on_test
from zslbench.studies.sensitivity.results import WATERMARK, Point, Sensitivity, SettingCurve, said


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
        return resolve(self.base.spec)[1]

    def axes(self, config: MethodConfig) -> list[VariedSetting]:
        """Return what is varied around a config without open settings."""
        name = self.base.spec.method
        return axes_of(load_method(name), name, config, self.parameters, self.grids)

    def centre(self, store: Store, engine: Engine) -> Job:
        """Return the run that all others differ from in one setting: the base, nothing open."""
        if len(self._config.candidates()) == 1:
            return self.base
        return changed(self.base, chosen(self.base, store, engine).config)


def sensitivity(
    plan: SensitivityPlan, store: Store, engine: Engine | None = None
) -> tuple[Sensitivity, list[Failure]]:
    """Measure what is missing; return the curves, and what failed and is therefore not in them.

    Args:
        plan: What is varied.
        store: Holds what was measured before.
        engine: Where the work is done; by default here, one after the other.

    Raises:
        ZslbenchError: If the defaults themselves fail.
    """
    engine = engine or InProcess()
    centre = plan.centre(store, engine)
    axes = plan.axes(resolve(centre.spec)[1])
    jobs = {DEFAULTS: centre}
    for axis in axes:
        others = [value for value in axis.values if value != axis.default]
        jobs |= {_name(axis, value): changed(centre, {axis.parameter: value}) for value in others}
    measure = on_test if plan.final else in_tuning_worlds
    points, failures = measure(jobs, plan.seeds, store, engine)
    store.sync(again=True)
    if DEFAULTS not in points:
        why = failures[0].error if failures else f"it cannot be read back now: {store.error}"
        raise ZslbenchError(
            f"{centre.spec.method} has nothing to show for its defaults ({why}). Fix that first, "
            "or set others."
        )
    curves = tuple(_curve(axis, points) for axis in axes)
    return _report(plan, curves, store), failures


def _name(axis: VariedSetting, value: Any) -> str:
    if value == axis.default:
        return DEFAULTS
    return f"{axis.parameter}={said(value)}"


def _curve(axis: VariedSetting, points: Mapping[str, Point]) -> SettingCurve:
    named = [(value, points.get(_name(axis, value))) for value in axis.values]
    found = tuple(replace(point, value=value) for value, point in named if point)
    return SettingCurve(**vars(axis), points=found)


def _report(plan: SensitivityPlan, curves: tuple[SettingCurve, ...], store: Store) -> Sensitivity:
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
        backbone=spec.backbone.title,
        settings=spec.settings,
        final=plan.final,
        seeds=plan.seeds,
        tuning_worlds=spec.tuning_worlds,
        curves=curves,
        openings=store.ledger()[spec.method, dataset.test_digest],
        marks=tuple(mark for mark, holds in marks.items() if holds),
    )
