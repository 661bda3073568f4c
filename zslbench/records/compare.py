"""Whether two records say the same, up to rounding."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from zslbench.records.base import Record

# Sums of floats differ in their last digits between processors and versions of numpy.
TOLERANCE = 1e-9
# How a record was made. Its key stands for its spec, whose dataset may have another folder's name.
NO_RESULT = {
    "seconds", "created", "cost", "environment", "opening", "losses", "choice", "spec",
}  # fmt: skip


class Disagreement(NamedTuple):
    """The first value in which two results differ: where it stands, and what it is in each."""

    name: str
    one: str
    other: str


def disagreement(one: Any, other: Any, name: str = "") -> Disagreement | None:
    """Return the first value in which two results differ; None: in none.

    What says how a record was made, and how long that took, is left out.
    """
    if isinstance(one, Record) and isinstance(other, Record):
        one, other = (r.model_dump(exclude=NO_RESULT) for r in (one, other))
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        one, other = dict(enumerate(one, 1)), dict(enumerate(other, 1))
    if isinstance(one, Mapping) and isinstance(other, Mapping) and one.keys() == other.keys():
        parts = (disagreement(one[k], other[k], f"{name}.{k}".lstrip(".")) for k in one)
        return next(filter(None, parts), None)
    return None if _same(one, other) else Disagreement(name, _said(one), _said(other))


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return type(one) is type(other) and bool(one == other)


def _said(value: Any) -> str:
    return f"{value:.12g}" if isinstance(value, float) else str(value)[:60]
