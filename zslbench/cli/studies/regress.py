"""`zslbench regress`: did a change move any accuracy? Three tiers: exact, statistical, trend."""

from pathlib import Path
from traceback import print_exc
from typing import Annotated, Any

import typer

from zslbench.cli import options as opt
from zslbench.cli.output import print_facts, print_result

BROKEN = 125
# What a status becomes for `git bisect run`, to which 125 is skip and 128 ends the search.
BISECT = {2: 128, 3: BROKEN}

Project = Annotated[
    Path, typer.Option(help="A folder of the checkout to compare (default: the current one).")
]
MeasuredSuite = Annotated[str, typer.Option(help="What to measure: a suite's name or file.")]
HERE = Path()
Bisect = Annotated[
    bool,
    typer.Option(
        "--bisect",
        help="Exit codes for git bisect run: 125 (skip) if "
        "INCONCLUSIVE or this commit cannot be measured, 128 (abort) on bad input.",
    ),
]


def regress(
    against: Annotated[
        str | None,
        typer.Option(help="A git ref, or a baseline such as results/baselines/regression.toml."),
    ] = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="Compare exact numbers with results/baselines/exact/.")
    ] = False,
    trend: Annotated[
        bool,
        typer.Option("--trend", help="Show every tracked value by commit, and where it stepped."),
    ] = False,
    power: Annotated[
        bool,
        typer.Option(
            "--power", help="Print the drops that each number of seeds can detect, then exit."
        ),
    ] = False,
    suite: MeasuredSuite = "regression",
    seeds: Annotated[int, typer.Option(min=2, max=1000, help="Number of paired seeds.")] = 10,
    margin: Annotated[
        float,
        typer.Option(
            min=0.01,
            help="Smallest drop that matters, in points; noisier cells get a wider margin.",
        ),
    ] = 1.0,
    bisect: Bisect = False,
    project: Project = HERE,
    data_root: opt.DataRoot = opt.DATA_ROOT,
    results: opt.Results = opt.RESULTS,
    json: opt.Json = False,
) -> None:
    """Compare this commit's accuracies with another's, paired by seed, in tuning worlds alone.

    Both are installed beside each other and measured by their own code. Exit status 0 PASS, 1 FAIL,
    3 INCONCLUSIVE (more seeds decide), 2 bad input, 125 zslbench itself broke: no verdict. What was
    measured is tracked by commit, and not measured again.

    Examples:
      zslbench regress --exact

      zslbench regress --against main

      zslbench regress --against results/baselines/regression.toml --seeds 8

      zslbench regress --power

      zslbench regress --trend

      git bisect run zslbench regress --against v0.1 --bisect
    """
    from zslbench.errors import ZslbenchError
    from zslbench.studies.progress import say
    from zslbench.studies.regression.sides import SideError, find_project
    from zslbench.studies.session import check_writable

    if sum((against is not None, exact, trend, power)) != 1:
        raise ZslbenchError("Say one of --against REF, --exact, --trend, --power.")
    try:
        root = find_project(project)
        if not power:
            check_writable(results)
        if exact:
            status = _exact(root, results / "packages", json=json)
        elif power:
            status = _power(root, suite, margin, seeds, json=json)
        elif trend:
            status = _trend(root, results, json=json)
        else:
            about: dict[str, Any] = {"suite": suite, "root": data_root, "project": root}
            about |= {"seeds": seeds, "margin": margin, "results": results}
            status = _against(str(against), about, json=json)
    except ZslbenchError as error:
        if not bisect:
            raise
        say(f"zslbench: {error}")
        status = BROKEN if isinstance(error, SideError) else 2
    except Exception:  # whatever it is, it is no FAIL
        print_exc()
        status = BROKEN
    raise typer.Exit(BISECT.get(status, status) if bisect else status)


def _exact(root: Path, packages: Path, *, json: bool) -> int:
    from zslbench.studies.regression.entries import load_entries, numbers_of
    from zslbench.studies.regression.exact_verdict import check_exact
    from zslbench.studies.regression.results import STATUS
    from zslbench.studies.regression.sides import SideError, ask, blamed, code_of

    with blamed(SideError):
        stored = load_entries(root)
        (answer,) = ask(code_of(root, packages), {"exact": True})
    found = numbers_of(answer)
    held, others = check_exact(stored, found), answer.get("passed_over", [])
    about = {"verdict": held.verdict, "compared": held.said(), "problems": held.problems}
    more = {"unstored": held.unstored, "passed_over": others}
    lines = [held.said()]
    if others:
        lines.append(f"passed over: {', '.join(others)} (of other packages, with no numbers here)")
    lines += [f"{name} {problem}" for name, problem in held.problems.items()]
    alike = len(found.keys() - held.problems.keys() - set(held.unstored))
    lines.append(f"{held.verdict}: {alike} of {len(found)} methods have the stored numbers")
    print_facts({"schema_version": 1, **about, **more}, "\n".join(lines), json=json)
    return STATUS[held.verdict]


def _against(against: str, about: dict[str, Any], *, json: bool) -> int:
    import zslbench as zsl
    from zslbench.studies.regression.results import STATUS

    found = zsl.compare(against, **about)
    print_result(found, json=json)
    return STATUS[found.verdict]


def _trend(root: Path, results: Path, *, json: bool) -> int:
    from zslbench.store import Store
    from zslbench.studies.progress import say
    from zslbench.studies.regression.trend import trend
    from zslbench.studies.regression.trend_results import write_trend

    store = Store(results)
    found = trend(root, store.measurements())
    paths = write_trend(found, store.results)
    print_result(found, json=json)
    say(f"drawn: {', '.join(map(str, paths))}")
    return 0


def _power(root: Path, suite: str, margin: float, seeds: int, *, json: bool) -> int:
    from zslbench.studies.regression.baseline import load, place_of, spreads_of
    from zslbench.studies.regression.results import Power, power_rows, sight_rows

    spreads = spreads_of(load(place_of(root, suite)))
    rows = power_rows([s for cell in spreads.values() for s in cell.values()], margin)
    print_result(Power(rows, sight_rows(spreads, margin, seeds)), json=json)
    return 0
