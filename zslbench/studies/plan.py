"""Plans: the runs that a question asks for."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from zslbench.data.load import DataRequest
from zslbench.data.types import Dataset
from zslbench.execute import Job
from zslbench.method import Method, MethodConfig
from zslbench.records import RuleName, RunSpec
from zslbench.registry import load_method
from zslbench.serving import Datasets, UnservedError

DEFAULT_SEEDS = (0, 1, 2)


def plan(
    methods: Sequence[str],
    requests: Sequence[DataRequest],
    *,
    settings: Mapping[str, Any],
    seeds: Sequence[int] | None,
    worlds: int,
    published: bool = False,
    on_skip: Callable[[str], None] | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Job]:
    """Return every method x dataset x seed as a job.

    Args:
        methods: Names of methods.
        requests: The datasets.
        settings: What differs from the methods' defaults.
        seeds: By default 0, 1, 2, and one for a method that has no use for seeds.
        worlds: Tuning worlds to choose in.
        published: Whether to read the published rule too, which scores every epoch on test.
        on_skip: If given, a method that the data cannot serve is told to it instead of refused.
        on_progress: Called with (done, total) while images are decoded.

    Raises:
        ZslbenchError: On an unknown name, a setting out of bounds, data that cannot be used.
    """
    classes = {name: load_method(name) for name in methods}
    configs = {name: cls.Config.parse(settings, name) for name, cls in classes.items()}
    rules: tuple[RuleName, ...] = ("validation", "last", *(("published",) if published else ()))
    jobs = []
    for request in requests:
        datasets = Datasets(request, on_progress)
        for name, cls in classes.items():
            try:
                dataset = datasets.serving(name, cls, configs[name])
            except UnservedError as refusal:
                if on_skip is None:
                    raise
                on_skip(f"skipped {name} on {request.name}: {refusal}")
                continue
            template = spec_of(name, cls, configs[name], dataset)
            for seed in seeds or ((0,) if cls.deterministic else DEFAULT_SEEDS):
                update = {"seed": seed, "tuning_worlds": worlds, "rules": rules}
                jobs.append(Job(template.model_copy(update=update), dataset, request))
    return jobs


def spec_of(name: str, cls: type[Method], config: MethodConfig, dataset: Dataset) -> RunSpec:
    """Return the spec of seed 0 of a method with a config, on a dataset in the form it needs."""
    values, defaults = config.model_dump(mode="json"), cls.Config().model_dump(mode="json")
    return RunSpec(
        method=name,
        method_version=cls.version,
        config=values,
        settings={key: value for key, value in values.items() if value != defaults[key]},
        dataset=dataset.name,
        data_digest=dataset.digest,
        backbone=dataset.backbone,
        words=dataset.words if "word_vectors" in cls.needs else None,
        seed=0,
        precision=cls.precision,
    )
