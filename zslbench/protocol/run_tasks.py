"""A run along a task sequence, told as it happens.

The method sees one task's training images, is reduced to its state, and rebuilt from it; what is
rebuilt scores all test images and learns the next task. Test labels are opened once, at the end.
Nothing is chosen: settings are as given, and each task is learnt to the end of its schedule.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.data.types import Dataset
from zslbench.environment import restart_peak_memory
from zslbench.method.incremental import IncrementalMethod
from zslbench.method.registry import resolve_incremental
from zslbench.metrics import Int
from zslbench.metrics.forgetting import TaskPredictions
from zslbench.protocol.run import Tick, about, finite, no_tick, opening_of, scoring_batches
from zslbench.protocol.tasks import TaskSequence
from zslbench.records import IncrementalRecord, IncrementalSpec, Opening
from zslbench.store.checkpoints import Progress, Slot

State = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Course:
    """A finished run along a task sequence: its record, and what is kept beside it.

    Attributes:
        history: What was predicted after each task, with the truth.
        items: `[m]` test items, in the dataset's numbering.
        order: `[C]` the dataset's classes in the order they were learnt.
    """

    record: IncrementalRecord
    history: TaskPredictions
    items: Int
    order: Int


@dataclass
class _Way:
    """How far a run is: what was predicted after each task, and what the method carries."""

    predicted: list[Int] = field(default_factory=list)
    carried: list[int] = field(default_factory=list)
    state: State = field(default_factory=dict)
    progress: Progress = field(default_factory=Progress)
    images: int = 0


def run_tasks(
    spec: IncrementalSpec,
    dataset: Dataset,
    announce: Callable[[Opening], None],
    tick: Tick = no_tick,
    slot: Slot | None = None,
) -> Course:
    """Learn task after task, then open the test labels once.

    Args:
        spec: The run.
        dataset: The data that `spec` names, as images with a backbone.
        announce: Called with the ledger's entry before the labels are opened; it must have
            recorded the entry when it returns.
        tick: Progress.
        slot: Where a killed run resumes, after the last task it has finished.

    Raises:
        DataError: If a class has no test image to measure it by.
    """
    restart_peak_memory()
    sequence = TaskSequence.of(dataset, spec.base, spec.increment, spec.seed)
    way = _learn_all(spec, sequence, tick, slot or Slot())
    opening = opening_of(spec, dataset)
    labels = sequence.open_labels(lambda: announce(opening))
    history = TaskPredictions(np.stack(way.predicted), labels, sequence.known)
    record = IncrementalRecord(
        sizes=sequence.sizes,
        **accuracies(history),
        carried=tuple(way.carried),
        keeps_images="old_images" in resolve_incremental(spec)[0].needs,
        **about(spec, opening, way.progress, way.images),
    )
    return Course(record, history, dataset.splits.test_seen, sequence.order)


def accuracies(history: TaskPredictions) -> dict[str, Any]:
    """Return what a record says of a run's accuracies."""
    return {
        "accuracy": tuple(history.accuracy.tolist()),
        "tasks": tuple(tuple(row[: n + 1].tolist()) for n, row in enumerate(history.tasks)),
        "average": history.average,
        "last": history.last,
        "forgetting": history.forgetting,
    }


def _learn_all(spec: IncrementalSpec, sequence: TaskSequence, tick: Tick, slot: Slot) -> _Way:
    """Learn the tasks that are not learnt yet."""
    cls, config = resolve_incremental(spec)
    source = sequence.dataset.source
    if source is None:
        raise ValueError("a method needs images, with a backbone")
    way = _taken_up(slot)
    total, epochs = len(sequence.sizes), cls.epochs(config)
    for number in range(1, total + 1):
        task = sequence.task(number, cls.needs)
        way.images += len(task.labels) * epochs
        if number <= len(way.predicted):
            continue
        began = perf_counter()
        method = _made(cls(config, spec.seed, source), way.state)
        stage = f"{spec.method}, seed {spec.seed}: task {number} of {total}"
        for epoch in method.learn(task):
            for name, value in epoch.losses.items():
                way.progress.losses.setdefault(name, []).append(value)
            tick(stage, epoch.number, epochs)
        way.state = {name: array.copy() for name, array in method.state().items()}
        way.progress.fitting += perf_counter() - began
        way.carried.append(sum(array.nbytes for array in way.state.values()))
        began = perf_counter()
        # What has seen test images learns nothing more: the next task has a method of its own.
        scorer = _made(cls(config, spec.seed, source), way.state)
        way.predicted.append(_predict(scorer, sequence, task.known))
        way.progress.scoring += perf_counter() - began
        _keep(slot, way)
    return way


def _made(method: IncrementalMethod, state: State) -> IncrementalMethod:
    """Return a method just made with what it carries, which is nothing before the first task."""
    if state:
        method.load_state(state)
    return method


def _predict(method: IncrementalMethod, sequence: TaskSequence, known: int) -> Int:
    """Return `[m]` the best known class of each test image, in an order that tells nothing."""
    inputs = sequence.test
    predicted = np.empty(len(inputs), dtype=np.int64)
    for batch in scoring_batches("sequence", len(inputs)):
        scores = finite(method, method.scores(inputs[batch]), len(batch), known)
        predicted[batch] = scores.argmax(axis=1)
    return predicted


def _keep(slot: Slot, way: _Way) -> None:
    """Keep what the next task begins from."""
    if slot.folder is None:
        return
    import torch

    state = {name: torch.from_numpy(array) for name, array in way.state.items()}
    predicted = torch.from_numpy(np.stack(way.predicted))
    kept = {"state": state, "predicted": predicted, "carried": way.carried}
    slot.save(len(way.predicted), kept, way.progress)


def _taken_up(slot: Slot) -> _Way:
    kept, progress = slot.load()
    if kept is None:
        return _Way(progress=progress)
    state = {name: tensor.numpy() for name, tensor in kept["state"].items()}
    return _Way(list(kept["predicted"].numpy()), list(kept["carried"]), state, progress)
