"""`zslbench baseline`: the stored numbers that changes are compared with."""

from typing import Annotated

import typer

from zslbench.cli import options as opt
from zslbench.cli.studies.regress import HERE, Project

app = typer.Typer(no_args_is_help=True)


@app.callback()
def baseline() -> None:
    """The stored numbers that changes are compared with.

    Examples:
      zslbench baseline add svip --reason "SVIP selects by attention; version 2"

      zslbench baseline update regression --reason "first baseline" --seeds 12
    """


@app.command(cls=opt.Command)
def add(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="Methods of this project, such as svip or incremental/spa (default: all)."
        ),
    ] = None,
    reason: Annotated[
        str,
        typer.Option(
            help="Why the numbers changed (required with a raised version); kept in the file."
        ),
    ] = "",
    project: Project = HERE,
    results: opt.Results = opt.RESULTS,
) -> None:
    """Measure exact numbers and add them to results/baselines/exact/NAME.toml.

    A file keeps the numbers of every version, and of every torch, BLAS and processor that they were
    measured on. None is changed: numbers that moved are refused unless the method's version or
    PROTOCOL_VERSION did.

    Examples:
      zslbench baseline add my_method

      zslbench baseline add svip --reason "SVIP selects by attention; version 2"

      zslbench baseline add incremental/spa

      zslbench baseline add
    """
    from zslbench.records import now
    from zslbench.studies.progress import say
    from zslbench.studies.regression.entries import ExactEntry, append, load_entries, numbers_of
    from zslbench.studies.regression.exact_verdict import reason_to_add
    from zslbench.studies.regression.sides import ask, code_of, find_project, git
    from zslbench.studies.session import check_writable

    root = find_project(project)
    stored = load_entries(root)
    check_writable(results)
    code = code_of(root, results / "packages")
    (answer,) = ask(code, {"exact": True, "methods": names or None})
    date, commit = now(), git(root, "rev-parse", "HEAD")
    new = {}
    for name, numbers in numbers_of(answer).items():
        why, note = reason_to_add(name, stored.get(name, []), numbers, reason.strip())
        if note:
            say(note)
        if why:
            new[name] = ExactEntry(**numbers.model_dump(), date=date, commit=commit, reason=why)
        else:
            say(f"{name}: these numbers are stored already")
    for name, entry in new.items():
        say(f"written: {append(root, name, entry)}")


@app.command(cls=opt.Command)
def update(
    suite: Annotated[str, typer.Argument(help="A suite: its name, or your own FILE.toml.")],
    reason: Annotated[str, typer.Option(help="Why the numbers changed; kept in the file.")],
    seeds: Annotated[int, typer.Option(min=2, help="Number of seeds.")] = 10,
    project: Project = HERE,
    data_root: opt.DataRoot = opt.DATA_ROOT,
    results: opt.Results = opt.RESULTS,
) -> None:
    """Measure a suite and write results/baselines/SUITE.toml.

    It is measured twice for each seed, the second time from other random numbers, to
    measure how far chance alone moves a number.

    Examples:
      zslbench baseline update regression --reason "first baseline" --seeds 12
    """
    from zslbench.errors import ZslbenchError
    from zslbench.store import Store
    from zslbench.studies.progress import Display, say
    from zslbench.studies.regression.baseline import content_of, place_of, save
    from zslbench.studies.regression.measure import measure, subjects_of
    from zslbench.studies.regression.sides import find_project, git, install
    from zslbench.studies.session import check_writable

    if not reason.strip():
        raise ZslbenchError('--reason: say why the numbers move, such as --reason "new schedule".')
    root = find_project(project)
    path = place_of(root, suite)
    check_writable(results)
    subjects, store = subjects_of(suite, data_root), Store(results)
    side = install(root, None, store.results / "packages")
    with Display() as display:
        measured = measure(side, subjects, range(seeds), store, display.tick, repeats=(0, 1))
    save(path, content_of(measured), reason, git(root, "rev-parse", "HEAD"))
    say(f"written: {path}")
