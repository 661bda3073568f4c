"""The Python API: what a notebook calls, and what it costs to import."""

import ast
import inspect
import subprocess
import sys
from pathlib import Path
from typing import get_type_hints

import pandas as pd
import pytest

import zslbench as zsl
from zslbench.cli import app
from zslbench.records import Scores
from zslbench.studies.leaderboard.results import Leaderboard, Result

HEAVY = ("torch", "timm", "mlflow", "optuna", "ray", "matplotlib", "pandas", "scipy.stats")
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def tiny(tiny_root):
    return zsl.load_dataset("tiny", root=tiny_root)


@pytest.fixture(scope="module")
def result(tiny, results):
    return zsl.run("eszsl", tiny, results=results)


@pytest.mark.parametrize(
    "code",
    [
        "import zslbench",
        "from zslbench.cli import main; sys.argv = ['zslbench', '--help']; main()",
        "from zslbench.cli import main; sys.argv = ['zslbench', 'methods']; main()",
        "import zslbench; zslbench.load_dataset, zslbench.run, zslbench.Method",
    ],
)
def test_nothing_heavy_is_imported_before_it_is_needed(code):
    found = f"[m for m in {HEAVY} if m in sys.modules]"
    code = f"import sys, atexit; atexit.register(lambda: print({found}, file=sys.stderr)); {code}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_every_name_is_there_and_typed():
    tree = ast.parse((ROOT / "zslbench/__init__.py").read_text())
    (typed,) = [node for node in tree.body if isinstance(node, ast.If)]
    homes = {alias.name: node.module for node in typed.body for alias in node.names}
    assert homes.keys() == set(zsl.__all__)
    for name, home in homes.items():
        assert getattr(zsl, name) is getattr(sys.modules[home], name)
    with pytest.raises(AttributeError, match="leaderbord"):
        zsl.leaderbord  # noqa: B018 - what a typo does


def test_no_module_bears_the_name_of_a_function():
    modules = {path.stem for path in (ROOT / "zslbench").iterdir()}
    assert not modules & set(zsl.__all__)


@pytest.mark.parametrize("name", [n for n in zsl.__all__ if inspect.isfunction(getattr(zsl, n))])
def test_every_function_is_documented_and_typed(name):
    function = getattr(zsl, name)
    hints = get_type_hints(function)
    taken = inspect.signature(function).parameters
    assert {*taken, "return"} == hints.keys()
    if name not in ("hyper", "option", "tuned"):
        assert "Example:" in function.__doc__
        assert all(f"{each}:" in function.__doc__ for each in taken)


def test_a_run_has_scores_intervals_and_a_curve(result):
    assert isinstance(result, Result)
    assert isinstance(result.scores, Scores)
    interval = result.intervals["h"]["these_classes"]
    assert interval.low <= interval.mean == result.scores.h <= interval.high
    assert result.curve.h.max() >= result.scores.h
    (record,) = result.to_frame().to_dict("records")
    assert record["H"] == result.scores.h
    assert "<table" in result._repr_html_()
    assert repr(result).startswith("tiny\n┏")
    assert f"{result.scores.h:.1f}" in repr(result)


def test_the_command_line_finds_what_python_did(zslbench, result, tiny_root, results):
    where = ("--dataset", "tiny", "--data-root", tiny_root, "--results", results)
    status, out, err = zslbench("run", "eszsl", *where)
    assert status == 0
    assert "0 run, 1 reused" in err
    assert f"{result.scores.h:.1f}" in out


def test_python_finds_what_the_command_line_did(zslbench, tiny, tiny_root, results, capsys):
    where = ("--dataset", "tiny", "--data-root", tiny_root, "--results", results)
    zslbench("run", "sae", *where, "--set", "lambda_=100")
    found = zsl.run("sae", tiny, settings={"lambda_": 100}, results=results)
    assert "0 run, 1 reused" in capsys.readouterr().err
    assert found.row.settings == {"lambda_": 100.0}


def test_a_leaderboard_has_paired_differences(tiny, result, results, tmp_path, capsys):
    board = zsl.leaderboard(["eszsl", "sae"], [tiny], reference="eszsl", results=results)
    assert isinstance(board, Leaderboard)
    assert "1 run, 1 reused" in capsys.readouterr().err
    assert [pair.method for pair in board.comparisons] == ["sae"]
    assert set(board.to_frame()["method"]) == {"eszsl", "sae"}
    board.save(tmp_path / "board.html")
    assert "eszsl" in (tmp_path / "board.html").read_text()
    alone = zsl.leaderboard("eszsl", tiny, rules="validation", results=results)
    assert [row.method for row in alone.rows] == ["eszsl"]
    everything = zsl.leaderboard(results=results)
    assert {row.method for row in everything.rows} >= {"eszsl", "sae"}


@pytest.mark.usefixtures("no_method_files")
def test_methods_are_named_by_class_and_by_file(tiny, results, tmp_path, capsys):
    from zslbench.methods.eszsl import ESZSL

    zsl.run(ESZSL, tiny, results=results)
    assert "0 run, 1 reused" in capsys.readouterr().err
    path = tmp_path / "of_my_own.py"
    path.write_text((ROOT / "methods/eszsl.py").read_text().replace(
        "from ._features", "from zslbench.methods._features"))  # fmt: skip
    found = zsl.run(path, tiny, settings={"reg_x": 1.0, "reg_s": 1.0}, results=results)
    assert found.row.method == "of_my_own"
    here = type("Here", (zsl.Method,), {"__module__": "__main__"})
    with pytest.raises(zsl.ZslbenchError, match="Put it in a file of its own"):
        zsl.run(here, tiny, results=results)


def test_sensitivity_and_sweep_give_what_the_commands_print(tiny, results):
    found = zsl.sensitivity("eszsl", tiny, grids={"reg_x": [1, 10]}, seeds=1, results=results)
    assert set(found.to_frame()["value"]) >= {1.0, 10.0}
    assert isinstance(found.to_frame(), pd.DataFrame)
    swept = zsl.sweep("eszsl", tiny, trials=2, top=0, test=False, results=results)
    assert swept.states["complete"] == 2
    assert len(swept.to_frame()) == 2


@pytest.mark.parametrize(("seeds", "meant"), [(2, (0, 1)), ([3, 1], (1, 3)), (range(2, 4), (2, 3))])
def test_seeds_are_a_number_or_those_named(tiny, results, seeds, meant):
    found = zsl.run("ale", tiny, seeds=seeds, settings={"lr": 1.0, "epochs": 1}, results=results)
    assert found.row.seeds == meant


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda data: zsl.run("eszl", data), "Did you mean 'eszsl'?"),
        (lambda data: zsl.run("eszsl", data, settings={"regx": 1}), "Did you mean 'reg_x'?"),
        (lambda data: zsl.run("eszsl", data, seeds=0), "seeds=0"),
        (lambda data: zsl.run("eszsl", data, engine="rya"), "Did you mean 'ray'?"),
        (lambda data: zsl.leaderboard(["eszsl"], [data], rules=["best"]), "no rule 'best'"),
        (lambda data: zsl.leaderboard(["eszsl"], suite="svip_table1"), "the suite names its rows"),
        (lambda data: zsl.leaderboard(suite="svip_tabel1"), "Did you mean 'svip_table1'?"),
        (lambda data: zsl.incremental(["jiont"]), "Did you mean 'joint'?"),
        (lambda data: zsl.sweep("eszsl", data, sampler="tpo"), "Did you mean 'tpe'?"),
        (lambda data: zsl.load_dataset("tinny", data.request.root), "Did you mean 'tiny'?"),
        (lambda data: zsl.compare("main", suite="regresion"), "Did you mean 'regression'?"),
        (lambda data: zsl.compare("main", seeds=1), "seeds=1: give a whole number from 2 to 1000"),
        (lambda data: zsl.compare("main", margin=0.0), "margin=0.0"),
        (lambda data: zsl.run("eszsl", data, worlds=0), "worlds=0: give a whole number from 1"),
        (lambda data: zsl.run("eszsl", data, worlds=99), "worlds=99: give a whole number"),
        (lambda data: zsl.run("eszsl", data, worlds=None), "worlds=None"),
        (lambda data: zsl.run("eszsl", data, worlds=2.0), "worlds=2.0"),
        (lambda data: zsl.run("eszsl", data, worlds=True), "worlds=True"),
        (lambda data: zsl.run("eszsl", data, jobs=0), "jobs=0: give a whole number from 1 on"),
        (
            lambda data: zsl.run("eszsl", data, job=2),
            "no argument of run 'job'. Did you mean 'jobs'?",
        ),
        (lambda data: zsl.run("eszsl", data, seed=2), "Did you mean 'seeds'?"),
        (lambda data: zsl.run("eszsl", data, seeds="0,1"), "seeds='0,1'"),
        (lambda data: zsl.run("eszsl", data, seeds=2.0), "seeds=2.0"),
        (lambda data: zsl.run("eszsl", data, seeds=True), "seeds=True"),
        (lambda data: zsl.run("eszsl", data, seeds=[0, -1]), "seeds=[0, -1]"),
        (lambda data: zsl.run("eszsl", data, rules=[]), "rules=[] names nothing"),
        (lambda data: zsl.run("eszsl", data, rules="best"), "no rule 'best'"),
        (lambda data: zsl.run(None, data), "None is no method"),
        (lambda data: zsl.run(["eszsl", "sae"], data), "is no method"),
        (lambda data: zsl.run("eszsl", None), "None is no dataset"),
        (lambda data: zsl.run("eszsl", [data, data]), "is no dataset"),
        (lambda data: zsl.load_dataset(Path("tiny")), "is no dataset"),
        (lambda data: zsl.sweep("eszsl", data, trials=0), "trials=0"),
        (lambda data: zsl.sweep("eszsl", data, trials=-3), "trials=-3"),
        (lambda data: zsl.sweep("eszsl", data, top=-1), "top=-1: give a whole number from 0 on"),
        (lambda data: zsl.sweep("eszsl", data, seed=-1), "seed=-1"),
        (lambda data: zsl.sweep("eszsl", data, sampler="grid", points=0), "points=0"),
        (lambda data: zsl.sweep("eszsl", data, space="regx=1:10"), "Did you mean 'reg_x'?"),
        (lambda data: zsl.sensitivity("eszsl", data, parameters="regx"), "Did you mean 'reg_x'?"),
        (lambda data: zsl.leaderboard("eszsl", data, tune=-1), "tune=-1"),
        (lambda data: zsl.leaderboard("eszsl", []), "data=[] names nothing"),
        *(
            (lambda data, asked=asked: zsl.leaderboard(**asked), "name a suite, or datasets")
            for asked in (
                {"methods": ["eszsl"]},
                {"seeds": 2},
                {"worlds": 1},
                {"tune": 3},
                {"retry": True},
                {"jobs": 2},
            )
        ),
        (lambda data: zsl.incremental(["joint"], []), "data=[] names nothing"),
        (lambda data: zsl.incremental("mine.py"), "called by its name"),
        (lambda data: zsl.incremental(zsl.IncrementalMethod), "called by its name"),
    ],
)
def test_what_the_user_can_fix_is_one_paragraph(tiny, tmp_path, monkeypatch, call, said):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(zsl.ZslbenchError) as refusal:
        call(tiny)
    assert said in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert not list(tmp_path.iterdir())


def test_an_option_is_declared_once_and_spread_into_commands():
    import typer

    from zslbench.cli import options as opt

    seen = []

    def command(where: opt.EngineOptions, name: str = "one") -> None:
        """A command."""
        seen.append((where, name))

    small = typer.Typer(add_completion=False)
    small.command()(opt.spread(command))
    typer.main.get_command(small)(["--jobs", "3", "--name", "two"], standalone_mode=False)
    assert seen == [(opt.EngineOptions(jobs=3), "two")]
    commands = typer.main.get_command(app).commands
    for named in ("run", "leaderboard", "incremental", "sweep", "sensitivity"):
        options = {option for each in commands[named].params for option in each.opts}
        assert {"--jobs", "-j", "--engine", "--address", "--data-root", "--backbone"} <= options
