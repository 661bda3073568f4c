"""The exact tier's verdict: which stored numbers moved, though no version says that they may."""

from collections.abc import Mapping
from typing import Any

from zslbench.errors import ZslbenchError
from zslbench.stats.noninferiority import Verdict

CLOSED_FORM, STEPS, ELSEWHERE = 1e-6, 1e-4, 1e-3


def tolerance(*, closed_form: bool, same: bool) -> float:
    """Return how far a number may lie from the stored one, of itself or of 1 if that is more.

    Args:
        closed_form: Whether the method is solved in float64, on features without rounding.
        same: Whether torch, BLAS and the processor's arithmetic are those of the stored numbers.
    """
    if closed_form:
        return CLOSED_FORM
    return STEPS if same else ELSEWHERE


def said(stored: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """Return in words what is compared, and within which tolerance."""
    same = stored["fingerprint"] == found["fingerprint"]
    steps = tolerance(closed_form=False, same=same)
    text = f"closed forms within {CLOSED_FORM:g}, five steps of all others within {steps:g}"
    if same:
        return text
    other = [
        f"{name} {was} there, {found['fingerprint'].get(name)} here"
        for name, was in stored["fingerprint"].items()
        if was != found["fingerprint"].get(name)
    ]
    return (
        f"{text}: {STEPS:g} cannot be told here, as the numbers were stored elsewhere "
        f"({'; '.join(other)})"
    )


def verdict_of(stored: Mapping[str, Any], found: Mapping[str, Any]) -> Verdict:
    """Return FAIL where a number moved; PASS only where the smallest move could be told."""
    if check_exact(stored, found):
        return "FAIL"
    return "PASS" if stored["fingerprint"] == found["fingerprint"] else "INCONCLUSIVE"


def moved(stored: Mapping[str, Any], found: Mapping[str, Any], *, same: bool) -> list[str]:
    """Return what moved of one method, in words."""
    allowed = tolerance(closed_form=found["closed_form"], same=same)
    old, new = stored["values"], found["values"]
    words = [f"{name} is gone" for name in sorted(old.keys() - new)]
    for name in sorted(old.keys() & new):
        if len(old[name]) != len(new[name]):
            words.append(f"{name} has {len(new[name])} values for {len(old[name])}")
            continue
        for was, is_ in zip(old[name], new[name], strict=True):
            if not abs(was - is_) <= allowed * max(1.0, abs(was)):
                words.append(f"{name} was {was:.9g}, is {is_:.9g}")
                break
    return words


def check_exact(stored: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, str]:
    """Return, for each method and learner whose numbers are not the stored ones, what is wrong."""
    same = stored["fingerprint"] == found["fingerprint"]
    before, now = _measured(stored), _measured(found)
    problems = {}
    for name in sorted(before.keys() | now):
        was, is_ = before.get(name), now.get(name)
        if was is None or is_ is None:
            problems[name] = "has no stored numbers" if was is None else "is no method any more"
        elif (was["version"], stored["protocol_version"]) != (
            is_["version"], found["protocol_version"]
        ):  # fmt: skip
            problems[name] = "has stored numbers of another version"
        elif words := moved(was, is_, same=same):
            problems[name] = f"moved and no version did: {'; '.join(words)}"
        elif new := sorted(is_["values"].keys() - was["values"]):
            problems[name] = f"has numbers that are not stored: {', '.join(new)}"
    return problems


def _measured(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was measured by name; a learner's says that it is one."""
    learners = {f"learner {name}": found for name, found in content.get("learners", {}).items()}
    return {**content["methods"], **learners}


def check_update(stored: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, str]:
    """Refuse to move exact numbers whose version did not, on the same torch, BLAS and processor.

    Returns:
        What moves without a version, by method: elsewhere, where it may be torch's doing.

    Raises:
        ZslbenchError: With what moved.
    """
    here = {**stored, "fingerprint": found["fingerprint"]}
    problems = {
        name: problem
        for name, problem in check_exact(here, found).items()
        if problem.startswith("moved")
    }
    if stored["fingerprint"] == found["fingerprint"]:
        for name, problem in problems.items():
            raise ZslbenchError(
                f"{name} {problem}. Raise `version` of the method, or PROTOCOL_VERSION in "
                "zslbench/records/, then update; or mend what moved it."
            )
    return problems
