"""What a sweep searches, and the points that it tries before any is drawn."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from zslbench.engines import Engine
from zslbench.engines.execute import Job, chosen
from zslbench.errors import ZslbenchError
from zslbench.method.registry import resolve
from zslbench.records import Sweep, digest
from zslbench.store import Store
from zslbench.studies.plan import changed
from zslbench.studies.sweep.space import Parameter, cells, check_grid, even_points

SamplerName = Literal["tpe", "random", "sobol", "grid"]
PrunerName = Literal["none", "median", "hyperband"]


@dataclass(frozen=True)
class SweepPlan:
    """What a sweep searches, where and how: all that its trials have in common.

    Attributes:
        base: The run that every trial changes the searched settings of.
        points: Values of each range in a grid.
        seed: Of the sampler.
        named: The study's name, if it is not to be made from the rest.
    """

    base: Job
    space: tuple[Parameter, ...]
    sampler: SamplerName = "tpe"
    pruner: PrunerName = "none"
    points: int = 5
    seed: int = 0
    named: str | None = None

    def __post_init__(self) -> None:
        if self.sampler == "grid":
            check_grid(self.space, self.points)
        if self.pruner != "none" and len(self._lengths()) > 1:
            raise ZslbenchError(
                f"pruner {self.pruner} compares trials at equal epochs, and the number of epochs "
                "is searched: leave one of the two out."
            )
        if self.named is not None and not re.fullmatch(r"[\w.-]+", self.named):
            raise ZslbenchError(
                f"name {self.named}: a sweep's name has letters, digits, '.', '_' and '-'."
            )

    @cached_property
    def about(self) -> dict[str, Any]:
        """What must not change between trials, as JSON."""
        spec = self.base.spec
        fixed = {
            "method": spec.method,
            "version": spec.method_version,
            "data_digest": spec.data_digest,
            "backbone": spec.backbone.weights_digest,
            **spec.backbone.adjusted,
            "words": spec.words and spec.words.digest,
            **({"descriptions": spec.descriptions.digest} if spec.descriptions else {}),
            "precision": spec.precision,
            "config": spec.config,
            "worlds": spec.tuning_worlds,
            **({"tuning_seeds": spec.tuning_seeds} if spec.tuning_seeds > 1 else {}),
            "rules": list(spec.rules),
            "protocol_version": spec.protocol_version,
            "space": [parameter.described() for parameter in self.space],
            "sampler": self.sampler,
            "pruner": self.pruner,
            "seed": self.seed,
        }
        return fixed | ({"points": self.points} if self.sampler == "grid" else {})

    @property
    def name(self) -> str:
        """The study's name: method, dataset, and the start of a digest of all that is fixed."""
        spec = self.base.spec
        plain = re.sub(r"[^\w.-]", "_", f"{spec.method}-{spec.dataset}")
        return self.named or f"{plain}-{digest(self.about)[:8]}"

    @property
    def key(self) -> str:
        """The key of the sweep's record."""
        return digest({"name": self.name, "about": self.about})

    def trial_key(self, number: int, params: Mapping[str, Any], look: int = 1) -> str:
        """Return the key of a trial's record: two sweeps apart may try other points by a number."""
        return digest([self.key, number, look, self.job(params).spec.choice_key])

    def record(self) -> Sweep:
        """Return the sweep's record."""
        spec = self.base.spec
        return Sweep(
            key=self.key, name=self.name, method=spec.method, dataset=spec.dataset,
            about=self.about,
        )  # fmt: skip

    def job(self, params: Mapping[str, Any]) -> Job:
        """Return the run that a point stands for."""
        return changed(self.base, params)

    @property
    def middle(self) -> dict[str, Any]:
        """A point in the middle of the space."""
        return {parameter.name: parameter.points(1)[0] for parameter in self.space}

    def _lengths(self) -> set[int]:
        moved = [{**self.middle, p.name: value} for p in self.space for value in p.points(2)]
        return {self.length(params) for params in moved}

    def length(self, params: Mapping[str, Any]) -> int:
        """Return the steps of a trial in one world: epochs of all candidate configs and seeds."""
        method, config = resolve(self.base.spec, params)
        fits = self.base.spec.tuning_seeds * len(config.candidates())
        return fits * method.epochs(config)


def planned_points(plan: SweepPlan, store: Store, engine: Engine) -> list[dict[str, Any]]:
    """Return the points that are tried before any is drawn: the defaults, then a grid's cells.

    A Sobol sequence is planned likewise; past its end, points are drawn at random.

    A default that is open is what the tuning worlds choose for it, a choice made (and kept) as for
    any run. A default outside the space is replaced by the value of the space nearest to it.
    """
    values = dict(plan.base.spec.config)
    if any(values[parameter.name] is None for parameter in plan.space):
        values = chosen(plan.base, store, engine).config
    held = [p for p in plan.space if values[p.name] is not None]
    defaults = {p.name: p.clipped(values[p.name]) for p in held}
    planned = cells(plan.space, plan.points) if plan.sampler == "grid" else []
    if plan.sampler == "sobol":
        planned = even_points(plan.space, plan.seed)
    return [defaults, *(point for point in planned if point != defaults)]
