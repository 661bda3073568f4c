"""The exact tier's verdict: which stored numbers moved, though no version says that they may."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from zslbench.errors import ZslbenchError
from zslbench.stats.noninferiority import Verdict
from zslbench.studies.regression.entries import Numbers, to_hold_against

CLOSED_FORM, STEPS, ELSEWHERE = 1e-6, 1e-4, 1e-3
StoredNumbers = Mapping[str, Sequence[Numbers]]


@dataclass(frozen=True)
class Held:
    """What came of holding numbers against the stored ones.

    Attributes:
        problems: What is wrong, by name.
        unstored: The names that have no stored numbers in any version.
        elsewhere: In words, on what other torch, BLAS or processor numbers of networks were stored.
    """

    problems: Mapping[str, str]
    unstored: Sequence[str]
    elsewhere: Sequence[str]

    @property
    def verdict(self) -> Verdict:
        """FAIL where a number moved; PASS only where the smallest move could be detected."""
        if self.problems:
            return "FAIL"
        return "INCONCLUSIVE" if self.unstored or self.elsewhere else "PASS"

    def said(self) -> str:
        """Return in words what is compared, within which tolerance, and what is not."""
        steps = ELSEWHERE if self.elsewhere else STEPS
        text = f"closed forms within {CLOSED_FORM:g}, five steps of all others within {steps:g}"
        if self.elsewhere:
            text += (
                f": {STEPS:g} cannot be checked here, where torch, BLAS or processor differ "
                f"({'; '.join(self.elsewhere)})"
            )
        missing = "{0}: no stored numbers: run `zslbench baseline add {0}`"
        return "\n".join([text, *map(missing.format, self.unstored)])


def check_exact(stored: StoredNumbers, found: Mapping[str, Numbers]) -> Held:
    """Hold the numbers of methods against the stored ones."""
    problems = dict.fromkeys(stored.keys() - found.keys(), "is no method any more")
    unstored, elsewhere = [], set()
    for name, numbers in found.items():
        was = to_hold_against(stored.get(name, ()), numbers)
        if not stored.get(name):
            unstored.append(name)
        elif was is None:
            problems[name] = (
                f"has stored numbers of another version alone: run `zslbench baseline add {name} "
                '--reason "..."`'
            )
        else:
            same = was.fingerprint == numbers.fingerprint
            if not (same or numbers.closed_form):
                elsewhere.add(other(was, numbers))
            if problem := _problem(was, numbers, same=same):
                problems[name] = problem
    return Held(dict(sorted(problems.items())), sorted(unstored), sorted(elsewhere))


def other(was: Numbers, is_: Numbers) -> str:
    """Return in words how two fingerprints differ."""
    return ", ".join(
        f"{name} {value} there, {is_.fingerprint.get(name)} here"
        for name, value in was.fingerprint.items()
        if value != is_.fingerprint.get(name)
    )


def _problem(was: Numbers, is_: Numbers, *, same: bool) -> str:
    if words := moved(was, is_, same=same):
        return f"moved and no version did: {'; '.join(words)}"
    new = sorted(is_.values.keys() - was.values)
    return f"has numbers that are not stored: {', '.join(new)}" if new else ""


def moved(was: Numbers, is_: Numbers, *, same: bool) -> list[str]:
    """Return what moved of one method, in words.

    A number may lie so far from the stored one, of itself or of 1 if that is more.

    Args:
        was: As stored.
        is_: As measured.
        same: Whether in the same arithmetic; that of closed forms, on features without rounding,
            does not matter.
    """
    allowed = CLOSED_FORM if is_.closed_form else STEPS if same else ELSEWHERE
    words = [f"{name} is gone" for name in sorted(was.values.keys() - is_.values)]
    for name in sorted(was.values.keys() & is_.values):
        old, new = was.values[name], is_.values[name]
        if len(old) != len(new):
            words.append(f"{name} has {len(new)} values for {len(old)}")
            continue
        for one, two in zip(old, new, strict=True):
            if not abs(one - two) <= allowed * max(1.0, abs(one)):
                words.append(f"{name} was {one:.9g}, is {two:.9g}")
                break
    return words


def reason_to_add(
    name: str, stored: Sequence[Numbers], found: Numbers, reason: str
) -> tuple[str, str]:
    """Return why numbers are to be stored, and what is to be said of it; both may be empty.

    Args:
        name: The method's.
        stored: What is stored of it.
        found: What was measured.
        reason: The user's; may be empty unless a version was raised.

    Returns:
        The reason, empty where these numbers are stored already; and what moved since they were
        stored elsewhere, where that may be the doing of torch, BLAS or the processor.

    Raises:
        ZslbenchError: If they moved and no version did, or a version moved and no reason is given.
    """
    was = to_hold_against(stored, found)
    if was is None:
        if stored and not reason:
            raise ZslbenchError(
                f"{name} has stored numbers of another version alone: say why they move, such as "
                '--reason "new schedule". Nothing was stored.'
            )
        return reason or "First numbers", ""
    words = moved(was, found, same=True)
    if was.fingerprint != found.fingerprint:
        return (
            reason or "Another torch, BLAS or processor",
            f"{name} moved with it ({other(was, found)}): {'; '.join(words)}" if words else "",
        )
    if words:
        raise ZslbenchError(
            f"{name} moved and no version did: {'; '.join(words)}. Raise `version` of the method, "
            "or PROTOCOL_VERSION in zslbench/records/, then add; or fix what moved it. Nothing "
            "was stored."
        )
    more = found.values.keys() - was.values
    return ((reason or "More is measured") if more else ""), ""
