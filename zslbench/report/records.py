"""Results as plain values: nested for JSON, flat for CSV and data frames."""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from zslbench.report.numbers import NAMES
from zslbench.stats import POPULATIONS, Interval


def plain(value: Any) -> Any:
    """Return a value as JSON has it, without the fields that `repr` leaves out.

    An infinite bound is None.
    """
    if value is None or isinstance(value, str | int):  # most are
        return value
    if is_dataclass(value):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value) if f.repr}
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def flat(row: Any) -> dict[str, Any]:
    """Return a row's fields as columns: an interval's ends in columns of their own.

    Metrics are called as tables call them; settings are JSON.
    """
    shown = {f.name: getattr(row, f.name) for f in fields(row) if f.repr}
    return {k: v for name, value in shown.items() for k, v in _columns(name, value).items()}


def _columns(name: str, value: Any) -> dict[str, Any]:
    if isinstance(value, Interval):
        return {name: value.mean, f"{name}_low": value.low, f"{name}_high": value.high}
    if is_dataclass(value):
        return {f"{name}_{key}": inner for key, inner in flat(value).items()}
    if isinstance(value, dict):
        return _columns_of_dict(name, value)
    if isinstance(value, tuple):
        joint = "; " if any(isinstance(v, str) for v in value) else " "
        return {name: joint.join(str(v.mean if isinstance(v, Interval) else v) for v in value)}
    return {name: value}


def _columns_of_dict(name: str, value: dict[Any, Any]) -> dict[str, Any]:
    if value.keys() == set(POPULATIONS):
        found = {name: value["these_classes"].mean}
        for population, inner in value.items():
            found |= {f"{name}_{end}_{population}": getattr(inner, end) for end in ("low", "high")}
        return found
    if value and all(isinstance(inner, dict | Interval) for inner in value.values()):
        parts = [_columns(str(NAMES.get(key, key)), inner) for key, inner in value.items()]
        return {k: v for part in parts for k, v in part.items()}
    return {name: json.dumps(value, sort_keys=True)}


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as CSV, with every column that any of them has."""
    out = io.StringIO()
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(out, fieldnames=names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()
