"""`zslbench sensitivity`: how much hangs on each setting, one at a time around the defaults."""

from typing import Annotated

import typer

from zslbench.cli import options as opt


def sensitivity(
    method: Annotated[str, typer.Argument(help="A method's name; see zslbench methods.")],
    dataset: Annotated[
        str, typer.Option(help="A dataset's folder below --data-root, or plumage[:knob=n,...].")
    ] = "plumage",
    parameters: Annotated[
        str | None,
        typer.Option(
            help="Settings to vary, such as M,lambda1 (default: those whose curves the paper "
            "shows, or all that a sweep would search)."
        ),
    ] = None,
    grid: Annotated[
        list[str],
        typer.Option(help="Values to vary a setting over, name=a,b,c; repeatable."),
    ] = [],  # noqa: B006 - typer reads it, nobody writes to it
    set_: Annotated[
        list[str], typer.Option("--set", help="Another default for a setting, key=value.")
    ] = [],  # noqa: B006 - typer reads it, nobody writes to it
    final: Annotated[
        bool,
        typer.Option("--final", help="Read test classes, as papers do: watermarked, counted."),
    ] = False,
    seeds: opt.Seeds = None,
    data_root: opt.DataRoot = opt.DATA_ROOT,
    features: opt.Features = None,
    images: opt.Images = None,
    backbone: opt.Backbone = None,
    weights: opt.Weights = None,
    words: opt.Words = None,
    descriptions: opt.Descriptions = None,
    worlds: opt.Worlds = 3,
    resplit: opt.Resplit = False,
    jobs: opt.Jobs = None,
    engine: opt.EngineName = "local",
    address: opt.Address = None,
    results: opt.Results = opt.RESULTS,
    json: opt.Json = False,
) -> None:
    """Vary one setting at a time around the defaults: T1, U, S and H in the tuning worlds.

    Tables and figure go to results/sensitivity/. What was measured is not measured again: a study
    that was stopped goes on with the same command, and one with more values does only those. In
    the tuning worlds every seed has class splits, images held out and initialisation of its own.
    Exit status 1 if a value failed.

    Examples:
      zslbench sensitivity svip

      zslbench sensitivity svip --parameters M --seeds 0 --worlds 1 --set epochs=6

      zslbench sensitivity svip --grid lambda1=0.01,0.1,1,10 --grid pooling=max,mean

      zslbench sensitivity svip --jobs 2

      zslbench sensitivity svip --engine ray --address HOST:6379

      zslbench sensitivity eszsl --dataset CUB --data-root ~/data

      zslbench sensitivity svip --dataset CUB --backbone vit_base_patch16_224 --words w.npy --final
    """
    from dataclasses import replace

    from zslbench.cli.output import print_result
    from zslbench.data.load import DataRequest
    from zslbench.engines import open_engine
    from zslbench.report.files import write_figure
    from zslbench.store import Store
    from zslbench.studies.leaderboard.measure import check_writable, tell_failures
    from zslbench.studies.plan import DEFAULT_SEEDS, plan
    from zslbench.studies.progress import Display, say
    from zslbench.studies.sensitivity.axes import parse_grids
    from zslbench.studies.sensitivity.plan import SensitivityPlan
    from zslbench.studies.sensitivity.plan import sensitivity as measure
    from zslbench.studies.sensitivity.results import draw

    request = DataRequest(
        dataset,
        data_root,
        features=features,
        images=images,
        backbone=backbone,
        weights=weights,
        words=words,
        descriptions=descriptions,
        resplit=resplit,
    )
    check_writable(results)
    grids, asked = parse_grids(grid), opt.parse_seeds(seeds)
    named = tuple(opt.parse_list(parameters)) if parameters else ()
    with Display() as display:
        runs = plan(
            [method],
            [request],
            settings=opt.parse_settings(set_),
            seeds=asked if final else asked or DEFAULT_SEEDS,
            worlds=worlds,
            on_progress=lambda done, total: display.tick("decoding images", done, total),
        )
        repeated = tuple(job.spec.seed for job in runs)
        base = replace(runs[0], spec=runs[0].spec.model_copy(update={"seed": 0}))
        study = SensitivityPlan(base, named, grids, repeated, final)
        store = Store(results)
        with open_engine(jobs, display.tick, engine, address) as opened:
            found, failures = measure(study, store, opened)
    tell_failures(failures, store)
    folder = results / "sensitivity"
    found.save(folder / f"{found.name}.md", {f"{found.name}.png": ""})
    found.save(folder / f"{found.name}.csv")
    write_figure(folder, found.name, draw(found))
    print_result(found, json=json)
    say(f"written: {folder / found.name}.{{md,csv,png,pdf}}")
    raise typer.Exit(1 if failures else 0)
