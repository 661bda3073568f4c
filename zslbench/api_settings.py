"""What a notebook calls to vary a method's settings, on validation classes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack, get_args

from zslbench.errors import unknown
from zslbench.inputs import expanded
from zslbench.method.registry import load_method
from zslbench.studies import arguments as arg
from zslbench.studies.plan import DEFAULT_SEEDS, plan
from zslbench.studies.sensitivity.plan import SensitivityPlan
from zslbench.studies.sensitivity.plan import sensitivity as measure_sensitivity
from zslbench.studies.sensitivity.results import Sensitivity
from zslbench.studies.session import EngineChoice, report_failures, session
from zslbench.studies.sweep.plan import PrunerName, SamplerName, SweepPlan
from zslbench.studies.sweep.report import search
from zslbench.studies.sweep.results import SweepReport
from zslbench.studies.sweep.space import parse_space

SAMPLERS, PRUNERS = get_args(SamplerName), get_args(PrunerName)


@arg.checked
def sensitivity(
    method: arg.MethodName,
    data: arg.Data,
    *,
    parameters: Sequence[str] = (),
    grids: Mapping[str, Sequence[Any]] | None = None,
    settings: Mapping[str, Any] | None = None,
    seeds: arg.Seeds = None,
    worlds: int = 3,
    tuning_seeds: int = 1,
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
        tuning_seeds: Fits in each of them; a deterministic method has one.
        final: Whether to read test classes, as papers do; watermarked and counted.
        results: Folder of the results.
        engine: Where the work is done.

    Raises:
        ZslbenchError: On an unknown name, a value out of bounds, or if the defaults fail.

    Example:
        >>> import zslbench as zsl
        >>> zsl.sensitivity("svip", "plumage", parameters=["M"])  # doctest: +SKIP
    """
    asked, varied = arg.seed_list(seeds), tuple(arg.listed("parameters", parameters, empty=True))
    with session(expanded(results), **engine) as at:
        runs = plan(
            [arg.method_name(method)], [arg.request_of(data)], settings=settings or {},
            seeds=asked if final else asked or DEFAULT_SEEDS, worlds=worlds,
            tuning_seeds=tuning_seeds, on_progress=at.reading,
        )  # fmt: skip
        base = replace(runs[0], spec=runs[0].spec.model_copy(update={"seed": 0}))
        written = {name: [str(value) for value in values] for name, values in (grids or {}).items()}
        repeated = tuple(job.spec.seed for job in runs)
        study = SensitivityPlan(base, varied, written, repeated, final)
        found, failures = measure_sensitivity(study, at.store, at.engine)
    report_failures(failures, at.store)
    return replace(found, failed=len(failures))


@arg.checked
def sweep(
    method: arg.MethodName,
    data: arg.Data,
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
    tuning_seeds: int = 1,
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
        sampler: `tpe`, `random`, `sobol` (fills the space evenly) or `grid`.
        pruner: `none`, `median` or `hyperband`.
        points: Values of each range in a grid.
        seed: Of the sampler.
        top: Trials that are fitted again on other class splits; 0: the sweep alone decides.
        test: Whether to read the test labels for the winner.
        worlds: Validation splits to choose in.
        tuning_seeds: Fits in each of them; a deterministic method has one.
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
    called, fixed = arg.method_name(method), settings or {}
    named = arg.listed("space", space, empty=True)
    searched = tuple(parse_space(load_method(called), called, named, fixed))
    with session(expanded(results), **engine) as at:
        (base,) = plan(
            [called], [arg.request_of(data)], settings=fixed, seeds=[0], worlds=worlds,
            tuning_seeds=tuning_seeds, on_progress=at.reading,
        )  # fmt: skip
        study = SweepPlan(
            base, searched, sampler, pruner, points, seed, name  # type: ignore[arg-type]
        )  # fmt: skip
        return search(
            study, at.store, at.engine, trials=trials, storage=storage, top=top, test=test
        )
