"""What every learner must hold to, as checks that a third party can run on its own learner too.

    from zslbench.learner_conformance import LEARNER_CHECKS
    for check in LEARNER_CHECKS.values():
        check(MyLearner)

They are to learners what `zslbench.conformance` is to methods, on a sequence of three tasks.
"""

import io
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from zslbench.conformance import (
    BIRDS,
    FEW_BIRDS,
    TOLERANCE,
    ConformanceError,
    toy_images,
)
from zslbench.learner import Learner
from zslbench.metrics import Float, per_class_accuracy
from zslbench.protocol.tasks import TaskSequence
from zslbench.seeding import generator

TASKS, EPOCHS, LEARNING_EPOCHS, REFITS = 3, 2, 10, 6
Check = Callable[[type[Learner]], None]


def _sequence(
    seed: int = 0, *, shuffled: bool = False, birds: tuple[int, int] = BIRDS
) -> TaskSequence:
    """Return birds in three tasks; shuffled, their labels and descriptions mean nothing."""
    data = toy_images(seed, shuffled=seed if shuffled else None, ending="pair", birds=birds)
    if shuffled:
        labels = generator(seed, "shuffled labels").permutation(data.train_labels)
        data = replace(data, train_labels=labels)
    return TaskSequence.of(data, 0, len(data.seen) // TASKS, seed)


def _made(cls: type[Learner], sequence: TaskSequence, seed: int, epochs: int) -> Learner:
    assert sequence.dataset.source is not None
    toy = {"epochs": epochs, "batch_size": 16, "lr": 1e-3}
    known = {name: value for name, value in toy.items() if name in cls.Config.model_fields}
    return cls(cls.Config.model_validate(known), seed, sequence.dataset.source)


def _learnt(
    cls: type[Learner], sequence: TaskSequence, seed: int = 0, tasks: int = 2, epochs: int = EPOCHS
) -> Learner:
    learner = _made(cls, sequence, seed, epochs)
    for number in range(1, tasks + 1):
        for _ in learner.learn(sequence.task(number, cls.needs)):
            pass
    return learner


def _scores(learner: Learner, sequence: TaskSequence, items: NDArray[np.int64]) -> Float:
    return np.asarray(learner.scores(sequence.test[items]), dtype=float)


def _gap(learner: Learner, one: Float, other: Float) -> float:
    """Return the largest difference, 0 where it is within the tolerance of the arithmetic."""
    gap = float(np.max(np.abs(one - other)))
    return gap if gap > TOLERANCE[learner.precision] * max(1.0, float(np.abs(one).max())) else 0.0


def _accuracy(learner: Learner, sequence: TaskSequence, first: int, known: int) -> float:
    """Return the accuracy on, and among, the classes from `first` up to `known`."""
    labels = sequence.open_labels(lambda: None)
    items = np.flatnonzero((labels >= first) & (labels < known))
    scores = _scores(learner, sequence, items)[:, first:known]
    return per_class_accuracy(first + scores.argmax(axis=1), labels[items])


def check_scores(cls: type[Learner]) -> None:
    """After each task scores are finite, `[b, C]`, one for each item and class known."""
    sequence, items = _sequence(birds=FEW_BIRDS), np.arange(7)
    learner = _made(cls, sequence, 0, EPOCHS)
    for number, known in enumerate(sequence.known[:2], start=1):
        for _ in learner.learn(sequence.task(number, cls.needs)):
            pass
        scores = _scores(learner, sequence, items)
        if scores.shape != (7, known) or not np.isfinite(scores).all():
            raise ConformanceError(f"7 items and {known} classes known gave {scores.shape}")


def check_batches(cls: type[Learner]) -> None:
    """An item's scores are the same alone, and in batches of either order."""
    sequence = _sequence(birds=FEW_BIRDS)
    learner, items = _learnt(cls, sequence), np.arange(len(sequence.test))
    together = _scores(learner, sequence, items)
    turned = _scores(learner, sequence, items[::-1])[::-1]
    alone = np.concatenate([_scores(learner, sequence, items[i : i + 1]) for i in range(6)])
    for name, gap in (
        ("turned round", _gap(learner, together, turned)),
        ("alone", _gap(learner, together[:6], alone)),
    ):
        if gap:
            raise ConformanceError(f"scores {name} and in a batch differ by {gap:.3g}")


def check_seed(cls: type[Learner]) -> None:
    """The same seed gives the same scores."""
    sequence = _sequence(birds=FEW_BIRDS)
    items = np.arange(len(sequence.test))
    one, other = (_scores(_learnt(cls, sequence, 3), sequence, items) for _ in range(2))
    if not np.array_equal(one, other):
        raise ConformanceError(f"two fits with one seed differ by {np.abs(one - other).max():.3g}")


def check_state(cls: type[Learner]) -> None:
    """One made anew from its state, written without pickle, scores alike and learns on alike."""
    sequence = _sequence(birds=FEW_BIRDS)
    learner = _learnt(cls, sequence, tasks=1)
    file = io.BytesIO()
    np.savez(file, **learner.state())  # type: ignore[arg-type]
    file.seek(0)
    again = _made(cls, sequence, 0, EPOCHS)
    with np.load(file, allow_pickle=False) as content:
        again.load_state({name: content[name] for name in content.files})
    _check_alike(learner, again, sequence, "once its state is loaded")
    for each in (learner, again):
        for _ in each.learn(sequence.task(2, cls.needs)):
            pass
    _check_alike(learner, again, sequence, "after the next task")


def _check_alike(learner: Learner, again: Learner, sequence: TaskSequence, when: str) -> None:
    items = np.arange(len(sequence.test))
    gap = _gap(learner, *(_scores(each, sequence, items) for each in (learner, again)))
    if gap:
        raise ConformanceError(f"{when}, scores of one made anew differ by {gap:.3g}")


def check_learns(cls: type[Learner]) -> None:
    """Classes of the task just learnt are told apart at twice the rate of chance or better."""
    sequence = _sequence()
    first, known, *_ = sequence.known
    accuracy = _accuracy(_learnt(cls, sequence, epochs=LEARNING_EPOCHS), sequence, first, known)
    chance = 100 / (known - first)
    if accuracy < 2 * chance:
        raise ConformanceError(f"accuracy on the last task is {accuracy:.1f}, chance {chance:.1f}")


def check_shuffled(cls: type[Learner]) -> None:
    """With labels and descriptions that mean nothing, accuracy is at chance (4 errors).

    Whoever does better has the labels from somewhere else.
    """
    found = []
    for refit in range(REFITS):
        sequence = _sequence(refit, shuffled=True)
        *_, known = sequence.known
        learner = _learnt(cls, sequence, refit, tasks=TASKS)
        found.append(_accuracy(learner, sequence, 0, known))
    mean, error = float(np.mean(found)), float(np.std(found, ddof=1)) / REFITS**0.5
    if mean > 100 / known + 4 * error:
        raise ConformanceError(
            f"accuracy is {mean:.1f} +- {error:.1f} though labels and descriptions mean nothing; "
            f"chance is {100 / known:.1f}"
        )


LEARNER_CHECKS: dict[str, Check] = {
    "scores": check_scores,
    "batches": check_batches,
    "seed": check_seed,
    "state": check_state,
    "learns": check_learns,
    "shuffled": check_shuffled,
}
