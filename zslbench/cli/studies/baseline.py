"""`zslbench baseline`: the stored numbers that changes are held against."""

from typing import Annotated

import typer

from zslbench.cli import options as opt
from zslbench.cli.studies.regress import HERE, Project

app = typer.Typer(no_args_is_help=True)


@app.callback()
def baseline() -> None:
    """The stored numbers that changes are held against.

    Examples:
      zslbench baseline update --reason "SVIP selects by attention; version 2"

      zslbench baseline update regression --reason "first baseline" --seeds 12
    """


@app.command()
def update(
    reason: Annotated[str, typer.Option(help="Why the numbers move; it is kept in the file.")],
    name: Annotated[
        str, typer.Argument(help="exact, or a suite: its name, or your own FILE.toml.")
    ] = "exact",
    seeds: Annotated[int, typer.Option(min=2, help="How many, of a suite.")] = 10,
    project: Project = HERE,
    data_root: opt.DataRoot = opt.DATA_ROOT,
    results: opt.Results = opt.RESULTS,
) -> None:
    """Measure this commit and write results/baselines/NAME.toml: the only way to move a baseline.

    Exact numbers do not move unless the method's version or PROTOCOL_VERSION does, or they were
    stored on another torch, BLAS or processor. A suite is measured twice for each seed, the second
    time from other random numbers: that is what chance alone moves.

    Examples:
      zslbench baseline update --reason "SVIP selects by attention; version 2"

      zslbench baseline update regression --reason "first baseline" --seeds 12
    """
    from zslbench.errors import ZslbenchError
    from zslbench.store import Store
    from zslbench.studies.leaderboard.measure import check_writable
    from zslbench.studies.progress import Display, say
    from zslbench.studies.regression.baseline import content_of, load, place_of, save
    from zslbench.studies.regression.exact_verdict import check_update
    from zslbench.studies.regression.measure import measure, subjects_of
    from zslbench.studies.regression.sides import ask, code_of, find_project, git, install

    if not reason.strip():
        raise ZslbenchError('--reason: say why the numbers move, such as --reason "new schedule".')
    root = find_project(project)
    path = place_of(root, name)
    check_writable(results)
    if name == "exact":
        (content,) = ask(code_of(root, results / "packages"), {"exact": True})
        del content["passed_over"]
        if path.exists():
            for method, problem in check_update(load(path), content).items():
                say(f"on another torch, BLAS or processor, {method} {problem}")
    else:
        subjects, store = subjects_of(name, data_root), Store(results)
        side = install(root, None, store.results / "packages")
        with Display() as display:
            measured = measure(side, subjects, range(seeds), store, display.tick, repeats=(0, 1))
        content = content_of(measured)
    save(path, content, reason, git(root, "rev-parse", "HEAD"))
    say(f"written: {path}")
