"""What every method must hold to, as checks that a third party can run on its own method too.

    from zslbench.method.conformance import CHECKS
    for check in CHECKS.values():
        check(MyMethod)

A check raises `ConformanceError` with what was found. It is part of the package, not of the tests,
so that methods outside this project are held to the same. The checks in `QUICK` look at one short
fit, made once for all of them: run them one after the other. The others fit many times, or longer.
"""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.data.types import (
    BackboneSource,
    ClassTable,
    Dataset,
    Ending,
    SealedLabels,
    Splits,
)
from zslbench.method import Method
from zslbench.method.base import AnyMethod
from zslbench.metrics import Float, per_class_accuracy
from zslbench.protocol.worlds import World, final_world
from zslbench.records import Backbone
from zslbench.seeding import generator

SEEN, UNSEEN, PER_CLASS, ATTRIBUTES, FEATURES = 12, 4, 15, 10, 24
REFITS = {"features": 20, "images": 6}
EPOCHS, LEARNING_EPOCHS, LOOK = 2, 25, 4
SEED = 3
BIRDS, FEW_BIRDS = (34, 12), (12, 7)
GRIDS, PATCH = (4, 7, 8, 9, 14), 4  # patches along each side, and their side in pixels
TOLERANCE = {"float64": 1e-9, "float32": 1e-4, "bfloat16": 2e-2}


class ConformanceError(AssertionError):
    """A method does what no method may do."""


def toy_dataset(seed: int = 0, *, shuffled: int | None = None) -> Dataset:
    """Return a small dataset whose features are a noisy linear image of class attributes.

    Args:
        seed: Of the data.
        shuffled: If given, the rows of the class table are permuted by this seed: attributes then
            say nothing about the images of any class.
    """
    rng = generator(seed, "conformance data")
    classes = SEEN + UNSEEN
    attributes = rng.uniform(0, 1, (classes, ATTRIBUTES))
    labels = np.repeat(np.arange(classes), PER_CLASS)
    features = (attributes[labels] - 0.5) @ rng.normal(size=(ATTRIBUTES, FEATURES))
    features += 0.3 * rng.normal(size=features.shape)
    if shuffled is not None:
        attributes = generator(shuffled, "shuffled attributes").permutation(attributes)
    items = np.arange(len(labels))
    is_seen, held = labels < SEEN, items % 5 == 0
    splits = Splits(items[is_seen & ~held], items[is_seen & held], items[~is_seen])
    features.setflags(write=False)
    unit = attributes / np.linalg.norm(attributes, axis=1, keepdims=True)
    return Dataset(
        name="toy",
        classes=ClassTable(tuple(f"class {c}" for c in range(classes)), unit, attributes),
        splits=splits,
        seen=np.arange(SEEN),
        unseen=np.arange(SEEN, classes),
        train_labels=labels[splits.trainval],
        test_labels=SealedLabels(labels[np.concatenate([splits.test_seen, splits.test_unseen])]),
        inputs=features,
        backbone=Backbone(name="features:toy", weights_digest=""),
        digest="toy",
        word_vectors=rng.normal(size=(ATTRIBUTES, 8)),
    )


def toy_images(
    seed: int = 0,
    *,
    shuffled: int | None = None,
    ending: Ending = "tokens",
    birds: tuple[int, int] = BIRDS,
) -> Dataset:
    """Return a small plumage for methods that need images; see `toy_dataset`.

    Args:
        seed: Of the data.
        shuffled: As of `toy_dataset`.
        ending: Of the backbone.
        birds: How many classes, and images of each.
    """
    from zslbench.backbones.embedded import EMBEDDED_ENDING
    from zslbench.backbones.registry import find_backbone
    from zslbench.data.cache import default_cache_dir
    from zslbench.data.descriptions import ATTRIBUTES as FROM_ATTRIBUTES
    from zslbench.data.descriptions import load_descriptions
    from zslbench.data.plumage import PlumageConfig, load_plumage

    config = PlumageConfig(
        classes=birds[0], unseen=UNSEEN, images_per_class=birds[1], clutter=0, spurious=0,
        seed=seed,
    )  # fmt: skip
    dataset = load_plumage(config, default_cache_dir())
    source = find_backbone(EMBEDDED_ENDING[ending])
    table = dataset.classes
    if shuffled is not None:
        order = generator(shuffled, "shuffled attributes").permutation(len(table.names))
        table = replace(
            table, attributes=table.attributes[order], raw_attributes=table.raw_attributes[order]
        )
    words = generator(0, "conformance words").normal(size=(table.attributes.shape[1], 8))
    return replace(
        dataset, classes=table, backbone=source.record, source=source, word_vectors=words,
        sentences=load_descriptions(FROM_ATTRIBUTES, table, "bird").sentences,
    )  # fmt: skip


def toy_for(
    method: type[Method],
    seed: int = 0,
    *,
    shuffled: int | None = None,
    birds: tuple[int, int] = BIRDS,
) -> World:
    """Return the final world of the toy data that a method needs."""
    if "images" in method.needs:
        return final_world(toy_images(seed, shuffled=shuffled, ending=method.ending, birds=birds))
    return final_world(toy_dataset(seed, shuffled=shuffled))


def config_of(method: type[AnyMethod], settings: dict[str, Any]) -> Any:
    """Return the method's config with those of some settings that it has."""
    known = {name: value for name, value in settings.items() if name in method.Config.model_fields}
    return method.Config.model_validate(known)


def _on_toys(method: type[Method], epochs: int) -> dict[str, Any]:
    """Return settings for a small backbone, or for few features."""
    if "images" in method.needs:
        return {"epochs": epochs, "batch_size": 32, "lr": 1e-3}
    few = {"epochs": epochs, "steps": 50, "hidden": 64, "lr": 2e-3}
    return few if "steps" in method.Config.model_fields else {}


def _epochs(
    method: type[Method], world: World, seed: int, settings: dict[str, Any]
) -> Iterator[Method]:
    """Fit a model with the middle one of its candidate configs, yielding it at every epoch."""
    candidates = config_of(method, settings).candidates()
    config = candidates[len(candidates) // 2]
    model = method(config, seed)
    for _ in model.fit(method.prepare(world.train_set(method, config.class_attributes), config)):
        yield model


def _fitted(method: type[Method], world: World, seed: int, settings: dict[str, Any]) -> Method:
    *_, model = _epochs(method, world, seed, settings)
    return model


def _shortly_fitted(method: type[Method], world: World) -> Method:
    """Return a model after as many steps as it takes to differ from one not fitted."""
    quick = {"batch_size": 16, "lr": 1e-3, "steps": 20, "hidden": 64}
    return _fitted(method, world, SEED, {"epochs": EPOCHS, **quick})


def _scores(model: Method, world: World, items: NDArray[np.int64]) -> Float:
    attributes = world.attributes(model.config.class_attributes)
    return np.asarray(model.scores(world.dataset.inputs[items], attributes), dtype=float)


def gap_of(model: AnyMethod, one: Float, other: Float) -> float:
    """Return the largest difference, 0 where it is within the tolerance of the arithmetic."""
    gap = float(np.max(np.abs(one - other)))
    return gap if gap > TOLERANCE[model.precision] * max(1.0, float(np.abs(one).max())) else 0.0


def require_scores(scores: Float, items: int, classes: int, known: str = "") -> None:
    """Refuse scores that are not finite or not `[items, classes]`."""
    if scores.shape != (items, classes) or not np.isfinite(scores).all():
        raise ConformanceError(f"{items} items and {classes} classes{known} gave {scores.shape}")


def require_same(first: Float, again: Float, known: str = "") -> None:
    """Refuse scores of the same items that differ in any bit when they are asked for again.

    A part of the network that is read before `eval()` is still in training mode the first time.
    """
    if not np.array_equal(first, again):
        gap = np.abs(first - again).max()
        raise ConformanceError(f"scores asked for twice{known} differ by {gap:.3g}")


def require_alike(model: AnyMethod, together: Float, batch: str, **others: Float) -> None:
    """Refuse scores that differ from those of the same items, the first, all together."""
    for name, scores in others.items():
        if gap := gap_of(model, together[: len(scores)], scores):
            raise ConformanceError(f"scores {name} and in {batch} differ by {gap:.3g}")


def require_chance(found: Sequence[float], chance: float, what: str, meaningless: str) -> None:
    """Refuse a mean accuracy over refits above chance (one-sided, 4 errors)."""
    mean, error = float(np.mean(found)), float(np.std(found, ddof=1)) / len(found) ** 0.5
    if mean > chance + 4 * error:
        raise ConformanceError(
            f"{what} is {mean:.1f} +- {error:.1f} though {meaningless} mean nothing; "
            f"chance is {chance:.1f}"
        )


def stored(state: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """Return a state as it comes back from a file written without pickle."""
    file = io.BytesIO()
    np.savez(file, **state)
    file.seek(0)
    with np.load(file, allow_pickle=False) as content:
        return dict(content)


@lru_cache(maxsize=1)
def _short_fit(method: type[Method]) -> tuple[Method, World, Float]:
    """Return a model, its world and its first scores, for all checks that only ask a model."""
    world = toy_for(method, birds=FEW_BIRDS)
    model = _shortly_fitted(method, world)
    return model, world, _scores(model, world, world.test)


def _unseen_accuracy(model: Method, world: World) -> float:
    labels = world.open_labels()
    unseen = labels >= world.seen
    scores = _scores(model, world, world.test[unseen])[:, world.seen :]
    return per_class_accuracy(world.seen + scores.argmax(axis=1), labels[unseen])


def check_scores(method: type[Method]) -> None:
    """Scores are finite, `[b, C]`, one for each item and class asked for, the same each time."""
    model, world, first = _short_fit(method)
    require_scores(_scores(model, world, world.test[:7]), 7, len(world.classes))
    require_same(first, _scores(model, world, world.test))


def check_batches(method: type[Method]) -> None:
    """An item's scores are the same alone, in a shuffled batch, and in a class-sorted one."""
    model, world, _ = _short_fit(method)
    by_class = np.sort(world.test)
    sorted_scores = _scores(model, world, by_class)
    order = generator(0, "conformance order").permutation(len(by_class))
    shuffled = np.empty_like(sorted_scores)
    shuffled[order] = _scores(model, world, by_class[order])
    alone = np.concatenate([_scores(model, world, by_class[i : i + 1]) for i in range(12)])
    batch = "a class-sorted batch"
    require_alike(model, sorted_scores, batch, shuffled=shuffled, alone=alone)


def check_seed(method: type[Method]) -> None:
    """The same seed gives the same scores."""
    _, world, one = _short_fit(method)
    other = _scores(_shortly_fitted(method, world), world, world.test)
    gap = float(np.max(np.abs(one - other)))
    if gap:
        raise ConformanceError(f"two fits with one seed differ by {gap:.3g}")


def check_state(method: type[Method]) -> None:
    """What `state` returns, written without pickle and loaded into a new object, scores alike."""
    model, world, before = _short_fit(method)
    again = method(model.config, model.seed)
    again.setup(world.train_set(method, model.config.class_attributes))
    again.load_state(stored(model.state()))
    if not np.array_equal(before, _scores(again, world, world.test)):
        raise ConformanceError("scores change when the state is saved and loaded")


def check_grids(method: type[Method]) -> None:
    """It trains and scores on each grid of patches that `misfit` does not refuse, if on any."""
    if "images" not in method.needs or method.ending != "tokens":
        return
    config = config_of(method, {"epochs": 1, "batch_size": 16})
    taken = [grid for grid in GRIDS if not method.misfit(config, grid)]
    if not taken:
        raise ConformanceError(f"misfit refuses every grid of {GRIDS}")
    for grid in taken:
        world = final_world(_on_grid(toy_images(birds=FEW_BIRDS), grid))
        try:
            model = _fitted(method, world, SEED, {"epochs": 1, "batch_size": 16})
            scores = _scores(model, world, world.test[:3])
        except Exception as error:
            raise ConformanceError(
                f"misfit takes a grid of {grid} x {grid}, which ends in {error!r}"
            ) from error
        require_scores(scores, 3, len(world.classes), f" on a grid of {grid} x {grid}")


def _on_grid(dataset: Dataset, grid: int) -> Dataset:
    """Return the corners of images under a small ViT of fresh parameters, on some grid."""
    from zslbench.backbones.embedded import plain_vit

    size = grid * PATCH
    shape = {"img_size": size, "patch_size": PATCH, "embed_dim": 16, "depth": 4, "num_heads": 2}
    source = BackboneSource(
        dataset.backbone, (0.5,) * 3, (0.5,) * 3, size, partial(plain_vit, shape), grid=grid
    )
    corners = dataset.inputs[np.arange(len(dataset.inputs))][:, :size, :size]
    return replace(dataset, inputs=corners, source=source)


def check_learns(method: type[Method]) -> None:
    """On an easy world, unseen classes come to be recognised at twice the rate of chance."""
    world, best = toy_for(method), 0.0
    epochs = _epochs(method, world, 0, _on_toys(method, LEARNING_EPOCHS))
    for number, model in enumerate(epochs):
        if number % LOOK == 0:
            best = max(best, _unseen_accuracy(model, world))
        if best >= 200 / UNSEEN:
            return
    raise ConformanceError(f"T1 is {best:.1f} on an easy world, chance {100 / UNSEEN:.1f}")


def check_shuffled_attributes(method: type[Method]) -> None:
    """With attributes that mean nothing, mean T1 over refits is at chance (one-sided, 4 errors).

    Whoever does better has the labels from somewhere else: from the labels themselves, from file
    names, from the order of items.
    """
    found = []
    for refit in range(REFITS["images" if "images" in method.needs else "features"]):
        world = toy_for(method, refit, shuffled=refit)
        model = _fitted(method, world, refit, _on_toys(method, EPOCHS))
        found.append(_unseen_accuracy(model, world))
    require_chance(found, 100 / UNSEEN, "T1", "the attributes")


CHECKS: dict[str, Callable[[type[Method]], None]] = {
    "scores": check_scores,
    "batches": check_batches,
    "seed": check_seed,
    "state": check_state,
    "grids": check_grids,
    "learns": check_learns,
    "shuffled_attributes": check_shuffled_attributes,
}
QUICK = ("scores", "batches", "seed", "state", "grids")
