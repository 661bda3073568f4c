"""A run's method as it was at the chosen epoch: fitted again, then kept.

No run stores its parameters: they may be hundreds of MiB, and leaderboards fetch what a run stores.
The same spec on the same data gives the same parameters, so one refit of one run is enough for its
pictures. Nothing here has a way to the test labels.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from zslbench.data.descriptions import ATTRIBUTES, NAMES
from zslbench.data.load import DataRequest
from zslbench.data.words import PLUMAGE, SHUFFLED
from zslbench.engines.execute import Job
from zslbench.errors import DataError, ZslbenchError
from zslbench.method import Method
from zslbench.method.registry import load_method, method_modules, resolve
from zslbench.protocol import final_world
from zslbench.records import PROTOCOL_VERSION, Choice, RunSpec
from zslbench.store.checkpoints import Progress, Slot
from zslbench.studies.plan import plan

STATE = "state.safetensors"
CONTROL = SHUFFLED + PLUMAGE


def check_explainable(spec: RunSpec) -> None:
    """Refuse a run whose method cannot be fitted again, or has no view.

    Raises:
        ZslbenchError: If it cannot say where it looks, or has changed since the run was made.
    """
    if spec.method not in method_modules():
        raise ZslbenchError(
            f"This run is of {spec.method}, which is no method here: nothing can be fitted again."
        )
    method = load_method(spec.method)
    if method.view is Method.view:
        able = [name for name in sorted(method_modules()) if _has_view(name)]
        raise ZslbenchError(
            f"{spec.method} has no view: it cannot say where in an image it looks. Methods that "
            f"can: {', '.join(able)}."
        )
    versions = (spec.method_version, spec.protocol_version), (method.version, PROTOCOL_VERSION)
    if versions[0] != versions[1]:
        raise ZslbenchError(
            f"This run is of version {versions[0][0]} of {spec.method} under protocol version "
            f"{versions[0][1]}; here they are {versions[1][0]} and {versions[1][1]}, which give "
            "other numbers. Run it again and explain the new run."
        )


def _has_view(name: str) -> bool:
    try:
        return load_method(name).view is not Method.view
    except Exception:  # a third party's file may raise anything at import
        return False


def request_of(
    spec: RunSpec, root: Path, *, words: str | None, descriptions: str | None, **where: Any
) -> DataRequest:
    """Return the request for a run's data; words and descriptions may be told by the run itself."""
    described = spec.descriptions.description if spec.descriptions else ""
    drawn = spec.words.description.partition(",")[0] if spec.words else ""
    return DataRequest(
        spec.dataset,
        root,
        backbone=spec.backbone.name,
        image_size=spec.backbone.image_size,
        frozen_blocks=spec.backbone.frozen_blocks,
        mean=spec.backbone.mean if where["weights"] else None,
        std=spec.backbone.std if where["weights"] else None,
        words=words or (drawn if drawn.startswith("random:") or drawn == CONTROL else None),
        descriptions=descriptions or (described if described in (NAMES, ATTRIBUTES) else None),
        **where,
    )


def job_of(spec: RunSpec, request: DataRequest, on_progress: Callable[[int, int], None]) -> Job:
    """Return a finished run as a job on the data that a request finds now.

    Raises:
        ZslbenchError: If they are not the data, the weights or the arithmetic of the run.
    """
    check_explainable(spec)
    (job,) = plan(
        [spec.method],
        [request],
        settings=spec.config,
        seeds=[spec.seed],
        worlds=spec.tuning_worlds,
        published="published" in spec.rules,
        on_progress=on_progress,
    )
    now, words = job.spec, spec.words and spec.words.description
    weights = f"{spec.backbone.title}, weights {spec.backbone.weights_digest[:12]}"
    said = [
        f"the data (digest {spec.data_digest[:12]}, here {now.data_digest[:12]}): name their "
        "folders with --data-root and --images",
        f"the backbone ({weights}): name its file with --weights",
        f"the word vectors ({words}): name them with --words",
        "the class descriptions: name them with --descriptions",
        f"the arithmetic ({spec.precision}, here {now.precision}): explain the run on such a "
        "device as it was made on",
    ]
    both = zip(_made_with(spec), _made_with(now), strict=True)
    found = [text for text, (was, is_) in zip(said, both, strict=True) if was != is_]
    if found:
        raise ZslbenchError(f"This is not what the run was made with: {'; '.join(found)}.")
    return replace(job, spec=spec)


def _made_with(spec: RunSpec) -> list[Any]:
    """Return what must be the same again: data, backbone, words, descriptions, arithmetic."""
    words, described = (told and told.digest for told in (spec.words, spec.descriptions))
    return [spec.data_digest, spec.backbone.weights_digest, words, described, spec.precision]


def refit(job: Job, choice: Choice, folder: Path, tick: Callable[[int, int], None]) -> Method:
    """Return the method of a run as it was at the chosen epoch, to be shown images.

    Args:
        job: The run.
        choice: What was chosen for it.
        folder: Where what was learnt is kept, so that the next call need not fit.
        tick: Called with (epochs done, epochs to do).

    Raises:
        DataError: If what is kept cannot be read.
    """
    method, config = resolve(choice)
    model = method(config, job.spec.seed)
    model.setup(final_world(job.dataset).train_set(method, config.class_attributes))
    if not (folder / STATE).is_file():
        fitted, slot = method(config, job.spec.seed), Slot(folder / "checkpoint")
        train = final_world(job.read()).train_set(method, config.class_attributes)
        after, _ = slot.load()
        for epoch in fitted.fit(method.prepare(train, config), after):
            tick(epoch.number, choice.epoch)
            if epoch.number == choice.epoch:
                break
            slot.save(epoch.number, fitted.checkpoint(), Progress())
        _save(fitted, model, folder / STATE)
        slot.clear()
    _load(model, folder / STATE)
    return model


def _save(model: Method, fresh: Method, path: Path) -> None:
    """Keep what training has changed: a frozen backbone is not kept again."""
    from safetensors.numpy import save_file

    before = fresh.state()
    learnt = {
        name: np.ascontiguousarray(value)
        for name, value in model.state().items()
        if name not in before or not np.array_equal(value, before[name])
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{uuid4().hex}")
    save_file(learnt, draft)
    draft.replace(path)


def _load(model: Method, path: Path) -> None:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        model.load_state({**model.state(), **load_file(path)})
    except (SafetensorError, OSError, RuntimeError, KeyError, ValueError) as error:
        reason = str(error).splitlines()[0][:150]
        raise DataError(path, f"cannot be read ({reason})", "Remove it to fit again.") from error
