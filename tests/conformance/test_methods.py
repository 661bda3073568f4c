"""Every registered method passes every check."""

import pytest

from zslbench.conformance import CHECKS
from zslbench.registry import load_method, method_modules

COSTLY = {"learns", "shuffled_attributes"}  # many fits, of networks where there are images


def cases():
    for name in sorted(method_modules()):
        for check in CHECKS:
            slow = check in COSTLY and "images" in load_method(name).needs
            marks = [pytest.mark.slow] if slow else []
            yield pytest.param(name, check, marks=marks, id=f"{name}-{check}")


@pytest.mark.parametrize(("name", "check"), list(cases()))
def test_method_conforms(name, check):
    CHECKS[check](load_method(name))
