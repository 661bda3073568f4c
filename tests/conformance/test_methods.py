"""Every registered method passes every check."""

import pytest

from zslbench.method.conformance import CHECKS
from zslbench.method.registry import load_method, method_modules

COSTLY = {"learns", "shuffled_attributes"}  # many fits
LONG = {"coop", "svip_released"}  # through a text tower at each step; much of it is svip's
NETWORKS = {"cada_vae"}  # and all that need images


def cases():
    for name in sorted(method_modules()):
        for check in CHECKS:
            trained = name in NETWORKS or "images" in load_method(name).needs
            slow = trained and check in COSTLY
            often = pytest.mark.long if name in LONG else pytest.mark.slow
            marks = [often] if slow else []
            yield pytest.param(name, check, marks=marks, id=f"{name}-{check}")


@pytest.mark.parametrize(("name", "check"), list(cases()))
def test_method_conforms(name, check):
    CHECKS[check](load_method(name))
