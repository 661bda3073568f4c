"""What two searches differ in, in words."""

from collections.abc import Iterator, Mapping
from typing import Any

from zslbench.studies.sweep.space import Parameter

DIGEST_SHOWN, LONG = 12, 32


def contrasts(there: Mapping[str, Any], here: Mapping[str, Any]) -> Iterator[str]:
    """Yield what differs: a name, and the values that are not the same.

    Args:
        there: What a study has of a plan's `about`; what it lacks does not differ.
        here: The `about` of another plan.
    """
    for name, value in here.items():
        before = there.get(name, value)
        if before != value:
            yield f"{name.replace('_', ' ')} ({_contrast(name, before, value)})"


def _contrast(name: str, there: Any, here: Any) -> str:
    if name == "space":
        there, here = _ranges(there), _ranges(here)
    if not (isinstance(there, Mapping) and isinstance(here, Mapping)):
        return f"{_text(there)} there, {_text(here)} here"
    parts = [
        f"{key}: {_text(there.get(key))} there, {_text(here.get(key))} here"
        for key in {**there, **here}
        if there.get(key) != here.get(key)
    ]
    return "; ".join(parts) or "in another order"


def _ranges(space: list[dict[str, Any]]) -> dict[str, str]:
    parameters = [Parameter(**{**each, "choices": tuple(each["choices"])}) for each in space]
    return {parameter.name: parameter.said() for parameter in parameters}


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    text = "none" if value is None else str(value)
    return text[:DIGEST_SHOWN] if len(text) > LONG and text.isalnum() else text
