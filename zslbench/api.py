"""What a notebook calls: one function for each question. The command line calls the same.

Results are kept in a folder: what is finished there is not run again, by whichever of the two.
"""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack, get_args

from zslbench.data.load import DataRequest
from zslbench.data.provide import DataSource
from zslbench.errors import ZslbenchError, unknown
from zslbench.method import Method
from zslbench.method.registry import load_method, method_modules, register_file
from zslbench.studies.incremental.suite import IncrementalSuite, read_incremental_suite
from zslbench.studies.leaderboard.incremental import make_incremental
from zslbench.studies.leaderboard.measure import make, tracked
from zslbench.studies.leaderboard.plan.request import TableRequest, check_rules, request_table
from zslbench.studies.leaderboard.results import Leaderboard, Result
from zslbench.studies.plan import DEFAULT_SEEDS, plan
from zslbench.studies.regression.compare import regress
from zslbench.studies.regression.measure import subjects_of
from zslbench.studies.regression.results import CommitComparison
from zslbench.studies.regression.sides import find_project
from zslbench.studies.sensitivity.plan import SensitivityPlan
from zslbench.studies.sensitivity.plan import sensitivity as measure_sensitivity
from zslbench.studies.sensitivity.results import Sensitivity
from zslbench.studies.session import EngineChoice, report_failures, session
from zslbench.studies.suites import SuiteRow
from zslbench.studies.sweep.plan import PrunerName, SamplerName, SweepPlan
from zslbench.studies.sweep.report import search
from zslbench.studies.sweep.results import SweepReport
from zslbench.studies.sweep.space import parse_space

MethodName = str | Path | type[Method]
Data = str | DataSource | DataRequest
Seeds = int | Sequence[int] | None
SAMPLERS, PRUNERS = get_args(SamplerName), get_args(PrunerName)
PEERS = ("nearest_mean", "fine_tuning", "joint")


def load_dataset(
    name: str,
    root: str | Path = "data",
    *,
    features: str | None = None,
    images: str | Path | None = None,
    backbone: str | None = None,
    weights: str | Path | None = None,
    words: str | None = None,
    descriptions: str | None = None,
    resplit: bool = False,
) -> DataSource:
    """Find a dataset and read its classes and splits; images and features are read when needed.

    Args:
        name: A folder below `root` in the shape of xlsa17 (`zslbench data build` makes one of your
            own images), or `plumage`, the dataset that zslbench draws; `plumage:clutter=80`.
        root: The folder that holds the datasets' folders.
        features: The feature file, without `.mat`; by default `res101`, or the only one.
        images: Folder of the images, where it is not the dataset's own.
        backbone: The pretrained network for methods that take images.
        weights: A local file with its weights.
        words: Word vectors of the attribute names: a GloVe file, a table, or `random`.
        descriptions: What describes the classes: `names`, `attributes`, or a JSON file.
        resplit: Whether to ignore class splits of the file that leak test images.

    Raises:
        ZslbenchError: If there is no such dataset, or it cannot be used as it is.

    Example:
        >>> import zslbench as zsl
        >>> zsl.load_dataset("plumage").bare.classes.names[:2]  # doctest: +SKIP
    """
    data = DataSource(DataRequest(
        name, Path(root), features=features, images=_path(images), backbone=backbone,
        weights=_path(weights), words=words, descriptions=descriptions, resplit=resplit,
    ))  # fmt: skip
    _ = data.bare  # what is wrong with it shows here
    return data


def run(
    method: MethodName,
    data: Data,
    *,
    settings: Mapping[str, Any] | None = None,
    seeds: Seeds = None,
    worlds: int = 3,
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
        _names(method), _requests(data), settings or {}, _seeds(seeds), worlds,
        check_rules(rules),
    )  # fmt: skip
    return Result(**vars(make(table, Path(results), **engine)))


def leaderboard(
    methods: MethodName | Sequence[MethodName] | None = None,
    data: Data | Sequence[Data] | None = None,
    *,
    suite: str | Path | None = None,
    reference: str | None = None,
    seeds: Seeds = None,
    worlds: int | None = None,
    rules: Sequence[str] | None = None,
    tune: int = 0,
    retry: bool = False,
    results: str | Path = "results",
    **engine: Unpack[EngineChoice],
) -> Leaderboard:
    """Run what is missing of a table and return it; without data and suite, all that is tracked.

    Args:
        methods: Their names, classes or files; None: all that the data can serve.
        data: Datasets, or their names.
        suite: A published table, by its name or file, in place of methods.
        reference: The row or method to take paired differences from.
        seeds: How many, or which; by default 3, and one for a deterministic method.
        worlds: Validation splits to choose in; by default 3.
        rules: How epoch and gamma are picked; by default `validation`.
        tune: Search every method's settings with so many trials; 0: the defaults.
        retry: Whether to run again what failed before.
        results: Folder of the results.
        engine: Where the runs are done.

    Raises:
        ZslbenchError: On an unknown name, data that cannot be used, an empty results folder.

    Example:
        >>> import zslbench as zsl
        >>> board = zsl.leaderboard(["eszsl", "sae"], ["plumage"], reference="eszsl")
        ... # doctest: +SKIP
    """
    if data is None and suite is None:
        return tracked(Path(results), rules or ("validation",), reference)
    table = request_table(
        None if methods is None else _names(methods), None if data is None else _requests(data),
        suite=None if suite is None else str(suite), reference=reference, seeds=_seeds(seeds),
        worlds=worlds, rules=rules,
    )  # fmt: skip
    return make(table, Path(results), retry=retry, tune=tune, **engine)


def incremental(
    methods: str | Sequence[str] | None = None,
    data: Data | Sequence[Data] | None = None,
    *,
    suite: str | Path | None = None,
    base: int | None = None,
    increment: int | None = None,
    settings: Mapping[str, Any] | None = None,
    reference: str | None = None,
    seeds: Seeds = None,
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
        raise ZslbenchError("--methods, --set: the suite names its rows; leave them out.")
    table = read_incremental_suite(str(suite)) if suite is not None else IncrementalSuite(
        name="incremental", title="Task sequences", datasets=["plumage"], increment=12,
        rows=[SuiteRow(method=each) for each in _names(methods or PEERS)],
        settings=dict(settings or {}),
    )  # fmt: skip
    asked = {"base": base, "increment": increment, "seeds": _seeds(seeds), "reference": reference}
    table = table.model_copy(update={k: v for k, v in asked.items() if v is not None})
    requests = _requests(data or table.datasets)
    return make_incremental(table, requests, Path(results), retry=retry, **engine)


def sensitivity(
    method: MethodName,
    data: Data,
    *,
    parameters: Sequence[str] = (),
    grids: Mapping[str, Sequence[Any]] | None = None,
    settings: Mapping[str, Any] | None = None,
    seeds: Seeds = None,
    worlds: int = 3,
    final: bool = False,
    results: str | Path = "results",
    **engine: Unpack[EngineChoice],
) -> Sensitivity:
    """Vary one setting at a time around the defaults: T1, U, S and H on validation classes.

    Args:
        method: Its name, its class, or the Python file that holds it.
        data: A dataset, or its name.
        parameters: Settings to vary; by default those whose curves the paper shows, or all that a
            sweep would search.
        grids: Values to vary settings over.
        settings: Other defaults.
        seeds: How many, or which; by default 3.
        worlds: Validation splits to choose in.
        final: Whether to read test classes, as papers do; watermarked and counted.
        results: Folder of the results.
        engine: Where the work is done.

    Raises:
        ZslbenchError: On an unknown name, a value out of bounds, or if the defaults fail.

    Example:
        >>> import zslbench as zsl
        >>> zsl.sensitivity("svip", "plumage", parameters=["M"])  # doctest: +SKIP
    """
    asked = _seeds(seeds)
    with session(Path(results), **engine) as at:
        runs = plan(
            [method_name(method)], [_request(data)], settings=settings or {},
            seeds=asked if final else asked or DEFAULT_SEEDS, worlds=worlds,
            on_progress=at.decoding,
        )  # fmt: skip
        base = replace(runs[0], spec=runs[0].spec.model_copy(update={"seed": 0}))
        written = {name: [str(value) for value in values] for name, values in (grids or {}).items()}
        repeated = tuple(job.spec.seed for job in runs)
        study = SensitivityPlan(base, tuple(parameters), written, repeated, final)
        found, failures = measure_sensitivity(study, at.store, at.engine)
    report_failures(failures, at.store)
    return replace(found, failed=len(failures))


def sweep(
    method: MethodName,
    data: Data,
    *,
    trials: int | None = None,
    space: Sequence[str] = (),
    settings: Mapping[str, Any] | None = None,
    sampler: str = "tpe",
    pruner: str = "none",
    points: int = 5,
    seed: int = 0,
    top: int = 3,
    test: bool = True,
    worlds: int = 3,
    name: str | None = None,
    storage: str | None = None,
    results: str | Path = "results",
    **engine: Unpack[EngineChoice],
) -> SweepReport:
    """Search a method's settings by mean H on validation classes, then test the winner once.

    Trial 0 is the method's defaults. A sweep that was interrupted resumes.

    Args:
        method: Its name, its class, or the Python file that holds it.
        data: A dataset, or its name.
        trials: How many in all; by default 30, or all cells of a grid.
        space: What is searched, such as `M=10:48`, `lambda1=0.01:10:log` or `pooling=max|mean`; by
            default what the method declares.
        settings: Of what is not searched.
        sampler: `tpe`, `random` or `grid`.
        pruner: `none`, `median` or `hyperband`.
        points: Values of each range in a grid.
        seed: Of the sampler.
        top: Trials that are fitted again on other class splits; 0: the sweep alone decides.
        test: Whether to read the test labels for the winner.
        worlds: Validation splits to choose in.
        name: The sweep's name; by default made from all that is fixed.
        storage: A database URL for Optuna; by default a journal file in the results folder.
        results: Folder of the results.
        engine: Where trials run.

    Raises:
        ZslbenchError: On an unknown name, a range out of bounds, a database that is away.

    Example:
        >>> import zslbench as zsl
        >>> zsl.sweep("eszsl", "plumage", trials=20).winner  # doctest: +SKIP
    """
    for kind, said, known in (("sampler", sampler, SAMPLERS), ("pruner", pruner, PRUNERS)):
        if said not in known:
            raise unknown(kind, said, known)
    called, fixed = method_name(method), settings or {}
    searched = tuple(parse_space(load_method(called), called, space, fixed))
    with session(Path(results), **engine) as at:
        (base,) = plan(
            [called], [_request(data)], settings=fixed, seeds=[0], worlds=worlds,
            on_progress=at.decoding,
        )  # fmt: skip
        study = SweepPlan(
            base, searched, sampler, pruner, points, seed, name  # type: ignore[arg-type]
        )  # fmt: skip
        return search(
            study, at.store, at.engine, trials=trials, storage=storage, top=top, test=test
        )


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
    subjects, checkout = subjects_of(suite, Path(root)), find_project(Path(project))
    with session(Path(results)) as at:
        return regress(
            checkout, before, suite, subjects, seeds, margin, at.store, at.tick, after=after
        )


def method_name(method: MethodName) -> str:
    """Return what a method is called by; a file becomes a method here.

    Raises:
        ZslbenchError: If a class is in no file of its own, or a file holds no method.
    """
    if isinstance(method, type):
        names = {module: name for name, module in method_modules().items()}
        if method.__module__ in names:
            return names[method.__module__]
        if method.__module__ == "__main__":
            raise ZslbenchError(
                f"{method.__name__} is part of a notebook or script, which no other process can "
                "import. Put it in a file of its own, and import it from there."
            )
        method = Path(inspect.getfile(method))
    if isinstance(method, Path) or method.endswith(".py"):
        return register_file(Path(method))
    return method


def _names(methods: MethodName | Sequence[MethodName]) -> list[str]:
    several = [methods] if isinstance(methods, str | Path | type) else methods
    return [method_name(each) for each in several]


def _path(path: str | Path | None) -> Path | None:
    return None if path is None else Path(path)


def _requests(data: Data | Sequence[Data]) -> list[DataRequest]:
    several = [data] if isinstance(data, str | DataSource | DataRequest) else data
    return [_request(each) for each in several]


def _request(data: Data) -> DataRequest:
    if isinstance(data, DataSource):
        return data.request
    return DataRequest(data, Path("data")) if isinstance(data, str) else data


def _seeds(seeds: Seeds) -> list[int] | None:
    """Return the seeds meant: the first so many, or those named."""
    if seeds is None:
        return None
    named = list(range(seeds)) if isinstance(seeds, int) else sorted(set(seeds))
    if not named or min(named) < 0:
        raise ZslbenchError(f"seeds={seeds!r}: name a number of seeds, or whole numbers from 0.")
    return named
