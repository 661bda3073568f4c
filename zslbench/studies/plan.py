"""Plans: the runs that a question asks for."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from zslbench.data.load import DataRequest
from zslbench.data.provide import DataSource, UnservedError, check_grid
from zslbench.data.types import Dataset
from zslbench.engines.execute import Job
from zslbench.errors import ZslbenchError
from zslbench.method import Method, MethodConfig, Settings
from zslbench.method.incremental import IncrementalMethod
from zslbench.method.registry import load_method, resolve
from zslbench.records import RuleName, RunSpec

DEFAULT_SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class Entry:
    """A method with a config of its own: a line of a suite's table.

    Attributes:
        config: Of the method: an instance of its `Config`.
        label: What the table calls it; may be empty.
        seeds: Where they are not those of the plan.
        presets: Configs in its place on the datasets named.
    """

    method: str
    config: Any
    label: str = ""
    seeds: tuple[int, ...] = ()
    presets: Mapping[str, Any] = field(default_factory=dict)

    def on(self, dataset: str) -> Any:
        """Return the config that it has on a dataset."""
        return self.presets.get(dataset.upper(), self.config)


def plan(
    methods: Sequence[str | Entry],
    requests: Sequence[DataRequest],
    *,
    settings: Mapping[str, Any],
    seeds: Sequence[int] | None,
    worlds: int,
    tuning_seeds: int = 1,
    published: bool = False,
    on_skip: Callable[[str], None] | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Job]:
    """Return every method x dataset x seed as a job.

    Args:
        methods: Names of methods, or lines of a suite.
        requests: The datasets.
        settings: What differs from the defaults of the methods named.
        seeds: By default 0, 1, 2, and one for a method that has no use for seeds.
        worlds: Tuning worlds to choose in.
        tuning_seeds: Fits in each of them; a deterministic method has one.
        published: Whether to read the published rule too, which scores every epoch on test.
        on_skip: If given, a method that the data cannot serve is told to it instead of refused.
        on_progress: Called with (done, total) while images are decoded.

    Raises:
        ZslbenchError: On an unknown name, a setting out of bounds, data that cannot be used.
    """
    entries = [m if isinstance(m, Entry) else _entry(m, settings) for m in methods]
    rules: tuple[RuleName, ...] = ("validation", "last", *(("published",) if published else ()))
    jobs = []
    for request in requests:
        datasets = DataSource(request, on_progress)
        for entry in entries:
            name, cls, config = entry.method, load_method(entry.method), entry.on(request.name)
            try:
                dataset = datasets.for_method(name, cls, config)
            except UnservedError as refusal:
                if on_skip is None:
                    raise
                on_skip(f"skipped {name} on {request.name}: {refusal}")
                continue
            template = spec_of(name, cls, config, dataset)
            alike = cls.is_deterministic(config)
            same = {"tuning_worlds": worlds, "tuning_seeds": 1 if alike else tuning_seeds}
            for seed in entry.seeds or seeds or ((0,) if alike else DEFAULT_SEEDS):
                update = {"seed": seed, "rules": rules, **same}
                spec = template.model_copy(update=update)
                jobs.append(Job(spec, dataset, request, entry.label))
    _refuse_same(jobs)
    return jobs


def _refuse_same(jobs: Sequence[Job]) -> None:
    """Refuse a run that is planned twice: one dataset under two names, as CUB and cub."""
    first: dict[str, Job] = {}
    for job in jobs:
        other = first.setdefault(job.spec.key, job)
        if other is not job and job.request and other.request:
            raise ZslbenchError(
                f"{job.request.name} and {other.request.name} are one dataset, read in one way: "
                "leave out one of the two."
            )


def _entry(name: str, settings: Mapping[str, Any]) -> Entry:
    return Entry(name, load_method(name).Config.parse(settings, name))


def spec_of(name: str, cls: type[Method], config: MethodConfig, dataset: Dataset) -> RunSpec:
    """Return the spec of seed 0 of a method with a config, on a dataset in the form it needs."""
    words = dataset.words if "word_vectors" in cls.needs else None
    return RunSpec(**stated(name, cls, config, dataset), words=words)


def stated(
    name: str, cls: type[Method | IncrementalMethod], config: Settings, dataset: Dataset
) -> dict[str, Any]:
    """Return what the specs of every kind of run say, for seed 0."""
    return {
        "method": name,
        "method_version": cls.version,
        "config": config.stored(),
        "settings": config.changed(),
        "dataset": dataset.name,
        "data_digest": dataset.digest,
        "backbone": dataset.backbone,
        "descriptions": dataset.descriptions if "descriptions" in cls.needs else None,
        "seed": 0,
        "precision": cls.precision,
    }


def changed(base: Job, params: Mapping[str, Any]) -> Job:
    """Return a run with some settings of its config changed."""
    spec = base.spec
    cls, config = resolve(spec, params)
    check_grid(spec.method, cls, config, base.dataset.source)
    names = ("seed", "tuning_worlds", "tuning_seeds", "rules")
    new = spec_of(spec.method, cls, config, base.dataset)
    same = {name: getattr(spec, name) for name in names}
    return replace(base, spec=new.model_copy(update=same))
