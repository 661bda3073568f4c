"""The package: everything in the tree is in the wheel, and imports go one way."""

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = {"torch", "timm", "mlflow", "optuna", "ray", "matplotlib", "pandas"}
# Who may not import whom (design: arrows go one way).
FORBIDDEN = {
    "records.py": {"metrics", "data", "protocol", "run", "tracking", "report", "studies", "cli"},
    "metrics.py": {"data", "protocol", "run", "tracking", "report", "studies", "cli"},
    "control.py": {"data", "protocol", "run", "tracking", "report", "studies", "cli"},
    "stats.py": {"data", "protocol", "run", "tracking", "report", "studies", "cli"},
    "data": {"protocol", "run", "tracking", "report", "studies", "cli", "method"},
    "protocol": {"run", "tracking", "report", "studies", "cli", "execute"},
    "tracking": {"run", "protocol", "method", "data", "report", "studies", "cli", "execute"},
    "report": {"run", "protocol", "method", "registry", "data", "studies", "cli", "execute"},
    "studies": {"cli"},
}


def sources(place):
    path = ROOT / "zslbench" / place
    return sorted(path.rglob("*.py")) if path.is_dir() else [path]


def imported(path, *, top_level_only=False):
    """Return the modules that a file imports, anywhere or when it is itself imported."""
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_level_only else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_every_folder_of_the_package_is_in_the_wheel():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = [path.parent for path in (ROOT / "zslbench").rglob("__init__.py")]
    names = {".".join(folder.relative_to(ROOT).parts) for folder in folders}
    assert set(listed) == names | {
        "zslbench.methods.incremental", "zslbench.methods", "zslbench.published", "zslbench.suites",
    }  # fmt: skip


@pytest.mark.parametrize(("place", "others"), FORBIDDEN.items())
def test_imports_go_one_way(place, others):
    for path in sources(place):
        reached = {m.split(".")[1] for m in imported(path) if m.startswith("zslbench.")}
        assert not reached & others, path


# Imported by methods that have networks.
NETWORKS = {"arithmetic.py", "backbones", "nn", "training.py"}


def test_heavy_packages_are_imported_where_they_are_used():
    for path in sources("."):
        if path.relative_to(ROOT / "zslbench").parts[0] in NETWORKS:
            continue
        at_import = {module.split(".")[0] for module in imported(path, top_level_only=True)}
        assert not at_import & HEAVY, path


@pytest.mark.parametrize("path", sorted((ROOT / "methods").glob("*.py")), ids=lambda p: p.stem)
def test_methods_import_the_method_api_and_nothing_else_of_the_harness(path):
    allowed = {"method", "arithmetic", "backbones", "nn", "training", "seeding"}
    assert {m.split(".")[1] for m in imported(path) if m.startswith("zslbench.")} <= allowed


@pytest.mark.parametrize(
    "path", sorted((ROOT / "methods" / "incremental").glob("*.py")), ids=lambda p: p.stem
)
def test_learners_import_the_learner_api_and_nothing_else_of_the_harness(path):
    allowed = {"learner", "method", "arithmetic", "backbones", "nn", "training", "seeding"}
    assert {m.split(".")[1] for m in imported(path) if m.startswith("zslbench.")} <= allowed
