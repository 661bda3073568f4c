"""What a run's numbers are, recomputed from what was kept of its scores and from own labels."""

from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

from zslbench.data.types import Dataset
from zslbench.errors import DataError, ZslbenchError
from zslbench.method import Method, PublishedRule
from zslbench.method.registry import resolve, resolve_incremental
from zslbench.metrics.forgetting import TaskPredictions
from zslbench.protocol import RULES, Trajectory, final_world, tuning_worlds
from zslbench.protocol.rules import read_at
from zslbench.protocol.run_tasks import accuracies
from zslbench.protocol.tasks import TaskSequence
from zslbench.records import IncrementalRecord, RuleResult, RunRecord, disagreement
from zslbench.store import Stored, StoredIncremental, artifacts
from zslbench.studies.bundles.own_data import comparable


def contradictions(run: Stored | StoredIncremental, dataset: Dataset) -> Iterator[str]:
    """Yield each number of a run that the labels contradict, stated and recomputed.

    Args:
        run: One whose files fit one another; see `checks`.
        dataset: The data with its labels.
    """
    if isinstance(run, StoredIncremental):
        yield from _of_tasks(run, dataset)
        return
    world = final_world(dataset)
    items, classes, seen, names = artifacts.read_tested(run.folder)
    own = [dataset.classes.names[number] for number in world.classes]
    wrong = [
        *_moved("test item", items, world.test),
        *_moved("class", classes, world.classes),
        *_moved("class", names, own),
    ]
    if wrong or seen != world.seen:
        yield from wrong or [f"seen classes: {seen} stated, {world.seen} here"]
        return
    if comparable(run.record) and run.record.spec.data_digest == dataset.digest:
        yield from other_worlds(run.record, dataset)
    labels = world.open_labels()  # to check what was opened before: no further opening
    summaries = artifacts.read_summaries(run.folder)
    method = method_of(run.record)
    rule = method.published if method else PublishedRule()
    read = Trajectory(summaries, labels, seen, run.record.choice, rule)
    yield from _of_rules(run.record, read, method)


def _moved(what: str, stated: Any, own: Any) -> list[str]:
    """Return the first place at which two lists differ, in words."""
    for place, (one, other) in enumerate(zip_longest(stated, own)):
        if one != other:
            return [f"{what} at place {place}: {one} stated, {other} here"]
    return []


def other_worlds(record: RunRecord, dataset: Dataset) -> Iterator[str]:
    """Yield the first world of a choice that is not one that these data are cut into."""
    own = tuning_worlds(dataset, record.spec.tuning_worlds)
    cut = [(w.name, w.seen, len(w.classes) - w.seen) for w in own]
    told = [(w.name, w.train_classes, w.validation_classes) for w in record.choice.worlds]
    yield from _moved("choice: tuning world", told, cut)


def _of_rules(record: RunRecord, run: Trajectory, method: type[Method] | None) -> Iterator[str]:
    """Recompute what every rule reads, and check that it reads what it is said to read."""
    chosen = run.outcome(record.choice.epoch)
    yield from _against("gamma_zero", record.plain, chosen.scores(0.0))
    yield from _against("oracle_h", record.oracle_h, chosen.curve.best()[0])
    for name, stated in record.rules.items():
        if name != "published":
            rule = RULES["validation" if name == "submitted" else name]
            yield from _against(name, stated, rule(run))
            continue
        asked = PublishedRule(space=stated.space, average=stated.average)
        places = stated.epoch, stated.t1_epoch, stated.gamma
        yield from _against(name, stated, read_at(run, *places, asked, stated.selected_on_test))
        if method:  # of equal maxima it may be another, so what is compared is the best itself
            best = RULES[name](run)
            yield from _against(name, _picked(stated), _picked(best))
    if method:
        yield from _against("about", *_about(record, method))


def _against(name: str, stated: Any, own: Any) -> Iterator[str]:
    if found := disagreement(stated, own, name):
        yield f"{found.name}: {found.one} stated, {found.other} recomputed"


def _picked(result: RuleResult) -> dict[str, Any]:
    """Return what the published rule picks by, and how."""
    how = result.model_dump(include={"space", "average", "selected_on_test", "t1_best"})
    return {**how, "h": result.scores.h}


def method_of(record: RunRecord) -> type[Method] | None:
    """Return the run's method if it is here, in the version of the run."""
    try:
        cls, _ = resolve(record.spec)
        resolve(record.choice)
    except (ZslbenchError, ValueError):
        return None
    return cls if cls.version == record.spec.method_version else None


def known(record: RunRecord | IncrementalRecord) -> bool:
    """Return whether the method of a run is here, in its version."""
    if isinstance(record, RunRecord):
        return method_of(record) is not None
    try:
        cls, _ = resolve_incremental(record.spec)
    except (ZslbenchError, ValueError):
        return False
    return cls.version == record.spec.method_version


def _about(record: RunRecord, method: type[Method]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what a record says of its method, and what that says itself."""
    config = resolve(record.choice)[1]
    stated = record.model_dump(include={"transductive", "deterministic", "passes"})
    own = {
        "transductive": method.transductive(config),
        "deterministic": method.is_deterministic(config),
        "passes": method.passes(config),
    }
    return stated, own


def _of_tasks(run: StoredIncremental, dataset: Dataset) -> Iterator[str]:
    """Recompute the accuracies of a run along a task sequence."""
    record, spec = run.record, run.record.spec
    try:
        sequence = TaskSequence.of(dataset, spec.base, spec.increment, spec.seed)
    except DataError as error:
        yield f"its task sequence: {error.what}"
        return
    predicted, items, order = artifacts.read_predicted(run.folder)
    wrong = [
        *_moved("size of task", record.sizes, sequence.sizes),
        *_moved("class", order, sequence.order),
        *_moved("test item", items, dataset.splits.test_seen),
    ]
    if wrong:
        yield from wrong
        return
    labels = sequence.open_labels(lambda: None)
    stated = record.model_dump(include={"accuracy", "tasks", "average", "last", "forgetting"})
    own = accuracies(TaskPredictions(predicted, labels, sequence.known))
    yield from _against("", stated, own)
