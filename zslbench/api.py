"""What a notebook calls: one function for each question. The command line calls the same.

Results are kept in a folder: what is finished there is not run again, by whichever of the two.
"""

from collections.abc import Mapping, Sequence
from math import inf
from pathlib import Path
from typing import Any, Unpack

from zslbench.data.load import DataRequest
from zslbench.data.provide import DataSource
from zslbench.errors import ZslbenchError
from zslbench.inputs import expanded
from zslbench.studies import arguments as arg
from zslbench.studies.archive import SUFFIX
from zslbench.studies.incremental.suite import IncrementalSuite, read_incremental_suite
from zslbench.studies.leaderboard.incremental import make_incremental
from zslbench.studies.leaderboard.measure import make, show, tracked
from zslbench.studies.leaderboard.plan.request import TableRequest, check_rules, request_table
from zslbench.studies.leaderboard.results import Leaderboard, Result
from zslbench.studies.regression.compare import regress
from zslbench.studies.regression.measure import subjects_of
from zslbench.studies.regression.results import CommitComparison
from zslbench.studies.regression.sides import find_project
from zslbench.studies.session import EngineChoice, session
from zslbench.studies.suites import SuiteRow

PEERS = ("nearest_mean", "fine_tuning", "joint")


@arg.checked
def load_dataset(
    name: str,
    root: str | Path = "data",
    *,
    features: str | Path | None = None,
    images: str | Path | None = None,
    backbone: str | None = None,
    image_size: int | None = None,
    weights: str | Path | None = None,
    frozen_blocks: int | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    exposure: str | None = None,
    fine_tuned: bool = False,
    words: str | None = None,
    descriptions: str | None = None,
    resplit: bool = False,
) -> DataSource:
    """Find a dataset and read its classes and splits; images and features are read when needed.

    Args:
        name: A folder below `root` in the shape of xlsa17 (`zslbench data build` makes one of your
            own images), or `plumage`, the dataset that zslbench draws; `plumage:clutter=80`.
        root: The folder that holds the datasets' folders.
        features: The feature file: its name, `.mat` left out (by default `res101`, or the only
            one), or a path to it.
        images: Folder of the images, where it is not the dataset's own.
        backbone: The pretrained network for methods that take images.
        image_size: Side of its images in pixels, where it is not the network's own.
        weights: A local file with its weights.
        frozen_blocks: How many blocks of a ViT, the first ones, are never trained.
        mean: Of the input that those weights were trained on, `(r, g, b)` in [0, 1], where neither
            the file's metadata nor the architecture say it.
        std: Likewise, its deviation.
        exposure: Likewise, what the pretraining saw: `1k`, `21k`, `web`.
        fine_tuned: Whether labels of all seen classes trained the network behind `features`, or
            else the backbone, where the file does not say so: nothing can be tuned with it.
        words: Word vectors of the attribute names: a GloVe file, a table, or `random`; plumage
            has its own. `shuffled:` before any of them makes a control.
        descriptions: What describes the classes: `names`, `attributes`, or a JSON file.
        resplit: Whether to ignore class splits of the file that leak test images.

    Raises:
        ZslbenchError: If there is no such dataset, or it cannot be used as it is.

    Example:
        >>> import zslbench as zsl
        >>> zsl.load_dataset("plumage").bare.classes.names[:2]  # doctest: +SKIP
    """
    if not isinstance(name, str):
        raise arg.no_dataset(name)
    folder, file = (None if path is None else expanded(path) for path in (images, weights))
    data = DataSource(DataRequest(
        name, expanded(root), features=None if features is None else str(features), images=folder,
        backbone=backbone, image_size=image_size, weights=file, frozen_blocks=frozen_blocks,
        mean=None if mean is None else tuple(arg.listed("mean", mean)),
        std=None if std is None else tuple(arg.listed("std", std)), exposure=exposure,
        fine_tuned=fine_tuned, words=words, descriptions=descriptions, resplit=resplit,
    ))  # fmt: skip
    _ = data.bare  # what is wrong with it shows here
    return data


@arg.checked
def run(
    method: arg.MethodName,
    data: arg.Data,
    *,
    settings: Mapping[str, Any] | None = None,
    seeds: arg.Seeds = None,
    worlds: int = 3,
    tuning_seeds: int = 1,
    rules: Sequence[str] = ("validation",),
    results: str | Path = "results",
    **engine: Unpack[EngineChoice],
) -> Result:
    """Choose on validation classes, fit once, read the test labels once.

    Args:
        method: Its name, its class, or the Python file that holds it.
        data: A dataset, or its name.
        settings: What differs from the method's defaults.
        seeds: How many, or which; by default 3, and one for a deterministic method.
        worlds: Validation splits to choose in.
        tuning_seeds: Fits in each of them; a deterministic method has one.
        rules: How epoch and gamma are picked: `validation`, `last`, `published`.
        results: Folder of the results.
        engine: Where the runs are done.

    Raises:
        ZslbenchError: On an unknown name, a setting out of bounds, data that cannot be used.

    Example:
        >>> import zslbench as zsl
        >>> zsl.run("eszsl", "plumage", settings={"reg_x": 10}).scores  # doctest: +SKIP
    """
    table = TableRequest(
        [arg.method_name(method)], [arg.request_of(data)], settings or {}, arg.seed_list(seeds),
        worlds, check_rules(arg.listed("rules", rules)), tuning_seeds=tuning_seeds,
    )  # fmt: skip
    return Result(**vars(make(table, expanded(results), **engine)))


@arg.checked
def leaderboard(
    methods: arg.MethodName | Sequence[arg.MethodName] | None = None,
    data: arg.Data | Sequence[arg.Data] | None = None,
    *,
    suite: str | Path | None = None,
    reference: str | None = None,
    seeds: arg.Seeds = None,
    worlds: int | None = None,
    tuning_seeds: int | None = None,
    rules: Sequence[str] | None = None,
    tune: int = 0,
    retry: bool = False,
    study: str | Path | None = None,
    results: str | Path = "results",
    **engine: Unpack[EngineChoice],
) -> Leaderboard:
    """Run what is missing of a table and return it; without data and suite, all that is tracked.

    Args:
        methods: Their names, classes or files; None: all that the data can serve.
        data: Datasets, or their names.
        suite: A published table, by its name or file, in place of methods; or the archive of a
            study's table, which is shown as it was packed, from any reference.
        reference: The row or method to take paired differences from.
        seeds: How many, or which; by default 3, and one for a deterministic method.
        worlds: Validation splits to choose in; by default 3.
        tuning_seeds: Fits in each of them, by default 1; a deterministic method has one.
        rules: How epoch and gamma are picked; by default `validation`.
        tune: Search every method's settings with so many trials; 0: the defaults.
        retry: Whether to run again what failed before.
        study: A folder of archives: what they have is not run, and the table's own is written.
        results: Folder of the results.
        engine: Where the runs are done.

    Raises:
        ZslbenchError: On an unknown name, data that cannot be used, an empty results folder.

    Example:
        >>> import zslbench as zsl
        >>> board = zsl.leaderboard(["eszsl", "sae"], ["plumage"], reference="eszsl")
        ... # doctest: +SKIP
    """
    named = None if methods is None else arg.method_names(methods)
    shown = None if rules is None else arg.listed("rules", rules)
    chosen = arg.seed_list(seeds)
    asked = (
        named, chosen, worlds, tuning_seeds, tune or None, retry or None, study, *engine.values(),
    )  # fmt: skip
    if suite is not None and str(suite).endswith(SUFFIX):
        if any(each not in (None, "local") for each in (*asked, data, rules)):
            raise ZslbenchError(
                f"{suite} is shown as it was packed: leave everything but a reference out."
            )
        return show(expanded(suite), reference)
    if data is None and suite is None and all(each in (None, "local") for each in asked):
        return tracked(expanded(results), shown or ("validation",), reference)
    table = request_table(
        named, None if data is None else arg.requests_of(data),
        suite=None if suite is None else str(suite), reference=reference, seeds=chosen,
        worlds=worlds, tuning_seeds=tuning_seeds, rules=shown,
    )  # fmt: skip
    place = None if study is None else expanded(study)
    return make(table, expanded(results), retry=retry, tune=tune, study=place, **engine)


@arg.checked
def incremental(
    methods: str | Sequence[str] | None = None,
    data: arg.Data | Sequence[arg.Data] | None = None,
    *,
    suite: str | Path | None = None,
    base: int | None = None,
    increment: int | None = None,
    settings: Mapping[str, Any] | None = None,
    reference: str | None = None,
    seeds: arg.Seeds = None,
    retry: bool = False,
    results: str | Path = "results",
    **engine: Unpack[EngineChoice],
) -> Leaderboard:
    """Learn the seen classes a few at a time: accuracy after each task.

    Args:
        methods: Names of incremental methods; by default the usual bounds.
        data: Datasets, or their names; by default the suite's, or `plumage`.
        suite: A table of task sequences, by its name or file, in place of methods.
        base: Classes of the first task; 0: as every other.
        increment: Classes of every other task; by default 12.
        settings: Of the methods that have them.
        reference: The row to take paired differences from.
        seeds: How many, or which; by default 3.
        retry: Whether to run again what failed before.
        results: Folder of the results.
        engine: Where the runs are done.

    Raises:
        ZslbenchError: On an unknown name, tasks that cannot be cut, data that cannot be used.

    Example:
        >>> import zslbench as zsl
        >>> zsl.incremental(["nearest_mean", "joint"], ["plumage"], increment=12)
        ... # doctest: +SKIP
    """
    if suite is not None and (methods is not None or settings):
        raise ZslbenchError("methods, settings: the suite names its rows; leave them out.")
    named = PEERS if methods is None else arg.incremental_names(methods)
    table = read_incremental_suite(str(suite)) if suite is not None else IncrementalSuite(
        name="incremental", title="Task sequences", datasets=["plumage"], increment=12,
        rows=[SuiteRow(method=each) for each in named],
        settings=dict(settings or {}),
    )  # fmt: skip
    chosen = arg.seed_list(seeds)
    asked = {"base": base, "increment": increment, "seeds": chosen, "reference": reference}
    table = table.model_copy(update={k: v for k, v in asked.items() if v is not None})
    requests = arg.requests_of(table.datasets if data is None else data)
    return make_incremental(table, requests, expanded(results), retry=retry, **engine)


@arg.checked
def compare(
    before: str,
    after: str | None = None,
    *,
    suite: str = "regression",
    root: str | Path = "data",
    seeds: int = 10,
    margin: float = 1.0,
    project: str | Path = ".",
    results: str | Path = "results",
) -> CommitComparison:
    """Compare the accuracies of two commits, paired by seed, on validation classes alone.

    Args:
        before: A git ref, or a baseline such as `results/baselines/regression.toml`.
        after: A git ref; None: the working tree.
        suite: What is measured: a suite's name or file.
        root: The folder that holds the datasets' folders.
        seeds: How many.
        margin: The smallest drop that matters, in points.
        project: A folder of the checkout.
        results: Folder of the results.

    Raises:
        ZslbenchError: If a side cannot be installed or measured, or the two do not compare.

    Example:
        >>> import zslbench as zsl
        >>> zsl.compare("main", "HEAD").verdict  # doctest: +SKIP
    """
    arg.check_whole("seeds", seeds, 2, 1000)
    if not 0.01 <= margin < inf:
        raise ZslbenchError(f"margin={margin!r}: give a number of points from 0.01 on.")
    subjects, checkout = subjects_of(suite, expanded(root)), find_project(expanded(project))
    with session(expanded(results)) as at:
        return regress(
            checkout, before, suite, subjects, seeds, margin, at.store, at.tick, after=after
        )
