"""Baselines: stored numbers that a change is held against, as TOML files that say why they moved.

A file carries the digest of its own content: it moves by `zslbench baseline update` and not by
hand. What each update said is kept in it.
"""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zslbench.errors import DataError, ZslbenchError
from zslbench.records import Measurement, Scores, digest, now
from zslbench.report.files import write_text
from zslbench.stats import METRICS
from zslbench.studies.regression import Measured, Spreads, spread_of, title

FOLDER = Path("results") / "baselines"
KEPT = (
    "method", "dataset", "settings", "method_version", "protocol_version", "measure_version",
    "data_digest", "choice_key", "code", "environment_digest",
)  # fmt: skip


def load(path: Path) -> dict[str, Any]:
    """Return a baseline's content.

    Raises:
        DataError: If it cannot be read, or was changed by hand.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        mend = "Name a file of results/baselines/, or make one: zslbench baseline update."
        raise DataError(path, f"is no baseline ({error})", mend) from None
    if content.pop("digest", None) != digest(content):
        mend = "Restore it; zslbench baseline update --reason is the way to move it."
        raise DataError(path, "is not as it was written: its digest differs", mend)
    return content


def save(path: Path, content: Mapping[str, Any], reason: str, commit: str) -> None:
    """Write a baseline, whole or not at all, with the reason after those of former updates.

    Raises:
        ZslbenchError: Without a reason.
    """
    import tomli_w

    if not reason.strip():
        raise ZslbenchError('--reason: say why the numbers move, such as --reason "AdamW for SGD".')
    before = load(path)["reasons"] if path.exists() else []
    update = {"date": now(), "commit": commit, "reason": reason.strip()}
    whole = {**content, "reasons": [*before, update]}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, tomli_w.dumps({"digest": digest(whole), **whole}))


def content_of(measured: Measured, environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the content of a baseline: every cell by seed, and fitted again in the same worlds."""
    return {
        "environment": dict(environment),
        "cells": [_cell(measurements) for measurements in measured.values()],
    }


def _cell(measurements: Sequence[Measurement]) -> dict[str, Any]:
    first = measurements[0]
    once = [m for m in measurements if not m.repeat]
    again = {m.seed: m for m in measurements if m.repeat}
    dumped = {name: getattr(first, name) for name in KEPT}
    spreads = spread_of(measurements)
    metrics = {
        metric: {
            "value": float(np.mean([getattr(m.scores, metric) for m in once])),
            "spread": spreads[metric],
            "by_seed": [getattr(m.scores, metric) for m in once],
            "fitted_again": [getattr(again[m.seed].scores, metric) for m in once],
        }
        for metric in METRICS
    }
    return {**dumped, "seeds": [m.seed for m in once], **metrics}


def measured_of(content: Mapping[str, Any]) -> Measured:
    """Return a baseline's measurements, as if they had been made now."""
    found: Measured = {}
    for cell in content["cells"]:
        name = title(cell["method"], cell["settings"]), cell["dataset"]
        found[name] = [
            Measurement(
                key="", seed=seed, repeat=repeat, epoch=0, gamma=0.0, seconds=0.0,
                environment=content["environment"],
                scores=Scores(**{m: cell[m][part][place] for m in METRICS}),
                **{kept: cell[kept] for kept in KEPT},
            )
            for repeat, part in enumerate(("by_seed", "fitted_again"))
            for place, seed in enumerate(cell["seeds"])
        ]  # fmt: skip
    return found


def spreads_of(content: Mapping[str, Any]) -> Spreads:
    """Return what chance alone moves, by entry and metric, in points."""
    return {
        (title(cell["method"], cell["settings"]), cell["dataset"]):
            {metric: cell[metric]["spread"] for metric in METRICS}
        for cell in content["cells"]
    }  # fmt: skip


# -- the exact tier ------------------------------------------------------------------------------

CLOSED_FORM, STEPS, ELSEWHERE = 1e-6, 1e-4, 1e-2


def tolerance(*, closed_form: bool, same: bool) -> float:
    """Return how far a number may lie from the stored one, of itself or of 1 if that is more.

    Args:
        closed_form: Whether the method is solved in float64, on features without rounding.
        same: Whether torch, BLAS and the processor's arithmetic are those of the stored numbers.
    """
    if closed_form:
        return CLOSED_FORM
    return STEPS if same else ELSEWHERE


def moved(stored: Mapping[str, Any], found: Mapping[str, Any], *, same: bool) -> list[str]:
    """Return what moved of one method, in words."""
    allowed = tolerance(closed_form=found["closed_form"], same=same)
    old, new = stored["values"], found["values"]
    words = [f"{name} is {'new' if name in new else 'gone'}" for name in sorted(old.keys() ^ new)]
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
    """Return, for each method whose numbers are not the stored ones, what is wrong."""
    same = stored["fingerprint"] == found["fingerprint"]
    problems = {}
    for name in sorted(stored["methods"].keys() | found["methods"].keys()):
        was, is_ = stored["methods"].get(name), found["methods"].get(name)
        if was is None or is_ is None:
            problems[name] = "has no stored numbers" if was is None else "is no method any more"
        elif (was["version"], stored["protocol_version"]) != (
            is_["version"], found["protocol_version"]
        ):  # fmt: skip
            problems[name] = "has stored numbers of another version"
        elif words := moved(was, is_, same=same):
            problems[name] = f"moved and no version did: {'; '.join(words)}"
    return problems


def check_update(stored: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """Refuse to move exact numbers whose version did not, on the same torch, BLAS and processor.

    Raises:
        ZslbenchError: With what moved.
    """
    if stored["fingerprint"] != found["fingerprint"]:
        return
    for name, problem in check_exact(stored, found).items():
        if problem.startswith("moved"):
            raise ZslbenchError(
                f"{name} {problem}. Raise `version` of the method, or PROTOCOL_VERSION in "
                "zslbench/records.py, then update; or mend what moved it."
            )
