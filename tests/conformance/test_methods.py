"""Every registered method passes every check."""

import pytest

from zslbench.conformance import CHECKS
from zslbench.registry import load_method, method_modules


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", sorted(method_modules()))
def test_method_conforms(name, check):
    CHECKS[check](load_method(name))
