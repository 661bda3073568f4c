"""The package: everything in the tree is in the wheel, rooms are small, and imports go one way."""

import ast
import tomllib
from collections import Counter
from graphlib import TopologicalSorter
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = {"torch", "timm", "mlflow", "optuna", "ray", "matplotlib", "pandas", "jinja2", "markupsafe"}
# Who may import whom. `errors`, `inputs`, `seeding` and `startup` are open to all; a file that is
# named stands above the other files of its room. `import zslbench` is the API.
ARROWS = {
    "errors": set(),
    "seeding": set(),
    "inputs": set(),
    "startup": set(),
    "environment": set(),
    "records": set(),
    "data": {"records"},
    "metrics": {"records", "data"},
    "stats": {"metrics"},
    "arithmetic": {"metrics"},
    "store": {"records", "metrics"},
    "nn": {"arithmetic", "data"},
    "backbones": {"arithmetic", "data", "nn", "records"},
    "method": {"arithmetic", "data", "metrics", "nn"},
    "protocol": {"data", "method", "metrics", "records"},
    "method/conformance": {"backbones", "data", "method", "metrics", "protocol", "records"},
    "data/provide": {"backbones", "data", "method", "records"},
    "protocol/run": {"data", "environment", "method", "metrics", "protocol", "records", "store"},
    "engines": {"data", "data/provide", "protocol", "protocol/run", "records", "store"},
    "report": {"metrics", "stats"},
    "studies": {
        "data", "data/provide", "engines", "environment", "method", "metrics", "protocol",
        "protocol/run", "records", "report", "stats", "store",
    },
    "studies/published": {"studies"},
    "studies/incremental": {"studies"},
    "studies/sweep": {"studies"},
    "studies/sensitivity": {"studies", "studies/sweep"},
    "studies/leaderboard": {
        "studies", "studies/incremental", "studies/published", "studies/sweep",
    },
    "studies/bundles": {"studies", "studies/incremental"},
    "studies/calibrate": {"studies"},
    "studies/explain": {"studies"},
    "studies/site": {
        "studies", "studies/bundles", "studies/incremental", "studies/leaderboard",
    },
    "studies/submit": {"studies"},
    "studies/regression": {"backbones", "studies", "studies/leaderboard"},
    "api": {
        "data", "data/provide", "studies", "studies/incremental", "studies/leaderboard",
        "studies/regression",
    },
    "api_settings": {"method", "studies", "studies/sensitivity", "studies/sweep"},
    "cli": {
        "api", "arithmetic", "backbones", "environment", "studies", "studies/bundles",
        "studies/calibrate",
        "studies/explain", "studies/incremental", "studies/leaderboard", "studies/published",
        "studies/regression", "studies/sensitivity", "studies/site", "studies/submit",
        "studies/sweep",
    },
}  # fmt: skip
OPEN = {"errors", "inputs", "seeding", "startup"}
# Rooms that are built on torch: who imports them has a network to run.
NETWORKS = ("arithmetic", "backbones", "nn", "method/generative", "method/trained")


def sources(place="."):
    return sorted((ROOT / "zslbench" / place).rglob("*.py"))


def room(parts):
    """Return the room of a module of ours, given the parts of its name below `zslbench`."""
    name = "/".join(parts)
    return next((r for r in ARROWS if "/" in r and name.startswith(r)), parts[0])


def imported(path, *, top_level_only=False):
    """Return the modules that a file imports, anywhere or when it is itself imported."""
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_level_only else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level <= (0 if path.is_relative_to(ROOT / "zslbench") else 2), path
            if node.module and not node.level:
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


def reached(room_of_file, path):
    """Return the rooms that a file imports from, its own left out."""
    ours = (m.split(".") for m in imported(path))
    names = (name[1:] or ["api"] for name in ours if name[0] == "zslbench")
    return {room(name) for name in names} - {room_of_file} - OPEN


def below(name):
    """Return all rooms that a room may import, directly or through others of `studies`."""
    direct = ARROWS[name]
    return direct | ARROWS["studies"] if "studies" in direct else direct


def test_every_folder_of_the_package_is_in_the_wheel():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = [path.parent for path in (ROOT / "zslbench").rglob("__init__.py")]
    names = {".".join(folder.relative_to(ROOT).parts) for folder in folders}
    methods = {"zslbench.methods", "zslbench.methods.incremental"}
    assert set(listed) == names | methods | {"zslbench.suites"}


def test_rooms_stand_above_one_another():
    list(TopologicalSorter(ARROWS).static_order())


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(ROOT / "zslbench")))
def test_imports_go_one_way(path):
    parts = path.relative_to(ROOT / "zslbench").with_suffix("").parts
    if parts == ("__init__",):
        return  # the public API, which loads what it names when it is asked for it
    own = room(parts)
    assert reached(own, path) <= below(own)


def test_no_arrow_is_drawn_that_nobody_needs():
    used = {name: set() for name in ARROWS}
    for path in sources():
        parts = path.relative_to(ROOT / "zslbench").with_suffix("").parts
        if parts != ("__init__",):
            used[room(parts)] |= reached(room(parts), path)
    for name, allowed in ARROWS.items():
        if name.startswith("studies"):
            continue  # what they may all use is drawn once
        assert allowed <= used[name], name


def test_heavy_packages_are_imported_where_they_are_used():
    for path in sources():
        if "/".join(path.relative_to(ROOT / "zslbench").with_suffix("").parts).startswith(NETWORKS):
            continue
        at_import = {module.split(".")[0] for module in imported(path, top_level_only=True)}
        assert not at_import & HEAVY, path


def defined_names(path):
    """Return the classes and the capitalised aliases that a file defines for itself and others."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef):
            yield node.name, "class"
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            yield node.targets[0].id, "alias"


def test_no_class_shares_its_name_with_another_class_or_alias():
    # Every method has its own Config and Network; options of the command line are named after
    # what they fill in.
    options = ROOT / "zslbench" / "cli"
    paths = [*sources(), *sorted((ROOT / "methods").rglob("*.py"))]
    classes, aliases = Counter(), Counter()
    for path in paths:
        for name, kind in defined_names(path):
            if kind == "class":
                classes[name] += 1
            elif not path.is_relative_to(options):
                aliases[name] += 1
    shared = {name for name, count in classes.items() if count + aliases[name] > 1}
    assert shared == {"Config", "Network"}


@pytest.mark.parametrize(
    "path", sorted((ROOT / "methods").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT))
)
def test_methods_import_what_methods_are_made_of_and_nothing_else_of_the_harness(path):
    allowed = {"method", "arithmetic", "backbones", "nn", "seeding"}
    assert {m.split(".")[1] for m in imported(path) if m.startswith("zslbench.")} <= allowed


@pytest.mark.parametrize("top", ["zslbench", "tests", "benchmarks"])
def test_no_folder_has_more_than_a_dozen_modules(top):
    folders = {path.parent for path in (ROOT / top).rglob("*.py")} - {ROOT / "tests" / "methods"}
    for folder in folders:
        modules = [path for path in folder.glob("*.py") if path.stem != "__init__"]
        assert len(modules) <= 12, folder


def test_no_file_imports_itself_in_a_circle():
    files = {
        ".".join(["zslbench", *p.relative_to(ROOT / "zslbench").with_suffix("").parts]): p
        for p in sources()
    }
    files = {name.removesuffix(".__init__"): path for name, path in files.items()}
    graph = {}
    for name, path in files.items():
        named = [m for m in imported(path) if m.startswith("zslbench.")]
        homes = {m if m in files else m.rpartition(".")[0] for m in named}
        graph[name] = (homes & files.keys()) - {name}
    list(TopologicalSorter(graph).static_order())  # raises CycleError


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks").rglob("*.py")), ids=lambda p: p.stem)
def test_what_benchmarks_import_is_there(path):
    helpers = {p.stem for p in (ROOT / "tests" / "helpers").glob("*.py")}
    tree = ast.parse(path.read_text())
    for node in (n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module):
        if node.module.startswith("zslbench"):
            module = import_module(node.module)
            for alias in node.names:
                assert hasattr(module, alias.name) or find_spec(f"{node.module}.{alias.name}")
        elif node.module in helpers:
            defined = ast.parse((ROOT / "tests" / "helpers" / f"{node.module}.py").read_text())
            text = ast.unparse(defined)
            assert all(alias.name in text for alias in node.names)
        else:
            assert find_spec(node.module.partition(".")[0]), node.module


@pytest.mark.parametrize("top", ["zslbench", "methods"])
def test_files_and_functions_are_short(top):
    """Docstrings do not count: that of a command is its help, with examples."""
    for path in (ROOT / top).rglob("*.py"):
        text = path.read_text()
        assert text.count("\n") <= 350, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                doc = node.body[0] if ast.get_docstring(node) else None
                length = node.end_lineno - node.lineno + 1
                length -= doc.end_lineno - doc.lineno + 1 if doc else 0
                assert length <= 70, f"{path}: {node.name}"
