"""Every registered method passes every check.

`make test` has about 3 CPU seconds for a method. So one that is trained for epochs, or sees images,
is held there to `QUICK`, on short fits; that it learns, and nothing from nothing, is slow.
"""

import pytest

from zslbench.method.conformance import CHECKS, QUICK
from zslbench.method.registry import load_method, method_modules

# Minutes each: through a text tower or all words at each step, transformers over attributes, nested
# generators. Loops of svip_released and rff are tested as svip's and f_clswgan's.
LONG = {
    "ce_gzsl", "coop", "gem_zsl", "hsva", "i2mvformer", "psvma", "rff", "svip_released",
    "transzero",
}  # fmt: skip


def cases():
    for name in sorted(method_modules()):
        for check in CHECKS:
            method = load_method(name)
            trained = "images" in method.needs or "epochs" in method.Config.model_fields
            slow = trained and check not in QUICK
            often = pytest.mark.long if name in LONG else pytest.mark.slow
            marks = [often] if slow else []
            yield pytest.param(name, check, marks=marks, id=f"{name}-{check}")


@pytest.mark.parametrize(("name", "check"), list(cases()))
def test_method_conforms(name, check):
    CHECKS[check](load_method(name))
