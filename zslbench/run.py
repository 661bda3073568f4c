"""A run, told as the protocol tells it: `select` in the tuning worlds, `evaluate` in the final one.

`select` never sees the final world. `evaluate` fits once over the full schedule, keeps label-free
score summaries, opens the test labels once, at the end, and reads every rule off that one run.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np

from zslbench.data.types import Dataset, Inputs, Subset
from zslbench.environment import environment, peak_memory_mib
from zslbench.method import Epoch, Method, MethodConfig
from zslbench.metrics import Float, Int, Outcome, ScoreSummary, summarise
from zslbench.protocol import (
    RULES,
    Trajectory,
    Tuning,
    World,
    choose,
    epochs_needed,
    final_world,
    tuning_worlds,
)
from zslbench.records import Choice, Cost, Opening, RunRecord, RunSpec
from zslbench.registry import load_method
from zslbench.seeding import derive_seed, generator

SCALE_IMAGES = 1000
BATCH = 4096

Tick = Callable[[str, int, int], None]


def no_tick(stage: str, done: int, total: int) -> None:
    """Report progress to nobody."""


@dataclass(frozen=True)
class Evaluation:
    """A finished run: its record, and what is kept beside it.

    Attributes:
        summaries: Score summaries by epoch; label-free.
        items: `[m]` test items, in the dataset's numbering.
        classes: `[C]` the dataset's classes, in the order that summaries and labels count them.
        labels: `[m]` true classes, opened at the end.
    """

    record: RunRecord
    summaries: dict[int, ScoreSummary]
    items: Int
    classes: Int
    labels: Int


def select(spec: RunSpec, dataset: Dataset, tick: Tick = no_tick) -> Choice:
    """Choose config, epoch and gamma in the tuning worlds; the final world stays shut."""
    start = perf_counter()
    method = load_method(spec.method)
    config = method.Config.model_validate(spec.config)
    candidates = config.candidates()
    worlds = tuning_worlds(dataset, spec.tuning_worlds)
    tunings = []
    for number, world in enumerate(worlds, start=1):
        stage = f"{spec.method}: tuning world {number} of {len(worlds)}"
        tunings.append(_tune(method, candidates, world, partial(tick, stage)))
    return choose(
        candidates,
        tunings,
        key=spec.choice_key,
        method=spec.method,
        dataset=spec.dataset,
        seconds=perf_counter() - start,
    )


def _tune(
    method: type[Method],
    candidates: Sequence[MethodConfig],
    world: World,
    tick: Callable[[int, int], None],
) -> Tuning:
    train = world.train_set(method, candidates[0].class_attributes)
    prepared = method.prepare(train, candidates[0])
    labels = world.open_labels()
    total = len(candidates) * method.epochs(candidates[0])
    outcomes: list[list[Outcome]] = []
    for config in candidates:
        model = method(config, derive_seed(0, "tuning", world.name))
        outcomes.append([])
        for _ in model.fit(prepared):
            summary = score(model, world)
            outcomes[-1].append(Outcome.of(summary, labels, world.seen))
            tick(sum(map(len, outcomes)), total)
    return Tuning(world, outcomes)


def evaluate(
    spec: RunSpec,
    choice: Choice,
    dataset: Dataset,
    announce: Callable[[Opening], None],
    tick: Tick = no_tick,
) -> Evaluation:
    """Fit once in the final world, open its labels once, read every rule off the trajectory.

    Args:
        spec: The run.
        choice: What `select` chose for it.
        dataset: The data that `spec` names.
        announce: Called with the ledger's entry before the labels are opened; it must have
            recorded the entry when it returns.
        tick: Progress.
    """
    method = load_method(spec.method)
    world = final_world(dataset)
    config = method.Config.model_validate(choice.config)
    model = method(config, spec.seed)
    epochs = method.epochs(config)
    wanted = epochs_needed(spec.rules, choice, epochs)
    start, scoring = perf_counter(), 0.0
    summaries: dict[int, ScoreSummary] = {}
    losses: dict[str, list[float]] = {}
    for epoch in _fit(model, world):
        for name, value in epoch.losses.items():
            losses.setdefault(name, []).append(value)
        if epoch.number in wanted:
            began = perf_counter()
            summaries[epoch.number] = score(model, world)
            scoring += perf_counter() - began
        tick(f"{spec.method}: final world, seed {spec.seed}", epoch.number, epochs)
    fitting = perf_counter() - start - scoring
    opening = Opening(
        run_key=spec.key, method=spec.method, dataset=spec.dataset, data_digest=spec.data_digest
    )
    labels = world.open_labels(lambda: announce(opening))
    run = Trajectory(summaries, labels, world.seen, choice, method.published)
    chosen = run.outcome(choice.epoch)
    record = RunRecord(
        key=spec.key,
        spec=spec,
        choice=choice,
        rules={rule: RULES[rule](run) for rule in spec.rules},
        plain=chosen.scores(0.0),
        oracle_h=chosen.curve.best()[0],
        losses=losses,
        opening=opening.key,
        transductive="unseen_attributes" in method.needs,
        deterministic=method.deterministic,
        cost=Cost(
            fit_seconds=fitting,
            score_seconds=scoring,
            images_per_second=len(world.train) * epochs / fitting,
            peak_memory_mib=peak_memory_mib(),
        ),
        environment=environment(),
    )
    return Evaluation(record, summaries, world.test, world.classes, labels)


def _fit(model: Method, world: World) -> Iterator[Epoch]:
    train = world.train_set(type(model), model.config.class_attributes)
    return model.fit(model.prepare(train, model.config))


def score(model: Method, world: World) -> ScoreSummary:
    """Score a world's test items, in an order that tells a batch nothing about its classes.

    Raises:
        FloatingPointError: If any score is not finite.
    """
    inputs = Subset(world.dataset.inputs, world.test)
    order = generator(0, "scoring order", world.name).permutation(len(world.test))
    scale = score_scale(model, world)
    attributes = world.attributes(model.config.class_attributes)
    parts = [
        summarise(_finite_scores(model, inputs, batch, attributes), world.seen, scale)
        for batch in np.array_split(order, -(-len(order) // BATCH))
    ]
    back = np.argsort(order)
    arrays: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts])[back]
        for name in ScoreSummary.ARRAYS
    }
    return ScoreSummary(**arrays, scale=scale)


def score_scale(model: Method, world: World) -> float:
    """Return the unit of gamma: the standard deviation of scores around each image's mean score.

    Measured on training images over the seen classes, so that a gamma found in a tuning world
    means the same in the final one, whatever the level and spread of the scores there.
    """
    inputs = Subset(world.dataset.inputs, world.train)
    some = np.unique(np.linspace(0, len(world.train) - 1, SCALE_IMAGES).astype(np.int64))
    attributes = world.attributes(model.config.class_attributes)[: world.seen]
    scores = _finite_scores(model, inputs, some, attributes)
    spread = float(np.std(scores - scores.mean(axis=1, keepdims=True)))
    return max(spread, float(np.finfo(np.float32).tiny))


def _finite_scores(model: Method, inputs: Inputs, items: Int, attributes: Float) -> Any:
    scores = model.scores(inputs[items], attributes)
    if scores.shape != (len(items), len(attributes)) or not np.isfinite(scores).all():
        raise FloatingPointError(
            f"{type(model).__name__} gave scores of shape {scores.shape}, "
            f"{int(np.sum(~np.isfinite(scores)))} of them not finite, for {len(items)} images and "
            f"{len(attributes)} classes"
        )
    return scores
