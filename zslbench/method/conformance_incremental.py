"""What every incremental method must satisfy; third parties can run these checks too.

    from zslbench.method.conformance_incremental import INCREMENTAL_CHECKS
    for check in INCREMENTAL_CHECKS.values():
        check(MyMethod)

They do what `zslbench.method.conformance` does for other methods, on a sequence of three tasks.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from zslbench.method import conformance
from zslbench.method.incremental import IncrementalMethod
from zslbench.metrics import Float, per_class_accuracy
from zslbench.protocol.tasks import TaskSequence
from zslbench.seeding import generator

TASKS, EPOCHS, LEARNING_EPOCHS, REFITS = 3, 2, 10, 6
Check = Callable[[type[IncrementalMethod]], None]


def _sequence(
    seed: int = 0, *, shuffled: bool = False, birds: tuple[int, int] = conformance.BIRDS
) -> TaskSequence:
    """Return birds in three tasks; shuffled, their labels and descriptions mean nothing."""
    data = conformance.toy_images(
        seed, shuffled=seed if shuffled else None, ending="pair", birds=birds
    )
    if shuffled:
        labels = generator(seed, "shuffled labels").permutation(data.train_labels)
        data = replace(data, train_labels=labels)
    return TaskSequence.of(data, 0, len(data.seen) // TASKS, seed)


def _made(
    cls: type[IncrementalMethod], sequence: TaskSequence, seed: int, epochs: int
) -> IncrementalMethod:
    assert sequence.dataset.source is not None
    toy = {"epochs": epochs, "batch_size": 16, "lr": 1e-3}
    return cls(conformance.config_of(cls, toy), seed, sequence.dataset.source)


def _learn(method: IncrementalMethod, sequence: TaskSequence, number: int) -> None:
    for _ in method.learn(sequence.task(number, method.needs)):
        pass


def _learnt(
    cls: type[IncrementalMethod],
    sequence: TaskSequence,
    seed: int = 0,
    tasks: int = 2,
    epochs: int = EPOCHS,
) -> IncrementalMethod:
    method = _made(cls, sequence, seed, epochs)
    for number in range(1, tasks + 1):
        _learn(method, sequence, number)
    return method


def _scores(method: IncrementalMethod, sequence: TaskSequence, items: NDArray[np.int64]) -> Float:
    return np.asarray(method.scores(sequence.test[items]), dtype=float)


def _accuracy(method: IncrementalMethod, sequence: TaskSequence, first: int, known: int) -> float:
    """Return the accuracy on, and among, the classes from `first` up to `known`."""
    labels = sequence.open_labels(lambda: None)
    items = np.flatnonzero((labels >= first) & (labels < known))
    scores = _scores(method, sequence, items)[:, first:known]
    return per_class_accuracy(first + scores.argmax(axis=1), labels[items])


def check_scores(cls: type[IncrementalMethod]) -> None:
    """After each task scores are finite, `[b, C]`, of items and classes known; the same twice."""
    sequence, items = _sequence(birds=conformance.FEW_BIRDS), np.arange(7)
    method = _made(cls, sequence, 0, EPOCHS)
    for number, known in enumerate(sequence.known[:2], start=1):
        _learn(method, sequence, number)
        first, again = (_scores(method, sequence, items) for _ in range(2))
        conformance.require_scores(first, 7, known, " known")
        conformance.require_same(first, again, f", {known} classes known,")


def check_batches(cls: type[IncrementalMethod]) -> None:
    """An item's scores are the same alone, and in batches of either order."""
    sequence = _sequence(birds=conformance.FEW_BIRDS)
    method, items = _learnt(cls, sequence), np.arange(len(sequence.test))
    together = _scores(method, sequence, items)
    turned = _scores(method, sequence, items[::-1])[::-1]
    alone = np.concatenate([_scores(method, sequence, items[i : i + 1]) for i in range(6)])
    conformance.require_alike(method, together, "a batch", reversed=turned, alone=alone)


def check_seed(cls: type[IncrementalMethod]) -> None:
    """The same seed gives the same scores."""
    sequence = _sequence(birds=conformance.FEW_BIRDS)
    items = np.arange(len(sequence.test))
    one, other = (_scores(_learnt(cls, sequence, 3), sequence, items) for _ in range(2))
    if not np.array_equal(one, other):
        raise conformance.ConformanceError(
            f"two fits with one seed differ by {np.abs(one - other).max():.3g}"
        )


def check_state(cls: type[IncrementalMethod]) -> None:
    """One rebuilt from its state, written without pickle, scores and learns the same."""
    sequence = _sequence(birds=conformance.FEW_BIRDS)
    method = _learnt(cls, sequence, tasks=1)
    again = _made(cls, sequence, 0, EPOCHS)
    again.load_state(conformance.stored(method.state()))
    _check_alike(method, again, sequence, "once its state is loaded")
    for each in (method, again):
        _learn(each, sequence, 2)
    _check_alike(method, again, sequence, "after the next task")


def _check_alike(
    method: IncrementalMethod, again: IncrementalMethod, sequence: TaskSequence, when: str
) -> None:
    items = np.arange(len(sequence.test))
    gap = conformance.gap_of(method, *(_scores(each, sequence, items) for each in (method, again)))
    if gap:
        raise conformance.ConformanceError(
            f"{when}, scores of one rebuilt from its state differ by {gap:.3g}"
        )


def check_learns(cls: type[IncrementalMethod]) -> None:
    """Classes of the task just learnt are told apart at twice the rate of chance or better."""
    sequence = _sequence()
    first, known, *_ = sequence.known
    accuracy = _accuracy(_learnt(cls, sequence, epochs=LEARNING_EPOCHS), sequence, first, known)
    chance = 100 / (known - first)
    if accuracy < 2 * chance:
        raise conformance.ConformanceError(
            f"accuracy on the last task is {accuracy:.1f}, chance {chance:.1f}"
        )


def check_shuffled(cls: type[IncrementalMethod]) -> None:
    """With labels and descriptions that mean nothing, accuracy is at chance (4 errors).

    Whoever does better has the labels from somewhere else.
    """
    found = []
    for refit in range(REFITS):
        sequence = _sequence(refit, shuffled=True)
        *_, known = sequence.known
        method = _learnt(cls, sequence, refit, tasks=TASKS)
        found.append(_accuracy(method, sequence, 0, known))
    conformance.require_chance(found, 100 / known, "accuracy", "labels and descriptions")


INCREMENTAL_CHECKS: dict[str, Check] = {
    "scores": check_scores,
    "batches": check_batches,
    "seed": check_seed,
    "state": check_state,
    "learns": check_learns,
    "shuffled": check_shuffled,
}
