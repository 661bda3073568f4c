"""What a method's file says of it, read without running it, is what its class says."""

import textwrap
from pathlib import Path

import pytest

from zslbench.method.describe import describe, outline_of
from zslbench.method.outline import outline
from zslbench.method.registry import incremental_modules, method_modules, register_file

MODULES = {**method_modules(), **incremental_modules()}


@pytest.mark.parametrize("name", MODULES)
def test_a_file_is_read_as_its_class_is(name):
    found, about = outline(MODULES[name]), describe(name)
    assert found.about == " ".join(about["about"].split("\n\n")[0].split())
    assert list(found.needs) == about["needs"]
    assert list(found.settings) == list(about["settings"])


@pytest.mark.usefixtures("no_method_files")
@pytest.mark.parametrize(
    "start", [b"\xef\xbb\xbf", b"# -*- coding: latin-1 -*-\n# \xe4\n"], ids=["mark", "latin-1"]
)
def test_a_file_is_read_in_its_own_encoding(tmp_path, start):
    source = (Path(__file__).parents[2] / "methods" / "eszsl.py").read_bytes()
    (tmp_path / "marked.py").write_bytes(
        start + source.replace(b"from ._", b"from zslbench.methods._")
    )
    name = register_file(tmp_path / "marked.py")
    assert outline(method_modules()[name]).needs == ("features",)


@pytest.mark.usefixtures("no_method_files")
def test_a_file_that_cannot_be_read_so_is_run(tmp_path):
    path = tmp_path / "computed.py"
    path.write_text(textwrap.dedent('''
        """Needs that take running the file."""
        from zslbench.methods.eszsl import ESZSL
        NEEDS = {"features"}
        class Computed(ESZSL):
            """A method."""
            needs = frozenset(NEEDS)
    '''))  # fmt: skip
    name = register_file(path)
    module = method_modules()[name]
    assert outline(module) is None
    assert outline_of(name, module).needs == ("features",)
