"""Baselines: stored numbers that a change is compared with, as TOML files that say why they moved.

A file carries the digest of its own content: it moves by `zslbench baseline` and not by hand. Why
it did is kept in it.
"""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zslbench.errors import DataError
from zslbench.records import Measurement, Scores, digest, now
from zslbench.report.files import write_text
from zslbench.stats import METRICS
from zslbench.studies.regression.measure import Measured, Spreads, spread_of, title, unit

FOLDER = Path("results") / "baselines"
KEPT = (
    "method", "dataset", "settings", "method_version", "protocol_version", "measure_version",
    "data_digest", "choice_key", "code", "environment_digest",
)  # fmt: skip


def place_of(project: Path, suite: str) -> Path:
    """Return where the baseline of a suite lies, which is named by its name or its file."""
    return project / FOLDER / f"{Path(suite).name.removesuffix('.toml')}.toml"


def load(path: Path) -> dict[str, Any]:
    """Return a baseline's content.

    Raises:
        DataError: If it cannot be read, or was changed by hand.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        fix = "Name a file of results/baselines/, or make one: zslbench baseline."
        raise DataError(path, f"is no baseline ({error})", fix) from None
    if content.pop("digest", None) != digest(content):
        fix = "Restore it; zslbench baseline is the way to move it."
        raise DataError(path, "is not as it was written: its digest differs", fix)
    return content


def save(path: Path, content: Mapping[str, Any], reason: str, commit: str) -> None:
    """Write a baseline, whole or not at all, with the reason after those of former updates."""
    before = load(path)["reasons"] if path.exists() else []
    update = {"date": now(), "commit": commit, "reason": reason.strip()}
    write(path, {**content, "reasons": [*before, update]})


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Write a file of stored numbers with the digest of its content, whole or not at all."""
    import tomli_w

    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, tomli_w.dumps({"digest": digest(content), **content}))


def content_of(measured: Measured) -> dict[str, Any]:
    """Return the content of a baseline: every cell by seed, and fitted again in the same worlds."""
    first, *_ = next(iter(measured.values()))
    return {
        "environment": first.environment,
        "cells": [_cell(measurements) for measurements in measured.values()],
    }


def _cell(measurements: Sequence[Measurement]) -> dict[str, Any]:
    first = measurements[0]
    once = [m for m in measurements if not m.repeat]
    again = {m.seed: m for m in measurements if m.repeat}
    dumped = {name: getattr(first, name) for name in KEPT}
    spreads = spread_of(measurements)
    metrics: dict[str, Any] = {
        metric: {
            "value": float(np.mean([getattr(m.scores, metric) for m in once])),
            "spread": spreads[metric] / unit(metric),
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
            {metric: unit(metric) * cell[metric]["spread"] for metric in METRICS}
        for cell in content["cells"]
    }  # fmt: skip
