"""Plans: the runs that a question asks for."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from zslbench.data.load import DataRequest, is_embedded, load_dataset
from zslbench.data.types import BackboneSource, Dataset
from zslbench.errors import ZslbenchError
from zslbench.execute import Job
from zslbench.method import Method, MethodConfig
from zslbench.records import RuleName, RunSpec
from zslbench.registry import load_method

if TYPE_CHECKING:
    from zslbench.backbones.create import Source

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
        datasets = _Datasets(request, on_progress)
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
                jobs.append(Job(template.model_copy(update=update), dataset))
    return jobs


class UnservedError(ZslbenchError):
    """A method needs what the data, as asked for, do not have."""


class _Datasets:
    """One dataset in the forms that methods need it in: images, or features."""

    def __init__(self, request: DataRequest, on_progress: Callable[[int, int], None]) -> None:
        self.request, self.on_progress = request, on_progress

    def serving(self, name: str, cls: type[Method], config: MethodConfig) -> Dataset:
        """Return the form that a method needs, or refuse."""
        own = cls.source_of(config)
        if own is not None:
            dataset = self._images_for(own)
        else:
            dataset = self._images if "images" in cls.needs else self._features
        if "word_vectors" in cls.needs and dataset.word_vectors is None:
            raise UnservedError(
                f"{name} needs word vectors of the attribute names: name a GloVe file or a table "
                "with --words FILE, or say --words random."
            )
        return dataset

    @cached_property
    def _source(self) -> "Source":
        from zslbench.backbones.create import EMBEDDED, find_backbone

        name = self.request.backbone
        if name is None:
            if not is_embedded(self.request.name):
                raise UnservedError(
                    f"{self.request.name} needs a backbone for its images: name a ViT of timm's "
                    "with --backbone, such as deit_base_patch16_224.fb_in1k."
                )
            name = EMBEDDED
        return find_backbone(name, self.request.weights)

    @cached_property
    def _images(self) -> Dataset:
        return self._images_for(self._source)

    def _images_for(self, source: BackboneSource) -> Dataset:
        request = replace(self.request, features=None, image_size=source.size)
        dataset = load_dataset(request, self.on_progress)
        side = dataset.inputs[np.arange(1)].shape[1]
        if side != source.size:
            raise UnservedError(
                f"{self.request.name} has images of {side} px and {source.record.name} takes "
                f"{source.size}: choose a backbone of that size."
            )
        return replace(dataset, backbone=source.record, source=source)

    @cached_property
    def _features(self) -> Dataset:
        if self.request.features or not (self.request.backbone or is_embedded(self.request.name)):
            return load_dataset(self.request, self.on_progress)
        from zslbench.backbones.features import with_features
        from zslbench.data.cache import default_cache_dir

        return with_features(self._images, self._source, default_cache_dir(), self.on_progress)


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


def changed(base: Job, params: Mapping[str, Any]) -> Job:
    """Return a run with some settings of its config changed."""
    spec, cls = base.spec, load_method(base.spec.method)
    config = cls.Config.model_validate(spec.config | dict(params))
    same = {"seed": spec.seed, "tuning_worlds": spec.tuning_worlds, "rules": spec.rules}
    new = spec_of(spec.method, cls, config, base.dataset)
    return Job(new.model_copy(update=same), base.dataset)
