"""Methods are found by the entry points of installed packages, ours and others'."""

import sys
from importlib import invalidate_caches

import pytest

from zslbench.errors import ZslbenchError
from zslbench.method import Method
from zslbench.method.registry import broken, incremental_modules, load_method, method_modules

METHOD = """
from zslbench.method import ClosedFormMethod, MethodConfig

class {name}(ClosedFormMethod):
    class Config(MethodConfig):
        pass

    def solve(self, prepared): ...
    def scores(self, batch, class_attributes): ...
    def state(self): ...
    def load_state(self, state): ...
"""


@pytest.fixture(autouse=True)
def _fresh_registry():
    method_modules.cache_clear()
    yield
    method_modules.cache_clear()
    broken.clear()


@pytest.fixture
def install(tmp_path, monkeypatch):
    """A function that installs a package of methods, as a third party's wheel would."""
    monkeypatch.syspath_prepend(tmp_path)

    def install_package(value="acme_zsl", **files):
        about = tmp_path / "acme_zsl-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: acme_zsl\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text(f"[zslbench.methods]\nacme = {value}\n")
        (tmp_path / "acme_zsl").mkdir()
        for module, source in files.items():
            (tmp_path / "acme_zsl" / f"{module}.py").write_text(source)
        invalidate_caches()

    yield install_package
    for module in [name for name in sys.modules if name.split(".")[0] == "acme_zsl"]:
        del sys.modules[module]


def test_load_method_finds_ours():
    method = load_method("eszsl")
    assert issubclass(method, Method)
    assert method.__module__ == "zslbench.methods.eszsl"


@pytest.mark.parametrize("name", ["ezsl", "ESZSL", "eszls"])
def test_load_method_names_the_nearest(name):
    with pytest.raises(ZslbenchError, match=f"no method '{name}'. Did you mean 'eszsl'?"):
        load_method(name)


def test_load_method_lists_the_known_where_none_is_near():
    with pytest.raises(ZslbenchError) as raised:
        load_method("qqqq")
    assert "Did you mean" not in str(raised.value)
    assert f"Known: {', '.join(sorted(method_modules()))}." in str(raised.value)


def test_load_method_finds_a_third_party(install):
    install(orchid=METHOD.format(name="Orchid"))
    method = load_method("orchid")
    assert (method.__name__, method.__module__) == ("Orchid", "acme_zsl.orchid")
    assert load_method("eszsl").__module__ == "zslbench.methods.eszsl"


def test_method_modules_imports_none_of_them(install):
    install(broken="raise RuntimeError('imported')")
    assert method_modules()["broken"] == "acme_zsl.broken"
    with pytest.raises(RuntimeError, match="imported"):
        load_method("broken")


def test_method_modules_refuses_a_name_brought_twice(install):
    install(eszsl=METHOD.format(name="ESZSL"))
    with pytest.raises(ZslbenchError, match="method called 'eszsl'") as raised:
        method_modules()
    assert "zslbench.methods" in str(raised.value)
    assert "acme_zsl" in str(raised.value)


@pytest.mark.parametrize(
    ("source", "count"),
    [
        pytest.param(METHOD.format(name="One") + METHOD.format(name="Two"), 2, id="two"),
        pytest.param("", 0, id="none"),
        pytest.param("from zslbench.methods.eszsl import ESZSL", 0, id="only an imported one"),
        pytest.param("from zslbench.method import Method\nclass A(Method): ...", 0, id="abstract"),
    ],
)
def test_load_method_refuses_a_file_without_exactly_one(install, source, count):
    install(crowd=source)
    with pytest.raises(ZslbenchError, match=f"exactly one .* holds {count}") as raised:
        load_method("crowd")
    assert "crowd.py" in str(raised.value)


def test_load_method_allows_what_a_file_imports_or_keeps_abstract(install):
    helpers = "from zslbench.methods.eszsl import ESZSL\nfrom zslbench.method import Method\n"
    abstract = "class Base(Method): ...\n"
    install(mine=helpers + abstract + METHOD.format(name="Mine"))
    assert load_method("mine").__name__ == "Mine"


@pytest.mark.parametrize(
    ("value", "files"),
    [
        pytest.param("acme_gone", {}, id="the package is gone"),
        pytest.param("acme_gone.methods", {}, id="and it was a package in a package"),
        pytest.param("acme_zsl.orchid", {"orchid": METHOD.format(name="D")}, id="a module"),
    ],
)
def test_method_modules_brings_nothing_from_an_entry_point_that_is_no_package(
    install, value, files
):
    """Least of all every module on the path."""
    ours = method_modules()
    method_modules.cache_clear()
    install(value, **files)
    assert method_modules() == ours


@pytest.mark.parametrize("what", ["RuntimeError('told to break')", "SystemExit('told to break')"])
def test_a_package_that_breaks_is_passed_over_with_a_note(install, zslbench, tmp_path, what):
    ours = method_modules()
    method_modules.cache_clear()
    install("acme_zsl.methods", __init__=f"raise {what}")
    with pytest.warns(UserWarning, match=r"acme_zsl\.methods does not import .*told to break"):
        assert method_modules() == ours
    status, out, _ = zslbench("doctor", "--results", tmp_path / "results")
    assert status == 1
    assert "ATTENTION  package acme_zsl.methods does not import" in out
    assert all(f"ok         incremental method {name}\n" in out for name in incremental_modules())
