"""A run, told as the protocol tells it: `select` in the tuning worlds, `evaluate` in the final one.

`select` never sees the final world. `evaluate` fits once over the full schedule, keeps label-free
score summaries, opens the test labels once, at the end, and reads every rule off that one run.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np

from zslbench.data.types import Dataset, Inputs, Subset
from zslbench.environment import environment, peak_memory_mib, restart_peak_memory
from zslbench.method import Method, MethodConfig
from zslbench.method.base import AnyMethod
from zslbench.method.registry import resolve
from zslbench.metrics import Float, Int, Outcome, ScoreSummary, score_unit, summarise
from zslbench.protocol.choice import Tuning, choose
from zslbench.protocol.looking import localise
from zslbench.protocol.rules import RULES, Trajectory, epochs_needed
from zslbench.protocol.worlds import World, final_world, tuning_worlds
from zslbench.records import Choice, Cost, Opening, RunRecord, RunSpec, Spec
from zslbench.seeding import derive_seed, generator
from zslbench.store.checkpoints import Progress, Slot

SCALE_IMAGES = 1000
BATCH = 4096

Tick = Callable[[str, int, int], None]
Slots = Callable[[str], Slot]
Stop = Callable[[int, int, float], bool]


class StoppedError(Exception):
    """A selection that its `stop` ended before its time."""


def no_tick(stage: str, done: int, total: int) -> None:
    """Report progress to nobody."""


def no_slots(name: str) -> Slot:
    """Keep no checkpoints."""
    return Slot()


def never(world: int, epoch: int, best_h: float) -> bool:
    """Let a selection come to its end."""
    return False


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


def select(
    spec: RunSpec,
    dataset: Dataset,
    tick: Tick = no_tick,
    slots: Slots = no_slots,
    stop: Stop = never,
    worlds: Sequence[World] | None = None,
) -> Choice:
    """Choose config, epoch and gamma in the tuning worlds; the final world stays shut.

    Args:
        spec: The run.
        dataset: The data that `spec` names.
        tick: Progress.
        slots: Where killed fits go on from.
        stop: Asked at the end of each epoch, those of all tuning seeds and candidate configs
            counted on, with the number of the world, the epoch (both 1-based), and the best H so
            far in that world, over these epochs and all gamma. True ends the selection. Epochs that
            a killed process had done are told again, so that every selection of a spec is asked the
            same.
        worlds: Where to choose, if not in the dataset's tuning worlds.

    Raises:
        StoppedError: Where `stop` said so.
    """
    start = perf_counter()
    method, config = resolve(spec)
    candidates = config.candidates()
    worlds = worlds or tuning_worlds(dataset, spec.tuning_worlds)
    tunings = []
    for number, world in enumerate(worlds, start=1):
        stage = f"{spec.method}: tuning world {number} of {len(worlds)}"
        asked = partial(stop, number)
        seeds = [derive_seed(n, "tuning", world.name) for n in range(spec.tuning_seeds)]
        following = partial(tick, stage), slots, asked
        tunings.append(_tune(method, candidates, world, seeds, *following))
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
    seeds: Sequence[int],
    tick: Callable[[int, int], None],
    slots: Slots,
    stop: Callable[[int, float], bool],
) -> Tuning:
    """Fit every candidate with every seed in one tuning world and score every epoch."""
    prepared = _prepare(method, candidates[0], world)
    labels, epochs = world.open_labels(), method.epochs(candidates[0])
    fits = [(seed, config) for seed in seeds for config in candidates]
    outcomes: list[list[Outcome]] = [[] for _ in fits]
    best = 0.0

    def look(number: int, progress: Progress) -> None:
        nonlocal best
        for epoch in range(len(outcomes[number]) + 1, len(progress.summaries) + 1):
            found = Outcome.of(progress.summaries[epoch], labels, world.seen)
            outcomes[number].append(found)
            best = max(best, found.curve.best()[0])
            if stop(number * epochs + epoch, best):
                raise StoppedError(f"{world.name}, epoch {epoch}")

    for number, (seed, config) in enumerate(fits):

        def after(epoch: int, progress: Progress, number: int = number) -> None:
            tick(number * epochs + epoch, len(fits) * epochs)
            look(number, progress)

        model = method(config, seed)
        slot = slots(f"{world.name}-{number}")
        wanted = set(range(1, epochs + 1))
        look(number, _follow(model, prepared, world, wanted, after, slot))
    configs = len(candidates)
    return Tuning(world, [outcomes[n : n + configs] for n in range(0, len(fits), configs)])


def evaluate(
    spec: RunSpec,
    choice: Choice,
    dataset: Dataset,
    announce: Callable[[Opening], None],
    tick: Tick = no_tick,
    slots: Slots = no_slots,
) -> Evaluation:
    """Fit once in the final world, open its labels once, read every rule off the trajectory.

    Args:
        spec: The run.
        choice: What `select` chose for it.
        dataset: The data that `spec` names.
        announce: Called with the ledger's entry before the labels are opened; it must have
            recorded the entry when it returns.
        tick: Progress.
        slots: Where a killed fit resumes.
    """
    restart_peak_memory()
    method, config = resolve(choice)
    world = final_world(dataset)
    model, epochs, passes = method(config, spec.seed), method.epochs(config), method.passes(config)
    done = _follow(
        model,
        _prepare(method, config, world),
        world,
        epochs_needed(spec.rules, choice, epochs),
        lambda epoch, _: tick(f"{spec.method}: final world, seed {spec.seed}", epoch, epochs),
        slots("final"),
        viewed=choice.epoch,
    )
    opening = opening_of(spec, dataset)
    labels = world.open_labels(lambda: announce(opening))
    run = Trajectory(done.summaries, labels, world.seen, choice, method.published)
    chosen = run.outcome(choice.epoch)
    record = RunRecord(
        choice=choice,
        rules={rule: RULES[rule](run) for rule in spec.rules},
        plain=chosen.scores(0.0),
        oracle_h=chosen.curve.best()[0],
        localisation=done.localisation,
        transductive=method.transductive(config),
        deterministic=method.is_deterministic(config),
        passes=passes,
        **about(spec, opening, done, len(world.train) * epochs // passes),
    )
    return Evaluation(record, done.summaries, world.test, world.classes, labels)


def opening_of(spec: Spec, dataset: Dataset) -> Opening:
    """Return the ledger's entry for a run's look at a dataset's test labels."""
    about = {"run_key": spec.key, "method": spec.method, "dataset": spec.dataset}
    return Opening(**about, test_digest=dataset.test_digest)


def about(spec: Spec, opening: Opening, done: Progress, images: int) -> dict[str, Any]:
    """Return what the records of all kinds of run say; `images` were trained on, all epochs'."""
    cost = Cost(
        fit_seconds=done.fitting,
        score_seconds=done.scoring,
        images_per_second=images / done.fitting,
        peak_memory_mib=peak_memory_mib(),
    )
    return {
        "key": spec.key,
        "spec": spec,
        "losses": done.losses,
        "opening": opening.key,
        "test_digest": opening.test_digest,
        "cost": cost,
        "environment": environment(),
    }


def _prepare(method: type[Method], config: MethodConfig, world: World) -> Any:
    return method.prepare(world.train_set(method, config.class_attributes), config)


def _follow(
    model: Method,
    prepared: Any,
    world: World,
    wanted: set[int],
    after: Callable[[int, Progress], None],
    slot: Slot,
    viewed: int | None = None,
) -> Progress:
    """Fit, scoring the wanted epochs; go on where a killed process left off.

    At the epoch `viewed` the method is also asked where it looks, if the truth is known.
    """
    state, progress = slot.load()
    began = perf_counter()
    for epoch in model.fit(prepared, state):
        progress.fitting += perf_counter() - began
        for name, value in epoch.losses.items():
            progress.losses.setdefault(name, []).append(value)
        began = perf_counter()
        if epoch.number in wanted:
            progress.summaries[epoch.number] = score(model, world)
        if epoch.number == viewed:
            progress.localisation = localise(model, world)
        progress.scoring += perf_counter() - began
        slot.save(epoch.number, model.checkpoint(), progress)
        after(epoch.number, progress)
        began = perf_counter()
    if not wanted <= progress.summaries.keys():
        missing = sorted(wanted - progress.summaries.keys())
        raise RuntimeError(f"{type(model).__name__}.fit did not yield the epochs {missing}")
    return progress


def score(model: Method, world: World) -> ScoreSummary:
    """Score a world's test items, in an order that tells a batch nothing about its classes.

    Raises:
        FloatingPointError: If any score is not finite.
    """
    inputs = Subset(world.dataset.inputs, world.test)
    batches, scale = scoring_batches(world.name, len(world.test)), score_scale(model, world)
    attributes = world.attributes(model.config.class_attributes)
    parts = [
        summarise(_finite_scores(model, inputs, batch, attributes), world.seen, scale)
        for batch in batches
    ]
    back = np.argsort(np.concatenate(batches))
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
    return score_unit(_finite_scores(model, inputs, some, attributes))


def _finite_scores(model: Method, inputs: Inputs, items: Int, attributes: Float) -> Any:
    return finite(model, model.scores(inputs[items], attributes), len(items), len(attributes))


def scoring_batches(purpose: str, count: int) -> list[Int]:
    """Return the items to score, batch by batch, in an order that tells nothing."""
    order = generator(0, "scoring order", purpose).permutation(count)
    return np.array_split(order, -(-count // BATCH))


def finite(model: AnyMethod, scores: Any, images: int, classes: int) -> Any:
    """Return scores if they are finite and `[images, classes]`.

    Raises:
        FloatingPointError: If they are not.
    """
    if scores.shape != (images, classes) or not np.isfinite(scores).all():
        raise FloatingPointError(
            f"{type(model).__name__} gave scores of shape {scores.shape}, "
            f"{int(np.sum(~np.isfinite(scores)))} of them not finite, for {images} images and "
            f"{classes} classes"
        )
    return scores
