"""From a request to the dataset in the form that a method needs it in: images, or features."""

from dataclasses import replace
from functools import cache, cached_property

import numpy as np

from zslbench.data.descriptions import NAMES, plain_name
from zslbench.data.load import DataRequest, is_embedded, load_dataset
from zslbench.data.types import BackboneSource, Dataset, Ending, OnProgress, no_progress
from zslbench.errors import DataError, ZslbenchError
from zslbench.method import Method, MethodConfig
from zslbench.method.base import AnyMethod
from zslbench.method.registry import resolve
from zslbench.method.settings import Settings
from zslbench.records import Backbone, IncrementalSpec, RunSpec

USUAL: dict[Ending, str] = {
    "tokens": "a ViT of timm's, such as deit_base_patch16_224.fb_in1k",
    "pair": "an image-text pair, such as clip:ViT-B-16.laion400m_e32",
    "map": "a network that ends in a map, such as resnet101.tv_in1k or vmamba_small_448.in1k",
}


class UnservedError(ZslbenchError):
    """A method needs what the data, as asked for, do not have."""


class DataSource:
    """One dataset, read when it is needed, in the forms that methods need it in.

    `bare` has its classes and splits, `features` and `images` what methods see.

    Args:
        request: What to load.
        on_progress: Called with (done, total) while images are decoded.
    """

    def __init__(self, request: DataRequest, on_progress: OnProgress = no_progress) -> None:
        self.request, self.on_progress = request, on_progress
        self._kept: dict[Backbone, Dataset] = {}
        self._sources: dict[Ending | None, BackboneSource] = {}
        if request.backbone is None:
            for option in ("image_size", "weights", "frozen_blocks", "mean", "std", "exposure"):
                if getattr(request, option) is not None:
                    named = option.replace("_", "-")
                    raise ZslbenchError(f"--{named}: it is of a backbone. Name it with --backbone.")

    def for_method(self, name: str, cls: type[Method], config: MethodConfig) -> Dataset:
        """Return the form that a method needs.

        Raises:
            UnservedError: If the data have no such form.
        """
        source = None
        if "images" in cls.needs:
            source = cls.source_of(config) or self.source(cls.ending)
            if source.ending != cls.ending:
                raise UnservedError(
                    f"{name} cannot run on {source.record.name}. Choose as backbone "
                    f"(--backbone) {USUAL[cls.ending]}."
                )
            check_grid(name, cls, config, source)
        embedded = is_embedded(self.request.name)
        if "word_vectors" in cls.needs and self.request.words is None and not embedded:
            raise UnservedError(
                f"{name} needs word vectors of the attribute names. Choose (--words) a GloVe file, "
                "a table, or `random`."
            )
        if "descriptions" in cls.needs:
            check_names_describe(name, self.bare)
        dataset = self.features if source is None else self._images(source)
        check_tunable(name, dataset)
        return dataset

    def __repr__(self) -> str:
        sides = f"{len(self.bare.seen)} seen and {len(self.bare.unseen)} unseen classes"
        return f"<{self.bare.name}: {sides}, {len(self.bare.train_labels)} training images>"

    @cached_property
    def bare(self) -> Dataset:
        """Its classes, splits and labels, without what methods see of the images."""
        return load_dataset(replace(self.request, bare=True), self.on_progress)

    @cached_property
    def images(self) -> Dataset:
        """Images, with the backbone asked for beside them.

        Raises:
            UnservedError: If there is no such backbone, or it takes images of another size.
        """
        return self._images(self.source())

    def source(self, ending: Ending | None = None) -> BackboneSource:
        """Return the backbone asked for; on the embedded data, by default the one of an ending.

        Raises:
            UnservedError: If none is named.
            ZslbenchError: If there is no such backbone, or it cannot be had as it is asked for.
        """
        if ending not in self._sources:
            self._sources[ending] = self._find(ending)
        return self._sources[ending]

    def _find(self, ending: Ending | None) -> BackboneSource:
        from zslbench.backbones.embedded import EMBEDDED_ENDING
        from zslbench.backbones.registry import find_backbone

        asked, name = self.request, self.request.backbone
        if other := {"map": asked.map, "pair": asked.pair}.get(ending or "tokens"):
            try:
                return find_backbone(other, image_size=asked.map_size if ending == "map" else None)
            except ZslbenchError as refusal:  # a suite's other rows can do without it
                raise UnservedError(str(refusal)) from None
        if name is None:
            if not is_embedded(asked.name):
                raise UnservedError(
                    f"{asked.name} needs a backbone for its images. "
                    f"Choose as backbone (--backbone) {USUAL[ending or 'tokens']}."
                )
            name = EMBEDDED_ENDING[ending or "tokens"]
        found = find_backbone(
            name, asked.weights, asked.image_size, mean=asked.mean, std=asked.std,
            exposure=asked.exposure, frozen_blocks=asked.frozen_blocks,
        )  # fmt: skip
        told = {"fine_tuned": True} if asked.fine_tuned and not asked.features else {}
        return replace(found, record=found.record.model_copy(update=told))

    def _images(self, source: BackboneSource) -> Dataset:
        if source.record not in self._kept:
            self._kept[source.record] = self._images_for(source)
        return self._kept[source.record]

    def _images_for(self, source: BackboneSource) -> Dataset:
        request = replace(self.request, features=None, image_size=source.size)
        dataset = load_dataset(request, self.on_progress)
        side = dataset.inputs[np.arange(1)].shape[1]
        if side != source.size:
            raise UnservedError(
                f"{self.request.name} has images of {side} px and {source.record.name} takes "
                f"{source.size}: choose a backbone of that size, or name --image-size {side}."
            )
        return replace(dataset, backbone=source.record, source=source)

    @cached_property
    def features(self) -> Dataset:
        """Features: those of the file asked for, or of the backbone.

        Raises:
            DataError: If there is no such file, or there are several and none is named.
        """
        if self.request.features or not (self.request.backbone or is_embedded(self.request.name)):
            return load_dataset(self.request, self.on_progress)
        from zslbench.backbones.features import with_features
        from zslbench.data.cache import default_cache_dir

        source = self.source()
        dataset = self._images(source)
        return with_features(dataset, source, default_cache_dir(), self.on_progress)


def as_read(spec: RunSpec, dataset: Dataset, on_progress: OnProgress = no_progress) -> Dataset:
    """Return a dataset as the fits of a run read it.

    Where images are not augmented, what is never trained is computed once for all epochs, worlds,
    seeds and methods: the map of a frozen network, or the patches behind frozen blocks.
    """
    source = dataset.source
    method, config = resolve(spec)
    if source is None or getattr(config, "augment", True):
        return dataset
    still = method.ending == "map" and getattr(config, "backbone_lr", 1) == 0
    drawn = not source.record.weights_digest  # at random, anew in every fit
    if drawn or not (still or source.record.frozen_blocks):
        return dataset
    from zslbench.backbones.features import with_kept
    from zslbench.data.cache import default_cache_dir

    return with_kept(dataset, source, default_cache_dir(), on_progress)


def check_tunable(method: str, dataset: Dataset) -> None:
    """Refuse a network that was trained on the validation classes of the tuning worlds.

    Raises:
        UnservedError: With what to take instead.
    """
    if dataset.backbone.fine_tuned:
        raise UnservedError(
            f"{method} cannot be tuned on {dataset.name} with {dataset.backbone.name}: labels of "
            "all seen classes trained that network, and so it knows the classes that validation "
            "takes for unseen. Take features of a network that was not so fine-tuned (zslbench "
            "features --backbone NAME), or a method on images that fine-tunes its backbone in each "
            "validation split, such as vit_attr_head."
        )


def check_names_describe(method: str, dataset: Dataset) -> None:
    """Refuse class names in place of descriptions where they say nothing, or the same of two.

    Raises:
        UnservedError: With the class, or with both.
    """
    if dataset.descriptions is None or dataset.descriptions.description != NAMES:
        return
    first: dict[str, str] = {}
    for name in dataset.classes.names:
        plain = plain_name(name)
        same = first.setdefault(plain.casefold(), name)
        if same != name or not plain or plain.isdecimal():
            said = f"those of {same} and {name} are one" if same != name else f"{name} is none"
            raise UnservedError(
                f"{method} reads the names of {dataset.name}'s classes, and {said}: name as "
                "descriptions a JSON file of sentences by class."
            )


def check_grid(
    name: str, cls: type[AnyMethod], config: Settings, source: BackboneSource | None
) -> None:
    """Refuse a backbone whose grid of patches a method cannot use.

    Raises:
        UnservedError: With the sizes of images that would do: the smallest, and the nearest.
    """
    own = source.grid if source else None
    if source is None or own is None or not (why := cls.misfit(config, own)):
        return
    patch = source.size // own
    fine = [grid for grid in range(1, 2 * own + 15) if not cls.misfit(config, grid)]
    nearest = sorted(fine, key=lambda grid: abs(grid - own))
    sizes = [f"{grid * patch} ({grid} x {grid})" for grid in sorted({*fine[:2], *nearest[:2]})]
    raise UnservedError(
        f"{name} cannot use the {own} x {own} patches of {source.record.title}: "
        f"{why}. Name as image size {' or '.join(sizes)}."
    )


def served(request: DataRequest, spec: RunSpec) -> Dataset:
    """Return the dataset of a run that another process has planned; each is loaded once.

    Raises:
        ZslbenchError: If it would be another run here: in another arithmetic, on other data.
    """
    method, config = resolve(spec)
    check_arithmetic(spec, method.precision)
    dataset = _kept(request).for_method(spec.method, method, config)
    check_data(spec, dataset)
    return dataset


def check_arithmetic(spec: RunSpec | IncrementalSpec, precision: str) -> None:
    """Refuse a run that was planned in another arithmetic.

    Raises:
        ZslbenchError: If networks would train in another one here.
    """
    if precision != spec.precision:
        raise ZslbenchError(
            f"{spec.method} was planned in {spec.precision} and would run in {precision} "
            f"here: set ZSLBENCH_PRECISION={spec.precision} for every process and machine."
        )


def check_data(spec: RunSpec | IncrementalSpec, dataset: Dataset) -> None:
    """Refuse a run whose data, weights or texts are not those that it was planned on.

    Raises:
        DataError: With the first that differs.
    """
    weights = spec.backbone.weights_digest, dataset.backbone.weights_digest
    digests = [("data", spec.data_digest, dataset.digest), ("backbone", *weights)]
    texts = [("class descriptions", spec.descriptions, dataset.descriptions)]
    if isinstance(spec, RunSpec):
        texts.append(("word vectors", spec.words, dataset.words))
    digests += [(what, plan.digest, own.digest if own else "") for what, plan, own in texts if plan]
    for what, planned, here in digests:
        if planned != here:
            raise DataError(
                dataset.name,
                f"has {what} of the digest {here[:12]} here and {planned[:12]} where the run was "
                "planned",
                "Give every process and machine the same files.",
            )


@cache
def _kept(request: DataRequest) -> DataSource:
    return DataSource(request)
