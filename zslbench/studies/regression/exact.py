"""The exact tier: numbers that must not move at all unless a version does.

Every method is fitted on a tiny plumage, one seed, one thread, deterministic algorithms. What is
kept is chosen so that another processor gives it too: closed-form methods, in float64, see features
that are sums of pixels, hence the same bits everywhere; networks take five steps, one an epoch.
Every incremental method learns the same in two tasks, with as many steps in each.
"""

import platform
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from zslbench.data.types import Dataset, Ending, Splits
from zslbench.errors import unknown
from zslbench.method import ClosedFormMethod, Epoch, Method, registry
from zslbench.protocol import World, fresh_worlds
from zslbench.protocol.run import score, select
from zslbench.protocol.tasks import TaskSequence
from zslbench.records import PROTOCOL_VERSION, Backbone
from zslbench.seeding import generator
from zslbench.studies.plan import spec_of
from zslbench.studies.regression.entries import INCREMENTAL

STEPS, SHOWN = 5, 4
NumberLists = dict[str, list[float]]


def fingerprint() -> dict[str, str]:
    """Return what last bits depend on: torch, numpy and its BLAS, the processor's arithmetic."""
    import torch

    build: Any = np.show_config(mode="dicts")
    blas = build["Build Dependencies"]["blas"]
    return {
        "torch": torch.__version__,
        "numpy": np.__version__,
        "blas": f"{blas.get('name')} {blas.get('version')}",
        "arithmetic": f"{platform.machine()} {_maker()}{torch.backends.cpu.get_cpu_capability()}",
    }


def _maker() -> str:
    """Return the processor's maker, where Linux names it: MKL has code of its own for Intel's."""
    try:
        found = re.search(
            r"^vendor_id\s*:\s*(\w+)", Path("/proc/cpuinfo").read_text(), re.MULTILINE
        )
    except OSError:
        return ""
    return f"{found[1]} " if found else ""


def measure_exact(names: Sequence[str] | None = None) -> dict[str, Any]:
    """Return the numbers of this project's methods, and the fingerprint.

    To be called in a process with one thread and no GPU, which `regression.sides` starts.

    Args:
        names: Of those to measure, by default all; incremental ones are `incremental/<name>`.
            Methods of other packages have no numbers in this project; they are named as passed
            over.

    Raises:
        ZslbenchError: If this project has no such method.
    """
    methods, incremental = own_methods(), own_incremental()
    known = [*methods, *(INCREMENTAL + name for name in incremental)]
    for name in names or ():
        if name not in known:
            raise unknown("method of this project", name, known)
    wanted = known if names is None else names
    with _deterministic():
        return {
            "protocol_version": PROTOCOL_VERSION,
            "fingerprint": fingerprint(),
            "methods": {name: _measure(name) for name in methods if name in wanted},
            "incremental": {
                name: _learn(name) for name in incremental if INCREMENTAL + name in wanted
            },
            "passed_over": sorted(registry.method_modules().keys() - methods),
        }


def own_methods() -> list[str]:
    """Return the names of the methods that come with this project."""
    return _own(registry.method_modules(), "zslbench.methods.")


def trained_methods() -> list[str]:
    """Return those of them that its loop trains; a release keeps its own settings."""
    from zslbench.method.trained import LoopSettings

    own = {name: registry.load_method(name) for name in own_methods()}
    return [name for name, cls in own.items() if issubclass(cls.Config, LoopSettings)]


def own_incremental() -> list[str]:
    """Return the names of the incremental methods that come with this project."""
    return _own(registry.incremental_modules(), "zslbench.methods.incremental.")


def _own(modules: Mapping[str, str], package: str) -> list[str]:
    return sorted(name for name, module in modules.items() if module.startswith(package))


@contextmanager
def _deterministic() -> Iterator[None]:
    import torch

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


def _measure(name: str) -> dict[str, Any]:
    cls = registry.load_method(name)
    closed = issubclass(cls, ClosedFormMethod)
    dataset = _tiny_images(cls.ending) if "images" in cls.needs else _tiny_features()
    (world,) = fresh_worlds(dataset, 1)
    found = _closed_form(name, cls, world) if closed else _steps(cls, world)
    return {"version": cls.version, "closed_form": closed, "values": found}


def _learn(name: str) -> dict[str, Any]:
    """Return the losses of every step along two tasks, and scores of some test items."""
    cls, dataset = registry.load_incremental(name), _tiny_images("pair")
    assert dataset.source is not None
    sequence = TaskSequence.of(dataset, 0, len(dataset.seen) // 2, 0)
    most = len(sequence.task(2, frozenset({"old_images"})).labels)
    steps = {"epochs": STEPS, "batch_size": most}
    known = {key: value for key, value in steps.items() if key in cls.Config.model_fields}
    method = cls(cls.Config.model_validate(known), 0, dataset.source)
    tasks = (method.learn(sequence.task(number, cls.needs)) for number in (1, 2))
    values = _losses(chain.from_iterable(tasks))
    scores = method.scores(sequence.test[np.arange(SHOWN)])
    values["scores"] = [float(value) for value in np.ravel(scores)]
    return {"version": cls.version, "closed_form": False, "values": values}


def _losses(epochs: Iterable[Epoch]) -> NumberLists:
    """Return the losses of all epochs, by term."""
    values: NumberLists = {}
    for epoch in epochs:
        for term, value in epoch.losses.items():
            values.setdefault(f"loss {term}", []).append(float(value))
    return values


def _tiny_images(ending: Ending = "tokens") -> Dataset:
    """Return a small plumage with 4 to 8 training images a class, word vectors and sentences."""
    from zslbench.backbones.embedded import EMBEDDED_ENDING
    from zslbench.backbones.registry import find_backbone
    from zslbench.data.cache import default_cache_dir
    from zslbench.data.descriptions import ATTRIBUTES, load_descriptions
    from zslbench.data.plumage import PlumageConfig, load_plumage

    config = PlumageConfig(classes=12, unseen=2, images_per_class=10, clutter=0, spurious=0)
    whole = load_plumage(config, default_cache_dir())
    source = find_backbone(EMBEDDED_ENDING[ending])
    trained = whole.splits.trainval
    wanted = 4 + whole.train_labels % 5
    place = np.array(
        [np.sum(whole.train_labels[:i] == c) for i, c in enumerate(whole.train_labels)]
    )
    kept = place < wanted
    splits = Splits(trained[kept], whole.splits.test_seen, whole.splits.test_unseen)
    words = generator(0, "exact words").normal(size=(whole.classes.attributes.shape[1], 8))
    return replace(
        whole, splits=splits, train_labels=whole.train_labels[kept],
        backbone=source.record, source=source, word_vectors=words,
        sentences=load_descriptions(ATTRIBUTES, whole.classes, "bird").sentences,
    )  # fmt: skip


def _tiny_features() -> Dataset:
    """Return the same with features: the sums of 7 x 7 blocks of pixels, `[n, 147]`."""
    dataset = _tiny_images()
    pixels = dataset.inputs[np.arange(len(dataset.inputs))].astype(np.int64)
    n, side, *_ = pixels.shape
    sums = pixels.reshape(n, 7, side // 7, 7, side // 7, 3).sum(axis=(2, 4)).reshape(n, -1)
    exact = Backbone(name="features:block sums", weights_digest="")
    return replace(dataset, inputs=sums.astype(np.float64), backbone=exact, source=None)


def _config(cls: type[Method], **settings: Any) -> Any:
    """Return the middle one of the configs that the method would choose among."""
    known = {name: value for name, value in settings.items() if name in cls.Config.model_fields}
    candidates = cls.Config.model_validate(known).candidates()
    return candidates[len(candidates) // 2]


def _closed_form(name: str, cls: type[Method], world: World) -> NumberLists:
    """Return the choice's scores and gamma, and scores of some test items, of one config."""
    spec = spec_of(name, cls, _config(cls), world.dataset).model_copy(update={"tuning_worlds": 1})
    choice = select(spec, world.dataset, worlds=[world])
    found = {k: [float(v)] for k, v in choice.worlds[0].scores.model_dump().items()}
    model = cls(_config(cls), 0)
    for _ in _fit(cls, model, world):
        pass
    return {**found, "gamma": [choice.gamma], **_scores(model, world)}


def _steps(cls: type[Method], world: World) -> NumberLists:
    """Return the losses of five steps, one an epoch, and scores of some test items after them.

    A method that yields once, at the end of its fit, tells the losses of its last step alone: there
    what the first five steps descended from is added.
    """
    config = _config(cls, epochs=STEPS, steps=1, batch_size=len(world.train), classifier_epochs=1)
    model = cls(config, 0)
    with _descended() as totals:
        losses = _losses(_fit(cls, model, world))
    if max(map(len, losses.values()), default=0) < STEPS:
        losses["loss descended"] = totals[:STEPS]
    return losses | _scores(model, world)


@contextmanager
def _descended() -> Iterator[list[float]]:
    """Collect the loss of every backward pass, whatever a method tells of it."""
    from torch import Tensor

    usual, found = Tensor.backward, []

    def backward(loss: Tensor, *args: Any, **kwargs: Any) -> None:
        found.append(float(loss.detach()))
        usual(loss, *args, **kwargs)  # type: ignore[no-untyped-call]

    Tensor.backward = backward  # type: ignore[method-assign, assignment]
    try:
        yield found
    finally:
        Tensor.backward = usual  # type: ignore[method-assign]


def _fit(cls: type[Method], model: Method, world: World) -> Any:
    train = world.train_set(cls, model.config.class_attributes)
    return model.fit(cls.prepare(train, model.config))


def _scores(model: Method, world: World) -> NumberLists:
    found = score(model, world)
    return {
        "scale": [found.scale],
        "seen scores": [float(v) for v in found.seen_score[:SHOWN]],
        "unseen scores": [float(v) for v in found.unseen_score[:SHOWN]],
    }
