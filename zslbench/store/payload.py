"""What MLflow shows of each record: name, tags, parameters, metrics by step."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from zslbench.records import (
    Choice,
    Failure,
    IncrementalRecord,
    IncrementalSpec,
    Measurement,
    Opening,
    Record,
    RunRecord,
    RunSpec,
    Scores,
    Sweep,
    Trial,
)

PREFIX = "zslbench."
LEDGER = "ledger"
REFUSED = re.compile(r"[^\w./ -]")  # in names of metrics; a method may call a loss what it likes


@dataclass(frozen=True)
class Payload:
    """One MLflow run: `metrics` are (name, value, step); `seconds` is how long the work took.

    Attributes:
        parent: Kind and key of the record whose run this one is nested under.
    """

    experiment: str
    name: str
    tags: dict[str, str]
    params: dict[str, str] = field(default_factory=dict)
    metrics: list[tuple[str, float, int]] = field(default_factory=list)
    dataset: tuple[str, str] | None = None
    status: str = "FINISHED"
    seconds: float = 0.0
    parent: tuple[str, str] | None = None


def payload(record: Record) -> Payload:
    """Return what is shown of a record."""
    return _SHOWN[type(record)](record)


def _tags(record: Any, more: dict[str, str]) -> dict[str, str]:
    common = {"kind": record.kind, "key": record.key, "created": record.created, **more}
    if isinstance(record, Choice | Opening | Sweep):
        common |= {"method": record.method, "dataset": record.dataset}
    return {PREFIX + name: value for name, value in common.items()}


def _spec_tags(spec: RunSpec | IncrementalSpec) -> dict[str, str]:
    tags = {"method": spec.method, "dataset": spec.dataset}
    if isinstance(spec, IncrementalSpec):
        return {**tags, "seeds_key": spec.seeds_key}
    return {**tags, "choice_key": spec.choice_key}


def _params(spec: RunSpec | IncrementalSpec, config: dict[str, Any]) -> dict[str, str]:
    """Return the spec with the config as chosen, nested values as `outer.inner`."""
    plain = {**spec.model_dump(mode="json", exclude={"settings"}), "config": config}
    nested = {name: value for name, value in plain.items() if isinstance(value, dict)}
    flat = {name: value for name, value in plain.items() if name not in nested}
    flat |= {f"{name}.{k}": v for name, inner in nested.items() for k, v in inner.items()}
    return {name: str(value) for name, value in flat.items()}


def _run_tags(record: RunRecord | IncrementalRecord) -> dict[str, str]:
    environment = {f"env.{name}": value for name, value in record.environment.items()}
    tags = _tags(record, _spec_tags(record.spec) | environment)
    if record.environment.get("commit", "unknown") != "unknown":
        tags["mlflow.source.git.commit"] = record.environment["commit"]
    return tags | {"mlflow.source.name": "zslbench", "mlflow.source.type": "LOCAL"}


def _losses(losses: dict[str, list[float]]) -> list[tuple[str, float, int]]:
    return [
        ("loss/" + REFUSED.sub("_", name), value, epoch)
        for name, values in losses.items()
        for epoch, value in enumerate(values, start=1)
    ]


def _run(record: RunRecord) -> Payload:
    spec = record.spec
    metrics = [("gamma_zero/" + k, v, 0) for k, v in _scores(record.plain)]
    for rule, result in record.rules.items():
        metrics += [(f"{rule}/{name}", value, 0) for name, value in _scores(result.scores)]
        metrics += [(f"{rule}/gamma", result.gamma, 0), (f"{rule}/epoch", result.epoch, 0)]
    metrics.append(("oracle/H", record.oracle_h, 0))
    metrics += [(f"cost/{name}", value, 0) for name, value in record.cost.model_dump().items()]
    metrics += [(f"localisation/{name}", v, 0) for name, v in record.localisation.items()]
    metrics += _curves(record.choice, record.choice.config)
    metrics += _losses(record.losses)
    return Payload(
        spec.dataset,
        f"{spec.method} seed {spec.seed}",
        _run_tags(record),
        _params(spec, record.choice.config),
        metrics,
        (spec.dataset, spec.data_digest),
        seconds=record.cost.fit_seconds + record.cost.score_seconds,
    )


def _sequence(record: IncrementalRecord) -> Payload:
    """Return what is shown of a run along a task sequence; the step is the task."""
    spec = record.spec
    metrics = [(name, getattr(record, name), 0) for name in ("average", "last", "forgetting")]
    for number, (accuracy, size) in enumerate(
        zip(record.accuracy, record.carried, strict=True), start=1
    ):
        metrics += [("accuracy", accuracy, number), ("carried_bytes", float(size), number)]
    metrics += [(f"cost/{name}", value, 0) for name, value in record.cost.model_dump().items()]
    return Payload(
        spec.dataset,
        f"{spec.method} {spec.protocol} seed {spec.seed}",
        _run_tags(record),
        _params(spec, spec.config),
        metrics + _losses(record.losses),
        (spec.dataset, spec.data_digest),
        seconds=record.cost.fit_seconds + record.cost.score_seconds,
    )


def _curves(choice: Choice, config: dict[str, Any]) -> list[tuple[str, float, int]]:
    """Return the tuning worlds' means by epoch, of one config."""
    rows = [row for row in choice.candidates if row.config == config]
    return [
        (f"tuning/{name}", value, row.epoch)
        for row in rows
        for name, value in (("AUSUC", row.ausuc), ("T1", row.t1), ("H_gamma_zero", row.h))
    ]


def _choice(choice: Choice) -> Payload:
    metrics = _curves(choice, choice.config)
    metrics += [("gamma", choice.gamma, 0), ("epoch", choice.epoch, 0), ("gain", choice.gain, 0)]
    for number, world in enumerate(choice.worlds, start=1):
        metrics += [(f"chosen/{name}", value, number) for name, value in _scores(world.scores)]
    params = {f"config.{name}": str(value) for name, value in choice.config.items()}
    name = f"{choice.method} choice"
    tags = _tags(choice, {})
    return Payload(choice.dataset, name, tags, params, metrics, seconds=choice.seconds)


def _sweep(record: Sweep) -> Payload:
    params = {name: str(value) for name, value in record.about.items()}
    return Payload(record.dataset, f"sweep {record.name}", _tags(record, {}), params)


def _trial(record: Trial) -> Payload:
    """Return what is shown of a trial; a pruned one is told by its tag, its value is no result."""
    spec, choice = record.spec, record.choice
    more = {"sweep": record.sweep, "state": record.state, "look": str(record.look)}
    more |= {"error": record.error[:4000]} if record.error else {}
    params = {name: str(value) for name, value in record.params.items()}
    metrics = [("steps", float(record.steps), 0)]
    metrics += [("objective_so_far", value, step) for step, value in enumerate(record.curve, 1)]
    if record.value is not None:
        name = "objective" if record.state == "complete" else "objective_when_pruned"
        metrics.append((name, record.value, 0))
    if choice is not None:
        metrics += _curves(choice, choice.config)
        metrics += [("gamma", choice.gamma, 0), ("epoch", choice.epoch, 0)]
    again = ", second look" if record.look == 2 else ""
    return Payload(
        spec.dataset,
        f"trial {record.number}{again}",
        _tags(record, _spec_tags(spec) | more),
        params,
        metrics,
        (spec.dataset, spec.data_digest),
        status="FAILED" if record.state == "failed" else "FINISHED",
        seconds=record.seconds,
        parent=("sweep", record.sweep),
    )


def _opening(record: Opening) -> Payload:
    tags = {"run_key": record.run_key, "test_digest": record.test_digest}
    return Payload(LEDGER, f"opening {record.method} {record.dataset}", _tags(record, tags))


def _measurement(record: Measurement) -> Payload:
    """Return what is shown of a measurement, under the commit that was measured."""
    about = {"method": record.method, "dataset": record.dataset, "code": record.code}
    about |= {f"env.{name}": value for name, value in record.environment.items()}
    tags = _tags(record, about | {"choice_key": record.choice_key})
    tags["mlflow.source.git.commit"] = record.environment["commit"]
    params = {"seed": str(record.seed), "repeat": str(record.repeat)}
    params |= {f"config.{name}": str(value) for name, value in record.settings.items()}
    metrics = [(name, value, 0) for name, value in _scores(record.scores)]
    metrics += [("gamma", record.gamma, 0), ("epoch", record.epoch, 0)]
    return Payload(
        f"regression/{record.dataset}",
        f"{record.method} seed {record.seed}, {record.environment['commit'][:8]}",
        tags,
        params,
        metrics,
        (record.dataset, record.data_digest),
        seconds=record.seconds,
    )


def _failure(record: Failure) -> Payload:
    spec = record.spec
    more = _spec_tags(spec) | {"run_key": spec.key, "error": record.error[:4000]}
    name = f"{spec.method} seed {spec.seed} (failed)"
    params = _params(spec, spec.config)
    return Payload(spec.dataset, name, _tags(record, more), params, status="FAILED")


def _scores(scores: Scores) -> list[tuple[str, float]]:
    names = {"t1": "T1", "u": "U", "s": "S", "h": "H", "ausuc": "AUSUC"}
    return [(names[name], value) for name, value in scores.model_dump().items()]


_SHOWN: dict[type[Record], Callable[[Any], Payload]] = {
    RunRecord: _run,
    IncrementalRecord: _sequence,
    Choice: _choice,
    Failure: _failure,
    Sweep: _sweep,
    Trial: _trial,
    Measurement: _measurement,
    Opening: _opening,
}
