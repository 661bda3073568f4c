"""What a method's file says of it, read without running it, is what its class says."""

import textwrap

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
